/**
 * Hurts the files of a node as disks do: torn ends, flipped bits, everything gone. Where the log's batches are is read from its documented
 * format (docs/STORAGE.md): sectors of 512 bytes, each batch with a header at a sector's start.
 */
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync, rmSync, statSync, writeSync } from 'node:fs'
import path from 'node:path'
import type { Random } from '../random.ts'

const SECTOR_BYTES = 512
const BATCH_HEADER_BYTES = 40
const MAGIC_AT = 4
const SEGMENT_MAGIC = Buffer.from('meshmqWL')
const BATCH_MAGIC = Buffer.from('mqba')
const RECORD_BYTES_AT = 24

/** Where a batch lies in its file. */
interface Extent {
  readonly file: string
  readonly from: number
  readonly to: number
}

/** What was done, in words, and how many bytes it hurt. */
export interface Damage {
  readonly what: string
  readonly bytes: number
}

/**
 * Tears the last batch of the log, as a write that the power cut short: some of its sectors are zeros or garbage, others are as they were.
 * One that is lost as a whole could not be told from one that never was, and what was confirmed with it would be gone without a word.
 */
export function tearTail(dataDir: string, random: Random): Damage | undefined {
  const batch = lastBatch(dataDir)
  if (batch === undefined) return undefined
  return withFile(batch.file, (descriptor) => {
    const sectors = Math.ceil((batch.to - batch.from) / SECTOR_BYTES)
    // Of a single sector some bytes stay, so that a start finds something.
    if (sectors === 1) return garble(descriptor, batch, BATCH_HEADER_BYTES / 2, random)
    const isCut = random.chance(0.5)
    const first = random.between(1, sectors - 1)
    const torn = isCut ? range(first, sectors) : random.shuffle(range(0, sectors)).slice(0, first)
    let bytes = 0
    for (const sector of torn) {
      const from = batch.from + sector * SECTOR_BYTES
      const to = Math.min(batch.to, from + SECTOR_BYTES)
      bytes += write(descriptor, from, random.chance(0.7) ? Buffer.alloc(to - from) : noise(to - from, random))
    }
    // All of it may have been zeros before: then it is torn where it is not.
    if (bytes === 0) return garble(descriptor, batch, BATCH_HEADER_BYTES / 2, random)
    return { what: `${torn.length} of ${sectors} sectors of the last batch in ${path.basename(batch.file)}`, bytes }
  })
}

/** Flips single bits in what the log's segments hold; one at least in a batch: what is between two batches is nobody's, and often half of it all. */
export function flipLogBits(dataDir: string, flips: number, random: Random): Damage | undefined {
  const batches = segments(dataDir).map(batchesOf)
  const used = batches.flatMap((ofFile) => {
    const last = ofFile.at(-1)
    return last === undefined ? [] : { file: last.file, from: 0, to: last.to }
  })
  return flip(used, flips, random, batches.flat())
}

/** Flips single bits in the tables of the store, where checkpoints are. */
export function flipStoreBits(dataDir: string, flips: number, random: Random): Damage | undefined {
  const folder = path.join(dataDir, 'store')
  const tables = existsSync(folder) ? readdirSync(folder).filter((name) => /\.(ldb|log)$/.test(name)) : []
  const extents = tables.map((name) => {
    const file = path.join(folder, name)
    return { file, from: 0, to: statSync(file).size }
  })
  return flip(extents, flips, random)
}

/** Leaves the directory itself, which may be a file system of its own. */
export function emptyDirectory(dataDir: string): Damage {
  const names = readdirSync(dataDir)
  for (const name of names) rmSync(path.join(dataDir, name), { recursive: true, force: true })
  return { what: `removed ${names.join(', ') || 'nothing'}`, bytes: 0 }
}

// ---- the log's format

function segments(dataDir: string): string[] {
  const folder = path.join(dataDir, 'wal')
  if (!existsSync(folder)) return []
  const names = readdirSync(folder).filter((name) => name.endsWith('.wal'))
  return names.sort().map((name) => path.join(folder, name))
}

/**
 * Batches follow each other without gaps, from the second sector on. What would reach beyond the end of its file is one that was torn before,
 * with anything for a length.
 */
function batchesOf(file: string): Extent[] {
  return withFile(file, (descriptor) => {
    const batches: Extent[] = []
    const { size } = fstatSync(descriptor)
    if (!read(descriptor, MAGIC_AT, SEGMENT_MAGIC.length).equals(SEGMENT_MAGIC)) return batches
    for (let from = SECTOR_BYTES; ; ) {
      const header = read(descriptor, from, BATCH_HEADER_BYTES)
      const isBatch = header.subarray(MAGIC_AT, MAGIC_AT + BATCH_MAGIC.length).equals(BATCH_MAGIC)
      if (header.length < BATCH_HEADER_BYTES || !isBatch) return batches
      const to = from + BATCH_HEADER_BYTES + header.readUInt32LE(RECORD_BYTES_AT)
      if (to > size) return batches
      batches.push({ file, from, to })
      from = Math.ceil(to / SECTOR_BYTES) * SECTOR_BYTES
    }
  })
}

function lastBatch(dataDir: string): Extent | undefined {
  return segments(dataDir)
    .toReversed()
    .flatMap((file) => batchesOf(file).at(-1) ?? [])[0]
}

// ---- bytes

/** The first of them in what `first` says. */
function flip(extents: readonly Extent[], flips: number, random: Random, first = extents): Damage | undefined {
  if (lengthOf(first) === 0) return undefined
  const places = Array.from({ length: flips }, (_, i) => flipOne(i === 0 ? first : extents, random))
  return { what: `flipped a bit at ${places.join(', ')}`, bytes: flips }
}

function flipOne(extents: readonly Extent[], random: Random): string {
  let at = random.below(lengthOf(extents))
  for (const { file, from, to } of extents) {
    if (at < to - from) return flipBit(file, from + at, random.below(8))
    at -= to - from
  }
  throw new RangeError('behind all extents')
}

function lengthOf(extents: readonly Extent[]): number {
  return extents.reduce((sum, { from, to }) => sum + to - from, 0)
}

function flipBit(file: string, at: number, bit: number): string {
  return withFile(file, (descriptor) => {
    const [byte] = read(descriptor, at, 1)
    write(descriptor, at, Buffer.of(byte! ^ (1 << bit)))
    return `${path.basename(file)}+${at}`
  })
}

/** Other bytes instead of those from there on, at most a sector's. */
function garble(descriptor: number, { file, from, to }: Extent, behind: number, random: Random): Damage {
  const at = random.between(from + behind, to - 1)
  const bytes = write(descriptor, at, noise(Math.min(to, from + SECTOR_BYTES) - at, random))
  return { what: `${bytes} bytes of the last batch in ${path.basename(file)}`, bytes }
}

function noise(bytes: number, random: Random): Buffer {
  return Buffer.from(Array.from({ length: bytes }, () => random.between(1, 255)))
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

function withFile<T>(file: string, use: (descriptor: number) => T): T {
  const descriptor = openSync(file, 'r+')
  try {
    return use(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** As many of the bytes as there are. */
function read(descriptor: number, at: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(Math.max(0, Math.min(bytes, fstatSync(descriptor).size - at)))
  readSync(descriptor, buffer, 0, buffer.length, at)
  return buffer
}

/** Gives how many bytes are others now. */
function write(descriptor: number, at: number, bytes: Buffer): number {
  const before = read(descriptor, at, bytes.length)
  writeSync(descriptor, bytes, 0, bytes.length, at)
  return bytes.filter((byte, i) => byte !== before[i]).length
}
