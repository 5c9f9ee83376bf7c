import { beforeAll, describe, expect, test } from 'vitest'
import { DamagedLogError } from '../../node/storage/errors.ts'
import { alignToSector } from '../../node/storage/segment.ts'
import type { Wal } from '../../node/storage/wal.ts'
import { type Image, imageEntry, makeImage, segmentBytes, segmentPath, textOf, worldWith } from './support/image.ts'
import { group, readWhole, type World } from './support/world.ts'

/** Five entries in segment 1. */
const entriesInOne = 5
/** Enough for a second segment with several batches, and one batch alone in a third. */
const entriesInThree = 14

/** Some tests open thousands of logs. */
const timeout = 120_000

type Outcome = { damaged: DamagedLogError } | { entries: number; doubt: boolean }

async function outcomeOf(world: World, mustExist = true): Promise<Outcome> {
  let wal: Wal
  try {
    wal = await world.open({ segmentBytes, mustExist })
  } catch (error) {
    if (error instanceof DamagedLogError) return { damaged: error }
    throw error
  }
  const log = wal.group(group)
  const { lastIndex, hardState } = log.recovered()
  // Whatever comes out must be exactly what was written.
  const found = await world.settle(readWhole(log, lastIndex))
  expect(found).toEqual(found.map((_, i) => ({ index: i + 1, term: imageEntry(i + 1).term, data: textOf(i + 1) })))
  expect(hardState).toEqual(
    lastIndex === 0
      ? { term: 0, vote: '', commit: 0 }
      : { term: imageEntry(lastIndex).term, vote: `n${lastIndex}`, commit: lastIndex - 1 },
  )
  await world.settle(wal.close())
  return { entries: lastIndex, doubt: wal.doubt !== undefined }
}

/** The log goes on after recovery, and a second start finds the same and more. */
async function expectToGoOn(world: World, entries: number): Promise<void> {
  const wal = await world.open({ segmentBytes, mustExist: true })
  expect(wal.doubt).toBeUndefined()
  const next = imageEntry(entries + 1)
  const hardState = { term: next.term, vote: `n${entries + 1}`, commit: entries }
  await world.settle(wal.group(group).append({ hardState, entries: [next] }))
  world.files.crash()
  expect(await outcomeOf(world)).toEqual({ entries: entries + 1, doubt: false })
}

function flip(world: World, path: string, at: number, mask: number): void {
  const bytes = world.files.contents(path)
  bytes[at] = (bytes[at] as number) ^ mask
}

const masks = [0xff, 0x01]

describe('a log whose last batch has a marker behind it', { timeout }, () => {
  let image: Image
  beforeAll(async () => {
    image = await makeImage(entriesInOne, true)
  })

  test('lies as the tests assume: six batches in one segment, then a marker', () => {
    expect(image.batches.map(({ entries }) => entries)).toEqual([0, 1, 2, 3, 4, 5, 5])
    expect(new Set(image.batches.map(({ segment }) => segment))).toEqual(new Set([1]))
    expect([...image.files.keys()]).toEqual([1, 2, 3].map(segmentPath))
  })

  test('every flipped byte is either noticed as damage or costs nothing', async () => {
    const marker = image.batches.at(-1)!
    for (const mask of masks) {
      for (let at = 0; at < segmentBytes; at++) {
        const world = await worldWith(image, (fresh) => flip(fresh, segmentPath(1), at, mask))
        const outcome = await outcomeOf(world)
        const hit = image.batches.find(({ start, end }) => at >= start && at < end)
        if (at < 512 || (hit !== undefined && hit !== marker)) {
          expect(outcome, `byte ${at}`).toMatchObject({ damaged: { file: segmentPath(1), offset: hit?.start ?? 0 } })
        } else {
          // The marker, and what is behind the log, hold no entries; gaps between batches are not even looked at.
          expect(outcome, `byte ${at}`).toEqual({
            entries: entriesInOne,
            doubt: hit === marker || at >= alignToSector(marker.end),
          })
        }
      }
    }
  })

  test('damage leaves the files as they are', async () => {
    const world = await worldWith(image, (fresh) => flip(fresh, segmentPath(1), image.batches[2]!.start, 1))
    const before = Buffer.from(world.files.contents(segmentPath(1)))
    await outcomeOf(world)
    expect(before.equals(world.files.contents(segmentPath(1)))).toBe(true)
    expect(world.files.counts.writes).toBe(0)
  })

  test('damage names the file, the offset and what to do', async () => {
    const world = await worldWith(image, (fresh) => flip(fresh, segmentPath(1), image.batches[2]!.start + 50, 1))
    const outcome = await outcomeOf(world)
    expect(outcome).toMatchObject({ damaged: { code: 'DamagedLog', offset: image.batches[2]!.start } })
    expect((outcome as { damaged: Error }).damaged.message).toMatch(
      /0001\.wal, offset 1536: batch 3 is bad.*empty data directory/s,
    )
  })
})

describe('a log whose last batch has nothing behind it', { timeout }, () => {
  let image: Image
  beforeAll(async () => {
    image = await makeImage(entriesInOne, false)
  })

  test('a flipped byte in the last batch cuts it, durably; anywhere before it is damage', async () => {
    const last = image.batches.at(-1)!
    for (const mask of masks) {
      for (let at = 0; at < last.end; at++) {
        const world = await worldWith(image, (fresh) => flip(fresh, segmentPath(1), at, mask))
        const outcome = await outcomeOf(world)
        const isPadding = at >= 512 && !image.batches.some(({ start, end }) => at >= start && at < end)
        if (isPadding) expect(outcome).toEqual({ entries: entriesInOne, doubt: false })
        else if (at < last.start) expect(outcome, `byte ${at}`).toHaveProperty('damaged')
        else {
          expect(outcome, `byte ${at}`).toEqual({ entries: entriesInOne - 1, doubt: true })
          if (at % 16 === 0) await expectToGoOn(world, entriesInOne - 1)
        }
      }
    }
  })

  test('a tail that never arrived, from any byte on, leaves the batches before it', async () => {
    for (let at = 512; at <= segmentBytes; at++) {
      const world = await worldWith(image, (fresh) => void fresh.files.contents(segmentPath(1)).fill(0, at))
      const left = image.batches.filter((batch) => isUntouched(image, world, batch))
      const entries = Math.max(...left.map((batch) => batch.entries), 0)
      const content = image.batches.find((batch) => !left.includes(batch))
      const doubt =
        content !== undefined &&
        world.files
          .contents(segmentPath(1))
          .subarray(content.start)
          .some((byte) => byte !== 0)
      expect(await outcomeOf(world), `byte ${at}`).toEqual({ entries, doubt })
      if (at % 64 === 0) await expectToGoOn(world, entries)
    }
  })

  test('a file that was cut short, at any byte, is damage: its zeros were synced before it was used', async () => {
    for (let at = 0; at < segmentBytes; at++) {
      const world = await worldWith(image, (fresh) => {
        fresh.files.setContents(segmentPath(1), fresh.files.contents(segmentPath(1)).slice(0, at))
      })
      expect(await outcomeOf(world), `byte ${at}`).toHaveProperty('damaged')
    }
  })

  test('the last batch is written once more at the next start, since it may be in the page cache alone', async () => {
    const world = await worldWith(image, () => {})
    const bytesBefore = world.files.counts.bytesWritten
    const last = image.batches.at(-1)!
    await world.open({ segmentBytes, idleMarkerMs: 1_000_000 })
    expect(world.files.counts.bytesWritten - bytesBefore).toBe(last.end - last.start)
  })
})

function isUntouched(
  image: Image,
  world: World,
  { segment, start, end }: { segment: number; start: number; end: number },
): boolean {
  const path = segmentPath(segment)
  const now = Buffer.from(world.files.contents(path).subarray(start, end))
  return now.equals(image.files.get(path)!.subarray(start, end))
}

describe('a log of several segments', { timeout }, () => {
  let image: Image
  beforeAll(async () => {
    image = await makeImage(entriesInThree, false)
  })

  test('lies as the tests assume: several batches each in segments 1 and 2, one in segment 3, and two files ahead', () => {
    const perSegment = [1, 2, 3].map((segment) => image.batches.filter((batch) => batch.segment === segment).length)
    expect(perSegment[0]).toBeGreaterThan(2)
    expect(perSegment[1]).toBeGreaterThan(2)
    expect(perSegment[2]).toBe(1)
    expect([...image.files.keys()]).toEqual([1, 2, 3, 4, 5].map(segmentPath))
  })

  test('is read back as a whole', async () => {
    const world = await worldWith(image, () => {})
    expect(await outcomeOf(world)).toEqual({ entries: entriesInThree, doubt: false })
    await expectToGoOn(world, entriesInThree)
  })

  test('a flipped byte in a finished segment is damage, wherever a batch or a header lies', async () => {
    for (const segment of [1, 2]) {
      for (let at = 0; at < segmentBytes; at++) {
        const world = await worldWith(image, (fresh) => flip(fresh, segmentPath(segment), at, 0x04))
        const outcome = await outcomeOf(world)
        const hit = image.batches.some((batch) => batch.segment === segment && at >= batch.start && at < batch.end)
        if (at < 512 || hit) expect(outcome, `byte ${at}`).toMatchObject({ damaged: { file: segmentPath(segment) } })
        else expect(outcome, `byte ${at}`).toEqual({ entries: entriesInThree, doubt: false })
      }
    }
  })

  test('the first batch of a segment and its header were one write: either of them torn cuts both', async () => {
    const last = image.batches.at(-1)!
    for (let at = 0; at < last.end; at++) {
      const world = await worldWith(image, (fresh) => {
        flip(fresh, segmentPath(3), at, 0x20)
        // Made only after that write.
        fresh.files.lose(segmentPath(5))
      })
      expect(await outcomeOf(world), `byte ${at}`).toEqual({ entries: entriesInThree - 1, doubt: true })
      if (at % 64 === 0) await expectToGoOn(world, entriesInThree - 1)
    }
  })

  test('a bad header is damage when the file exists that is made after it was synced', async () => {
    const world = await worldWith(image, (fresh) => flip(fresh, segmentPath(3), 100, 0x20))
    expect(await outcomeOf(world)).toMatchObject({ damaged: { file: segmentPath(3), offset: 0 } })
  })

  test('a bad header is damage when two batches lie behind it, for the second proves that the first was synced', async () => {
    const marked = await makeImage(entriesInThree, true)
    for (let at = 0; at < 512; at++) {
      const world = await worldWith(marked, (fresh) => flip(fresh, segmentPath(3), at, 0x10))
      expect(await outcomeOf(world), `byte ${at}`).toMatchObject({ damaged: { file: segmentPath(3), offset: 0 } })
    }
  })

  test.each([1, 2, 3])('the loss of file %i is damage', async (sequence) => {
    const world = await worldWith(image, (fresh) => fresh.files.lose(segmentPath(sequence)))
    expect(await outcomeOf(world)).toMatchObject({ damaged: { file: segmentPath(sequence) } })
  })

  test('the loss of the last files is damage too: the successor of every used segment was made before it', async () => {
    for (const from of [2, 3, 4]) {
      const world = await worldWith(image, (fresh) => {
        for (let sequence = from; sequence <= 5; sequence++) fresh.files.lose(segmentPath(sequence))
      })
      expect(await outcomeOf(world)).toMatchObject({ damaged: { file: segmentPath(from) } })
    }
  })

  test('two segments that changed places are damage', async () => {
    const world = await worldWith(image, (fresh) => {
      fresh.files.setContents(segmentPath(1), image.files.get(segmentPath(2))!)
      fresh.files.setContents(segmentPath(2), image.files.get(segmentPath(1))!)
    })
    expect(await outcomeOf(world)).toHaveProperty('damaged')
  })

  test('a batch of another segment at the same place is not taken for one of this segment', async () => {
    // As if segment 3 were a recycled file that still held the bytes of segment 2 behind its first batch.
    const last = image.batches.at(-1)!
    const world = await worldWith(image, (fresh) => {
      const stale = image.files.get(segmentPath(2))!.slice(last.end + 512)
      fresh.files.contents(segmentPath(3)).set(stale, last.end + 512)
    })
    expect(await outcomeOf(world)).toEqual({ entries: entriesInThree, doubt: true })
  })

  test('the segments of another node, or of another incarnation, are refused by name', async () => {
    for (const other of [
      { nodeId: 'n2', incarnation: 'first-life' },
      { nodeId: 'n1', incarnation: 'second-life' },
    ]) {
      const world = await worldWith(image, () => {})
      await expect(world.open({ segmentBytes, identity: other })).rejects.toThrow(
        /belongs to node n1, incarnation first-life/,
      )
    }
  })

  test('an empty directory is refused when a log must be there', async () => {
    const world = await worldWith({ files: new Map(), batches: [] }, () => {})
    expect(await outcomeOf(world)).toMatchObject({ damaged: { file: segmentPath(1) } })
    expect(await outcomeOf(world, false)).toEqual({ entries: 0, doubt: false })
  })
})
