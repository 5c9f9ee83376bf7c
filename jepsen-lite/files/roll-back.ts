/**
 * Takes the power from a node's files after its process has died: what was not synced is lost, kept or torn, by dice. A write may leave all,
 * nothing, a beginning or any of its pages or sectors; of creations, renames and removals that no sync of their directory followed the last
 * ones are undone, in the order of time, as a file system's own journal would. When the dice keep every write, the last one is lost all the
 * same: a loss of power that loses nothing is a kill, and that is another fault.
 *
 * Never: what was synced. NB: what native code writes (LevelDB's files in `store`) is not in the journal, and stays as it is.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Totals } from '../nemesis.ts'
import type { Random } from '../random.ts'
import { isWrite, keptOf, type Naming, type Piece, type Write } from './changes.ts'
import { inodesIn } from './inodes.ts'
import { Journal } from './journal.ts'

/** The least that a disk writes as a whole. */
const SECTOR_BYTES = 512
const SECTORS_OF_A_PAGE = 8

export interface RollBackOptions {
  readonly dataDir: string
  /** The folder of the shim's journal (launch.ts). */
  readonly journal: string
  readonly random: Random
}

/**
 * Does it; the node's process must be gone. Resolves at once: all of it is in the page cache. `rolledBackBytes` counts bytes that are others
 * now, `rolledBackNames` undone creations, renames and removals, `unsyncedWrites` writes that the dice were thrown for.
 */
export function rollBack({ dataDir, journal: folder, random }: RollBackOptions): Totals {
  const journal = new Journal(folder)
  try {
    // No node empties its own directory: another fault did, and nothing of what was there comes back.
    if (existsSync(dataDir) && readdirSync(dataDir).length === 0) journal.clear()
    const changes = [...journal.changes.values()]
    const writes = byInode(changes.filter(isWrite))
    const paths = inodesIn(dataDir, folder)
    let bytes = 0
    let files = 0
    let loseLast = () => 0
    for (const [inode, ofFile] of writes) {
      const path = paths.get(inode)
      if (path === undefined) continue
      const lost = rollBackContents(path, ofFile, random, (write) => dice(write, random))
      bytes += lost
      if (lost > 0) files++
      loseLast = () => rollBackContents(path, ofFile.slice(-1), random, () => () => false)
    }
    if (bytes === 0) {
      bytes = loseLast()
      if (bytes > 0) files++
    }
    const names = rollBackNames(dataDir, folder, changes.filter((change) => !isWrite(change)) as Naming[], random)
    const unsyncedWrites = changes.filter(isWrite).length
    journal.clear()
    return { powerCuts: 1, rolledBackBytes: bytes, rolledBackFiles: files, rolledBackNames: names, unsyncedWrites }
  } finally {
    journal.close()
  }
}

// ---- contents

function byInode(writes: readonly Write[]): Map<number, Write[]> {
  const files = new Map<number, Write[]>()
  for (const write of writes) {
    const ofFile = files.get(write.inode)
    if (ofFile === undefined) files.set(write.inode, [write])
    else ofFile.push(write)
  }
  return files
}

/** Which sectors of one write reached the disk. */
type Reached = (sector: number) => boolean

function dice({ pieces }: Write, random: Random): Reached {
  const first = Math.floor((pieces[0]?.from ?? 0) / SECTOR_BYTES)
  const last = Math.floor((pieces.at(-1)?.to ?? 0) / SECTOR_BYTES)
  const decided = new Map<number, boolean>()
  const by = (sectors: number) => (sector: number) => {
    const unit = Math.floor(sector / sectors)
    if (!decided.has(unit)) decided.set(unit, random.chance(0.5))
    return decided.get(unit) === true
  }
  const roll = random.next()
  if (roll < 0.4) return () => false
  if (roll < 0.55) return () => true
  if (roll < 0.7) return by(SECTORS_OF_A_PAGE)
  if (roll < 0.85) return by(1)
  const end = random.between(first, last)
  return (sector) => sector < end
}

/** Gives how many bytes are others now. */
function rollBackContents(
  path: string,
  writes: readonly Write[],
  random: Random,
  reached: (write: Write) => Reached,
): number {
  const descriptor = openSync(path, 'r+')
  try {
    const { size } = fstatSync(descriptor)
    const kept = new Set<number>()
    let bytes = 0
    // From the last to the first: a sector is left with what some write gave it, or as it was before all of them.
    for (const write of writes.toReversed()) {
      const keeps = reached(write)
      for (const piece of write.pieces) bytes += undo(descriptor, size, piece, kept, keeps)
    }
    const sizeBefore = Math.min(size, ...writes.map((write) => write.sizeBefore))
    const needed = Math.max(sizeBefore, Math.min(size, SECTOR_BYTES * (1 + Math.max(-1, ...kept))))
    // The size is metadata: it may have reached the disk without the contents, which are zeros then.
    if (random.chance(0.5)) ftruncateSync(descriptor, needed)
    return bytes
  } finally {
    closeSync(descriptor)
  }
}

function undo(descriptor: number, size: number, piece: Piece, kept: Set<number>, keeps: Reached): number {
  const end = Math.min(piece.to, size)
  let bytes = 0
  for (let from = piece.from; from < end; ) {
    const sector = Math.floor(from / SECTOR_BYTES)
    const to = Math.min(end, (sector + 1) * SECTOR_BYTES)
    if (!kept.has(sector)) {
      if (keeps(sector)) kept.add(sector)
      else bytes += putBack(descriptor, from, oldBytes(piece, from, to))
    }
    from = to
  }
  return bytes
}

function oldBytes({ from, old }: Piece, start: number, end: number): Uint8Array {
  return old?.subarray(start - from, end - from) ?? Buffer.alloc(end - start)
}

function putBack(descriptor: number, at: number, old: Uint8Array): number {
  const now = Buffer.alloc(old.length)
  readSync(descriptor, now, 0, now.length, at)
  if (now.equals(old)) return 0
  writeSync(descriptor, old, 0, old.length, at)
  return old.length
}

// ---- names

/** Gives how many were undone. */
function rollBackNames(dataDir: string, folder: string, namings: readonly Naming[], random: Random): number {
  const roll = random.next()
  let reached = random.below(namings.length + 1)
  if (roll < 0.4) reached = 0
  else if (roll < 0.6) reached = namings.length
  let undone = 0
  for (const naming of namings.slice(reached).toReversed()) if (undoNaming(dataDir, folder, naming)) undone++
  return undone
}

/** False when the kill came before it was done at all. */
function undoNaming(dataDir: string, folder: string, naming: Naming): boolean {
  const restore = (path: string) => {
    const kept = keptOf(naming)
    if (kept !== undefined) moveFile(join(folder, kept), path)
  }
  switch (naming.kind) {
    case 'create':
    case 'mkdir': {
      const path = join(dataDir, naming.path)
      const isThere = inodeOf(path) !== undefined
      rmSync(path, { recursive: true, force: true })
      return isThere
    }
    case 'rename': {
      const to = join(dataDir, naming.to)
      if (inodeOf(to) !== naming.inode) return false
      renameSync(to, join(dataDir, naming.from))
      restore(to)
      return true
    }
    case 'remove': {
      const path = join(dataDir, naming.path)
      if (inodeOf(path) !== undefined) return false
      restore(path)
      return true
    }
  }
}

/** Also from one file system to another. */
function moveFile(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    copyFileSync(from, to)
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino
}
