import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { emptyDirectory, flipLogBits, flipStoreBits, tearTail } from '../../../jepsen-lite/files/damage.ts'
import { seeded } from '../../../jepsen-lite/random.ts'
import { realDiskFolder } from '../../support/place.ts'

const SECTOR = 512
const SEGMENT_BYTES = 16 * SECTOR

let dataDir: string

beforeEach(() => {
  dataDir = realDiskFolder()
  mkdirSync(path.join(dataDir, 'wal'))
})

afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

const segment = (sequence: number) => path.join(dataDir, 'wal', `${String(sequence).padStart(16, '0')}.wal`)

/** A segment as docs/STORAGE.md has it, with batches of so many bytes of records. */
function writeSegment(sequence: number, batches: readonly number[]): void {
  const bytes = Buffer.alloc(SEGMENT_BYTES)
  if (batches.length > 0) bytes.write('meshmqWL', 4)
  let at = SECTOR
  for (const recordBytes of batches) {
    bytes.write('mqba', at + 4)
    bytes.writeUInt32LE(recordBytes, at + 24)
    bytes.fill(0xaa, at + 40, at + 40 + recordBytes)
    at = Math.ceil((at + 40 + recordBytes) / SECTOR) * SECTOR
  }
  writeFileSync(segment(sequence), bytes)
}

/** Where the file is not what it was. */
function differences(before: Buffer, after: Buffer): number[] {
  expect(after.length).toBe(before.length)
  return [...before.keys()].filter((at) => before[at] !== after[at])
}

describe('a torn tail', () => {
  it.each([
    ['of many sectors', [700, 100, 2000], 4 * SECTOR, 4 * SECTOR + 2040],
    ['of one sector', [100, 60], 2 * SECTOR, 2 * SECTOR + 100],
    ['of a marker', [100, 0], 2 * SECTOR, 2 * SECTOR + 40],
  ])('hurts the last batch alone, %s, and never all of it', (_what, batches, from, to) => {
    for (let seed = 0; seed < 100; seed++) {
      writeSegment(1, [1000, 1000])
      writeSegment(2, batches)
      writeSegment(3, [])
      const [first, before, next] = [1, 2, 3].map((sequence) => readFileSync(segment(sequence))) as [
        Buffer,
        Buffer,
        Buffer,
      ]
      const damage = tearTail(dataDir, seeded(seed))!
      const after = readFileSync(segment(2))
      const hurt = differences(before, after)
      expect(hurt.length).toBe(damage.bytes)
      expect(hurt.length).toBeGreaterThan(0)
      expect(hurt.every((at) => at >= from && at < to)).toBe(true)
      // Something of it is left, so that a start sees that there was something.
      expect(after.subarray(from, to).some((byte) => byte !== 0)).toBe(true)
      expect([readFileSync(segment(1)).equals(first), readFileSync(segment(3)).equals(next)]).toEqual([true, true])
    }
  })

  it('hurts the batch before one that was torn already, whose length may be anything, and the file stays as long as it was', () => {
    for (const length of [0xb6dc0005, SEGMENT_BYTES]) {
      writeSegment(1, [100, 60, 20])
      const before = readFileSync(segment(1))
      before.writeUInt32LE(length, 3 * SECTOR + 24)
      writeFileSync(segment(1), before)
      expect(tearTail(dataDir, seeded(1))?.bytes).toBeGreaterThan(0)
      const hurt = differences(before, readFileSync(segment(1)))
      expect(hurt.every((at) => at >= 2 * SECTOR && at < 3 * SECTOR)).toBe(true)
    }
  })

  it('needs a log', () => {
    expect(tearTail(dataDir, seeded(1))).toBeUndefined()
    writeSegment(1, [])
    expect(tearTail(dataDir, seeded(1))).toBeUndefined()
  })
})

describe('flipped bits', () => {
  it('are single ones, in what the log uses', () => {
    writeSegment(1, [1000, 1000])
    writeSegment(2, [100])
    writeSegment(3, [])
    const before = [1, 2, 3].map((sequence) => readFileSync(segment(sequence)))
    expect(flipLogBits(dataDir, 3, seeded(5))?.bytes).toBe(3)
    const after = [1, 2, 3].map((sequence) => readFileSync(segment(sequence)))
    const hurt = before.flatMap((bytes, i) => differences(bytes, after[i]!).map((at) => [i, at] as const))
    expect(hurt.length).toBe(3)
    for (const [i, at] of hurt) {
      expect(at).toBeLessThan([6 * SECTOR + 16, SECTOR + 140, 0][i]!)
      expect(Math.log2(before[i]![at]! ^ after[i]![at]!) % 1).toBe(0)
    }
  })

  it('hurt something: one at least is in a batch, not in what is between them', () => {
    for (let seed = 0; seed < 50; seed++) {
      writeSegment(1, [60, 60, 60, 60])
      const before = readFileSync(segment(1))
      flipLogBits(dataDir, 1, seeded(seed))
      const [at] = differences(before, readFileSync(segment(1))) as [number]
      expect(at).toBeGreaterThanOrEqual(SECTOR)
      expect(at % SECTOR).toBeLessThan(100)
    }
  })

  it('of the store are in its tables, not in its books', () => {
    mkdirSync(path.join(dataDir, 'store'))
    for (const name of ['000005.ldb', 'MANIFEST-000002', 'CURRENT']) {
      writeFileSync(path.join(dataDir, 'store', name), Buffer.alloc(1000))
    }
    expect(flipStoreBits(dataDir, 4, seeded(1))?.what).toMatch(/^flipped a bit at (000005\.ldb\+\d+(, )?){4}$/)
    const books = ['MANIFEST-000002', 'CURRENT'].map((name) => readFileSync(path.join(dataDir, 'store', name)))
    expect(books.every((bytes) => bytes.every((byte) => byte === 0))).toBe(true)
    expect(readFileSync(path.join(dataDir, 'store', '000005.ldb')).filter((byte) => byte !== 0)).toHaveLength(4)
  })

  it('need something to be flipped', () => {
    expect([flipLogBits(dataDir, 1, seeded(1)), flipStoreBits(dataDir, 1, seeded(1))]).toEqual([undefined, undefined])
  })
})

it('an emptied directory is still there', () => {
  writeSegment(1, [10])
  writeFileSync(path.join(dataDir, 'boot'), 'x')
  expect(emptyDirectory(dataDir).what).toBe('removed boot, wal')
  expect(readdirSync(dataDir)).toEqual([])
})
