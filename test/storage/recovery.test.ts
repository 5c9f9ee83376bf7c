import { crc32 } from 'node:zlib'
import { beforeAll, describe, expect, test } from 'vitest'
import { DamagedLogError } from '../../node/storage/errors.ts'
import type { RecoveryReport } from '../../node/storage/recovery-report.ts'
import { alignToSector } from '../../node/storage/segment.ts'
import { nothingRemoved, withRemoved } from '../../node/storage/segment-manifest.ts'
import type { Wal, WalOptions } from '../../node/storage/wal.ts'
import {
  type BatchPlace,
  type Image,
  imageEntry,
  makeImage,
  segmentBytes,
  segmentPath,
  textOf,
  worldWith,
} from './support/image.ts'
import { group, type World } from './support/world.ts'

/** Five entries in segment 1. */
const entriesInOne = 5
/** Enough for a second segment with several batches, and one batch alone in a third. */
const entriesInThree = 14

/** Some tests open thousands of logs. */
const timeout = 120_000

interface Outcome {
  /** Of the log: its first and its last entry. */
  readonly first: number
  readonly last: number
  readonly torn: boolean
  /** `file@offset` */
  readonly damages: readonly string[]
  readonly forgets: boolean
}

const quiet = { torn: false, damages: [], forgets: false }

function whole(last: number): Outcome {
  return { first: 1, last, ...quiet }
}

function place(sequence: number, offset: number): string {
  return `${segmentPath(sequence)}@${offset}`
}

async function openAccepting(
  world: World,
  options: Partial<WalOptions>,
): Promise<{ wal: Wal; told: RecoveryReport[] }> {
  const told: RecoveryReport[] = []
  const onDoubt = async (report: RecoveryReport): Promise<void> => {
    told.push(report)
    expect(world.files.counts.writes, 'nothing is written before it was told').toBe(writesBefore)
  }
  const writesBefore = world.files.counts.writes
  const wal = await world.open({ segmentBytes, mustExist: true, onDoubt, ...options })
  expect(told.length === 0 || told[0] === wal.report).toBe(true)
  return { wal, told }
}

async function outcomeOf(world: World, options: Partial<WalOptions> = {}): Promise<Outcome> {
  const { wal, told } = await openAccepting(world, options)
  const log = wal.group(group)
  const { firstIndex, lastIndex, hardState, baseTerm } = log.recovered()
  const { torn, damages, forgets } = wal.report
  // Whatever comes out must be exactly what was written.
  for (let index = firstIndex; index <= lastIndex; ) {
    const found = await world.settle(log.read(index, 1_000_000))
    expect(found.length).toBeGreaterThan(0)
    for (const entry of found) {
      expect({ ...entry, data: Buffer.from(entry.data).toString() }).toEqual({
        ...imageEntry(index),
        data: textOf(index),
      })
      index++
    }
  }
  if (firstIndex > 1) expect(baseTerm).toBe(imageEntry(firstIndex - 1).term)
  expect(hardState.commit).toBeLessThanOrEqual(lastIndex)
  const reaches = imageEntry(lastIndex)
  if (!forgets && lastIndex > 0)
    expect(hardState).toEqual({ term: reaches.term, vote: `n${lastIndex}`, commit: lastIndex - 1 })
  await world.settle(wal.close())
  expect(told.length > 0).toBe(torn !== undefined || damages.length > 0 || forgets)
  const places = damages.map(({ file, offset }) => `${file}@${offset}`)
  return { first: firstIndex, last: lastIndex, torn: torn !== undefined, damages: places, forgets }
}

/** A second start finds the same and has nothing to tell; the log goes on, and a third start finds that. */
async function expectToGoOn(world: World, { first, last }: Outcome, options: Partial<WalOptions> = {}): Promise<void> {
  const { wal, told } = await openAccepting(world, options)
  expect(told).toEqual([])
  expect(wal.group(group).recovered()).toMatchObject({ firstIndex: first, lastIndex: last })
  const next = imageEntry(last + 1)
  const term = Math.max(next.term, wal.group(group).recovered().hardState.term)
  const hardState = { term, vote: `n${last + 1}`, commit: last }
  await world.settle(wal.group(group).append({ hardState, entries: [next] }))
  world.files.crash()
  const again = await openAccepting(world, options)
  expect(again.told).toEqual([])
  expect(again.wal.group(group).recovered()).toMatchObject({ firstIndex: first, lastIndex: last + 1, hardState })
  await world.settle(again.wal.close())
}

function flip(world: World, path: string, at: number, mask: number): void {
  const bytes = world.files.contents(path)
  bytes[at] = (bytes[at] as number) ^ mask
}

function hitBy(image: Image, segment: number, at: number): BatchPlace | undefined {
  return image.batches.find((batch) => batch.segment === segment && at >= batch.start && at < batch.end)
}

/** The segment in use lost its header: all is there, but nothing tells that the file has not lost its end too. */
function withoutHeader(sequence: number, last: number): Outcome {
  return { ...whole(last), damages: [place(sequence, 0)], forgets: true }
}

/**
 * The last entry when a batch is lost: the one before it, or what was known as committed by then, which is one less, for what was lost
 * may have replaced the rest.
 */
function survivors({ entries }: BatchPlace): number[] {
  return [entries - 1, entries - 2].map((last) => Math.max(0, last))
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

  test('every flipped byte is told as damage or costs nothing, and nothing is lost in silence', async () => {
    const marker = image.batches.at(-1)!
    for (const mask of masks) {
      for (let at = 0; at < segmentBytes; at++) {
        const world = await worldWith(image, (fresh) => flip(fresh, segmentPath(1), at, mask))
        const outcome = await outcomeOf(world)
        const hit = hitBy(image, 1, at)
        const isTail = hit === marker || at >= alignToSector(marker.end)
        if (isTail) expect(outcome, `byte ${at}`).toEqual({ ...whole(entriesInOne), torn: true, forgets: true })
        else if (at < 512) expect(outcome, `byte ${at}`).toEqual(withoutHeader(1, entriesInOne))
        else if (hit === undefined) expect(outcome, `byte ${at}`).toEqual(whole(entriesInOne))
        else {
          expect(outcome.damages, `byte ${at}`).toHaveLength(1)
          const offset = Number(outcome.damages[0]!.split('@')[1])
          expect(offset >= hit.start && offset < hit.end && offset <= at).toBe(true)
          expect([...survivors(hit), entriesInOne]).toContain(outcome.last)
          if (outcome.last < entriesInOne) expect(outcome.forgets, `byte ${at}`).toBe(true)
        }
        if (at % 61 === 0) await expectToGoOn(world, outcome)
      }
    }
  })

  test('the first of several batches is salvaged up to the record that is hit', async () => {
    const third = image.batches[3]!
    // The first byte of the vote: the entry behind it is whole, and a later batch tells the vote anew.
    const world = await worldWith(image, (fresh) => flip(fresh, segmentPath(1), third.start + 40 + 48, 1))
    expect(await outcomeOf(world)).toEqual({ ...whole(entriesInOne), damages: [place(1, third.start + 40)] })
  })

  test('a last hard state that is damaged is forgotten, though every entry is there', async () => {
    const last = image.batches[entriesInOne]!
    const world = await worldWith(image, (fresh) => flip(fresh, segmentPath(1), last.start + 40 + 48, 1))
    const outcome = await outcomeOf(world)
    expect(outcome).toMatchObject({ last: entriesInOne, forgets: true })
  })

  test('damage at or below the checkpoint is not forgetting: the log begins behind it', async () => {
    const mark = { index: 3, term: imageEntry(3).term }
    for (let at = 512; at < image.batches[3]!.end; at++) {
      const world = await worldWith(image, (fresh) => flip(fresh, segmentPath(1), at, 0x08))
      const outcome = await outcomeOf(world, { checkpoint: { group, mark } })
      expect(outcome, `byte ${at}`).toMatchObject({ last: entriesInOne, torn: false, forgets: false })
      const hit = hitBy(image, 1, at)
      expect(outcome.damages).toHaveLength(hit === undefined ? 0 : 1)
      expect([1, (hit?.entries ?? 0) + 1]).toContain(outcome.first)
      if (at % 31 === 0) await expectToGoOn(world, outcome, { checkpoint: { group, mark } })
    }
  })

  test('who is told of damage may refuse, and the files are as they were', async () => {
    const world = await worldWith(image, (fresh) => flip(fresh, segmentPath(1), image.batches[2]!.start, 1))
    const before = Buffer.from(world.files.contents(segmentPath(1)))
    const refusal = new Error('no')
    const onDoubt = () => Promise.reject(refusal)
    await expect(world.open({ segmentBytes, mustExist: true, onDoubt })).rejects.toBe(refusal)
    expect(before.equals(world.files.contents(segmentPath(1)))).toBe(true)
    expect(world.files.counts.writes).toBe(0)
  })

  test('nobody being there to be told, damage ends the start and names the file and the offset', async () => {
    const world = await worldWith(image, (fresh) => flip(fresh, segmentPath(1), image.batches[2]!.start + 50, 1))
    const opened = world.open({ segmentBytes, mustExist: true })
    await expect(opened).rejects.toBeInstanceOf(DamagedLogError)
    await expect(opened).rejects.toMatchObject({ code: 'DamagedLog', file: segmentPath(1) })
    await expect(opened).rejects.toThrow(/0001\.wal, offset 15\d\d: /)
    expect(world.files.counts.writes).toBe(0)
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
      for (let at = 512; at < last.end; at++) {
        const world = await worldWith(image, (fresh) => flip(fresh, segmentPath(1), at, mask))
        const outcome = await outcomeOf(world)
        if (hitBy(image, 1, at) === undefined) expect(outcome).toEqual(whole(entriesInOne))
        else if (at < last.start) expect(outcome.damages, `byte ${at}`).toHaveLength(1)
        else {
          expect(outcome, `byte ${at}`).toEqual({ ...whole(entriesInOne - 1), torn: true, forgets: true })
          if (at % 16 === 0) await expectToGoOn(world, outcome)
        }
      }
    }
  })

  test('a tail that never arrived, from any byte on, leaves the batches before it', async () => {
    for (let at = image.batches[0]!.end; at <= segmentBytes; at++) {
      const world = await worldWith(image, (fresh) => void fresh.files.contents(segmentPath(1)).fill(0, at))
      const left = image.batches.filter((batch) => isUntouched(image, world, batch))
      const entries = Math.max(...left.map((batch) => batch.entries), 0)
      const content = image.batches.find((batch) => !left.includes(batch))
      const rest = content && world.files.contents(segmentPath(1)).subarray(content.start)
      const torn = rest?.some((byte) => byte !== 0) === true
      const outcome = await outcomeOf(world)
      expect(outcome, `byte ${at}`).toEqual({ ...whole(entries), torn, forgets: torn })
      if (at % 64 === 0) await expectToGoOn(world, outcome)
    }
  })

  test('a file that was cut short, at any byte, is damage: its zeros were synced before it was used', async () => {
    for (let at = 0; at < segmentBytes; at++) {
      const world = await worldWith(image, (fresh) => {
        fresh.files.setContents(segmentPath(1), fresh.files.contents(segmentPath(1)).slice(0, at))
      })
      const outcome = await outcomeOf(world)
      expect(outcome.damages.length, `byte ${at}`).toBeGreaterThan(0)
      expect(outcome.forgets).toBe(true)
      if (at % 97 === 0) await expectToGoOn(world, outcome)
    }
  })

  test('the last batch is written once more at the next start, since it may be in the page cache alone', async () => {
    const world = await worldWith(image, () => {})
    const bytesBefore = world.files.counts.bytesWritten
    const last = image.batches.at(-1)!
    await world.open({ segmentBytes, idleMarkerMs: 1_000_000 })
    expect(world.files.counts.bytesWritten - bytesBefore).toBe(last.end - last.start)
  })

  test('whoever has a checkpoint that the log does not lead from hears of it', async () => {
    // As after a compaction whose checkpoint was lost: the log begins at 4.
    const world = await worldWith(image, () => {})
    const wal = await world.open({ segmentBytes, mustExist: true })
    await world.settle(wal.group(group).reset({ index: 9, term: 3 }))
    await world.settle(wal.group(group).append({ entries: [{ ...imageEntry(10), term: 3 }] }))
    await world.settle(wal.close())
    const { told } = await openAccepting(world, {})
    expect(told).toMatchObject([{ forgets: true, damages: [{ what: expect.stringContaining('checkpoint') }] }])
  })
})

function isUntouched(image: Image, world: World, { segment, start, end }: BatchPlace): boolean {
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
    expect(await outcomeOf(world)).toEqual(whole(entriesInThree))
    await expectToGoOn(world, whole(entriesInThree))
  })

  test('a flipped byte in a finished segment is damage, wherever a batch or a header lies', async () => {
    for (const segment of [1, 2]) {
      for (let at = 0; at < segmentBytes; at++) {
        const world = await worldWith(image, (fresh) => flip(fresh, segmentPath(segment), at, 0x04))
        const outcome = await outcomeOf(world)
        const hit = hitBy(image, segment, at)
        if (at < 512) expect(outcome, `byte ${at}`).toEqual({ ...whole(entriesInThree), damages: [place(segment, 0)] })
        else if (hit === undefined) expect(outcome, `byte ${at}`).toEqual(whole(entriesInThree))
        else {
          expect(outcome.damages, `byte ${at}`).toHaveLength(1)
          expect(outcome.damages[0]).toContain(segmentPath(segment))
          expect([...survivors(hit), entriesInThree]).toContain(outcome.last)
          expect(outcome.forgets).toBe(outcome.last < entriesInThree)
        }
        if (at % 173 === 0) await expectToGoOn(world, outcome)
      }
    }
  })

  test('any damage in a segment all of which is at or below the checkpoint loses nothing above it', async () => {
    const lastInOne = Math.max(...image.batches.filter(({ segment }) => segment === 1).map(({ entries }) => entries))
    const mark = { index: lastInOne, term: imageEntry(lastInOne).term }
    const options = { checkpoint: { group, mark } }
    const damages: ((world: World) => void)[] = [
      (world) => world.files.lose(segmentPath(1)),
      (world) => void world.files.contents(segmentPath(1)).fill(0),
      (world) => void world.files.contents(segmentPath(1)).fill(7),
      (world) => world.files.setContents(segmentPath(1), new Uint8Array(100)),
    ]
    for (const damage of damages) {
      const world = await worldWith(image, damage)
      const outcome = await outcomeOf(world, options)
      expect(outcome).toMatchObject({ first: lastInOne + 1, last: entriesInThree, torn: false, forgets: false })
      expect(outcome.damages.length).toBeGreaterThan(0)
      await expectToGoOn(world, outcome, options)
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
      const outcome = await outcomeOf(world)
      expect(outcome, `byte ${at}`).toEqual({ ...whole(entriesInThree - 1), torn: true, forgets: true })
      if (at % 64 === 0) await expectToGoOn(world, outcome)
    }
  })

  test('a bad header or first batch is damage when the file exists that is made after they were synced', async () => {
    const withBadHeader = await worldWith(image, (fresh) => flip(fresh, segmentPath(3), 100, 0x20))
    expect(await outcomeOf(withBadHeader)).toEqual(withoutHeader(3, entriesInThree))
    const withBadBatch = await worldWith(image, (fresh) => flip(fresh, segmentPath(3), 520, 0x20))
    const outcome = await outcomeOf(withBadBatch)
    expect(outcome).toMatchObject({ damages: [place(3, 512)], forgets: true })
    await expectToGoOn(withBadBatch, outcome)
  })

  test('a bad header is damage when two batches lie behind it, for the second proves that the first was synced', async () => {
    const marked = await makeImage(entriesInThree, true)
    for (let at = 0; at < 512; at++) {
      const world = await worldWith(marked, (fresh) => {
        flip(fresh, segmentPath(3), at, 0x10)
        fresh.files.lose(segmentPath(5))
      })
      expect(await outcomeOf(world), `byte ${at}`).toEqual(withoutHeader(3, entriesInThree))
    }
  })

  test.each([1, 2, 3])('the loss of file %i is damage', async (sequence) => {
    const world = await worldWith(image, (fresh) => fresh.files.lose(segmentPath(sequence)))
    const outcome = await outcomeOf(world)
    expect(outcome.damages[0]).toBe(place(sequence, 0))
    const firstLost = image.batches.find(({ segment }) => segment === sequence) as BatchPlace
    expect(survivors(firstLost)).toContain(outcome.last)
    expect(outcome.forgets).toBe(true)
    await expectToGoOn(world, outcome)
  })

  test('the loss of the last files is damage too: the successor of every used segment was made before it', async () => {
    for (const from of [2, 3, 4]) {
      const world = await worldWith(image, (fresh) => {
        for (let sequence = from; sequence <= 5; sequence++) fresh.files.lose(segmentPath(sequence))
      })
      const outcome = await outcomeOf(world)
      expect(outcome).toMatchObject({ damages: [place(from, 0)], forgets: true })
      await expectToGoOn(world, outcome)
    }
  })

  test('the loss of a file that was removed on purpose is none', async () => {
    const lastInOne = Math.max(...image.batches.filter(({ segment }) => segment === 1).map(({ entries }) => entries))
    const mark = { index: lastInOne, term: imageEntry(lastInOne).term }
    const manifest = { value: { removedBelow: 2, removed: [] }, remove: () => Promise.resolve() }
    const options = { checkpoint: { group, mark }, manifest }
    const world = await worldWith(image, (fresh) => fresh.files.lose(segmentPath(1)))
    const outcome = await outcomeOf(world, options)
    expect(outcome).toEqual({ first: lastInOne + 1, last: entriesInThree, ...quiet })
    await expectToGoOn(world, outcome, options)
    // A crash may have left the file: it counts no more, and goes.
    const leftover = await worldWith(image, () => {})
    expect(await outcomeOf(leftover, options)).toEqual({ first: lastInOne + 1, last: entriesInThree, ...quiet })
    expect(await leftover.settle(leftover.files.list('/data/wal'))).not.toContain(segmentPath(1).split('/').at(-1))
  })

  test('a log starts however many segments were removed behind one that is still needed', async () => {
    const removed = Array.from({ length: 200_000 }, (_, i) => i + 2)
    const manifest = { value: withRemoved(nothingRemoved, removed), remove: () => Promise.resolve() }
    const lastInOne = Math.max(...image.batches.filter(({ segment }) => segment === 1).map(({ entries }) => entries))
    const mark = { index: lastInOne, term: imageEntry(lastInOne).term }
    const world = await worldWith(image, () => {})
    const outcome = await outcomeOf(world, { manifest, checkpoint: { group, mark } })
    // The last one in use is listed, and so is every file that counts but the first: of what lies behind it nobody can tell.
    expect(outcome).toMatchObject({ last: lastInOne, damages: [place(200_002, 0)] })
    expect(await world.settle(world.files.list('/data/wal'))).not.toContain(segmentPath(2).split('/').at(-1))
  })

  test('two segments that changed places are damage', async () => {
    const world = await worldWith(image, (fresh) => {
      fresh.files.setContents(segmentPath(1), image.files.get(segmentPath(2))!)
      fresh.files.setContents(segmentPath(2), image.files.get(segmentPath(1))!)
    })
    const outcome = await outcomeOf(world)
    expect(outcome).toMatchObject({ last: 0, forgets: true })
    expect(outcome.damages).toContain(place(1, 0))
    await expectToGoOn(world, outcome)
  })

  test('a batch of another segment at the same place is not taken for one of this segment', async () => {
    // As if segment 3 were a recycled file that still held the bytes of segment 2 behind its first batch.
    const last = image.batches.at(-1)!
    const world = await worldWith(image, (fresh) => {
      const stale = image.files.get(segmentPath(2))!.slice(last.end + 512)
      fresh.files.contents(segmentPath(3)).set(stale, last.end + 512)
    })
    expect(await outcomeOf(world)).toEqual({ ...whole(entriesInThree), torn: true, forgets: true })
  })

  test('the segments of another node, or of another incarnation, are refused by name', async () => {
    for (const other of [
      { nodeId: 'n2', incarnation: 'first-life' },
      { nodeId: 'n1', incarnation: 'second-life' },
    ]) {
      const world = await worldWith(image, () => {})
      const onDoubt = () => Promise.resolve()
      await expect(world.open({ segmentBytes, identity: other, onDoubt })).rejects.toThrow(
        /belongs to node n1, incarnation first-life/,
      )
      expect(world.files.counts.writes).toBe(0)
    }
  })

  test('a format that is not known is refused', async () => {
    const world = await worldWith(image, (fresh) => {
      const header = Buffer.from(fresh.files.contents(segmentPath(2)).buffer, 0, 512)
      header.writeUInt32LE(99, 12)
      header.writeUInt32LE(crc32(header.subarray(4)), 0)
    })
    await expect(world.open({ segmentBytes, onDoubt: () => Promise.resolve() })).rejects.toThrow('does not know')
  })

  test('an empty directory is damage when a log must be there, and a new log when not', async () => {
    const empty = { files: new Map(), batches: [] }
    const lost = await worldWith(empty, () => {})
    const outcome = await outcomeOf(lost)
    expect(outcome).toEqual({ first: 1, last: 0, torn: false, damages: [place(1, 0)], forgets: true })
    await expectToGoOn(lost, outcome)
    expect(await outcomeOf(await worldWith(empty, () => {}), { mustExist: false })).toEqual(whole(0))
    // The manifest must never cover a segment of the new log.
    const manifest = { value: { removedBelow: 7, removed: [{ from: 9, to: 10 }] }, remove: () => Promise.resolve() }
    const compacted = await worldWith(empty, () => {})
    await outcomeOf(compacted, { manifest })
    expect((await compacted.settle(compacted.files.list('/data/wal')))[0]).toBe(segmentPath(10).split('/').at(-1))
  })
})
