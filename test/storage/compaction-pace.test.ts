/** How a compaction goes about its work while the node goes on: what it does first, what it stops for, and what it reads anew. */
import { expect, test } from 'vitest'
import type { GroupLog } from '../../node/storage/group-log.ts'
import { HeldEntries } from '../../node/storage/held-entries.ts'
import { KeptTable } from '../../node/storage/kept-table.ts'
import { LogIndexTable } from '../../node/storage/log-index.ts'
import { nothingRemoved, type SegmentManifest, withRemoved } from '../../node/storage/segment-manifest.ts'
import { TermRuns } from '../../node/storage/term-runs.ts'
import type { Wal } from '../../node/storage/wal.ts'
import { type Entry, EntryType } from '../../raft/index.ts'
import { directory, group, World } from './support/world.ts'

const segmentBytes = 1024 * 1024
const entryBytes = 58_000

function entry(index: number): Entry {
  return { index, term: 1, type: EntryType.command, data: Buffer.alloc(entryBytes, `${index} `) }
}

interface Bench {
  readonly world: World
  readonly wal: Wal
  readonly log: GroupLog
  /** The segments that went, in their order. */
  readonly gone: number[]
}

/** A log whose segments hold some seventeen entries each. */
async function benchWith(entries: number): Promise<Bench> {
  const world = new World()
  const gone: number[] = []
  let value = nothingRemoved
  const manifest: SegmentManifest = {
    get value() {
      return value
    },
    remove: async (sequences) => {
      value = withRemoved(value, sequences)
      // The last removal tells of earlier ones once more.
      gone.push(...sequences.filter((sequence) => !gone.includes(sequence)))
    },
  }
  const wal = await world.open({ segmentBytes, manifest, idleMarkerMs: 1e9 })
  const log = wal.group(group)
  for (let index = 1; index <= entries; index++) {
    const hardState = { term: 1, vote: 'n1', commit: index - 1 }
    await world.settle(log.append({ hardState, entries: [entry(index)] }))
  }
  return { world, wal, log, gone }
}

function every(divisor: number, last: number): Set<number> {
  const found = new Set<number>()
  for (let index = 1; index <= last; index++) if (index % divisor === 0) found.add(index)
  return found
}

test('a compaction stops rewriting between two pieces when a newer plan waits, which frees what it no longer needs', async () => {
  const { world, wal } = await benchWith(160)
  let isSuperseded = false
  const live = every(3, 155)
  const first = wal.compact({ group, firstIndex: 156, live, isSuperseded: () => isSuperseded })
  await world.pass(1)
  isSuperseded = true
  const second = wal.compact({ group, firstIndex: 156, live: new Set([3]) })
  const stopped = await world.settle(first)
  expect(stopped.bytesCopied).toBeLessThan(10 * entryBytes)
  const { bytesCopied, removed } = await world.settle(second)
  expect(removed).toBeGreaterThan(6)
  expect(bytesCopied).toBeLessThanOrEqual(entryBytes)
})

test('a compaction that is superseded from its start copies as much as comes in all the same, or none would ever get to it', async () => {
  const { world, wal, log } = await benchWith(160)
  const compaction = wal.compact({ group, firstIndex: 156, live: every(3, 155), isSuperseded: () => true })
  const entries = Array.from({ length: 10 }, (_, i) => entry(161 + i))
  const [{ bytesCopied }] = await world.settle(Promise.all([compaction, log.append({ entries })]))
  expect(bytesCopied).toBeGreaterThan(10 * entryBytes)
  expect(bytesCopied).toBeLessThan(16 * entryBytes)
})

test('the sparsest segments are rewritten first', async () => {
  const { world, wal, gone } = await benchWith(60)
  // Of the first segment several entries, of the third one alone.
  const live = new Set([1, 2, 3, 4, 5, 40])
  const { rewritten } = await world.settle(wal.compact({ group, firstIndex: 58, live }))
  expect(rewritten).toBe(2)
  expect(gone.at(-1)).toBe(1)
  expect(gone).toContain(3)
})

test('what is mended while its segment is rewritten is not read at its old place any more', async () => {
  const { world, wal, log } = await benchWith(60)
  const live = new Set([1, 2, 3, 4, 5, 6, 7])
  const rewrite = log.rewrite.bind(log)
  let pieces = 0
  log.rewrite = async (piece) => {
    await rewrite(piece)
    if (pieces++ > 0) return
    // Behind the first piece: the last entry of the second one rots, is found, and a peer has it.
    const bytes = world.files.contents(`${directory}/0000000000000001.wal`)
    bytes[Buffer.from(bytes).indexOf('7 7 7 7')] = 0
    await log.readHeld(7, 1)
    expect(await log.missing([...live])).toEqual([7])
    await log.keep([entry(7)])
    log.onDamaged = (index) => damaged.push(index)
  }
  const damaged: number[] = []
  await world.settle(wal.compact({ group, firstIndex: 58, live }))
  expect(pieces).toBe(2)
  expect(damaged).toEqual([])
  expect(await log.missing([...live])).toEqual([])
})

test('the kept entries of some segments are found in slices, whatever is added meanwhile', () => {
  const kept = new KeptTable()
  const held = new HeldEntries(new LogIndexTable(), new TermRuns(0), kept)
  for (let index = 1; index <= 100; index++) kept.put(index, index % 5, index, 10)
  const segments = new Map<number, number[]>([
    [1, []],
    [3, []],
  ])
  let slices = 0
  for (let from: number | undefined = 0; from !== undefined; slices++) {
    from = held.findKept(segments, from, 30)
    // Both out of order, and in a segment that nobody asked for.
    kept.put(0, 9, slices, 10)
    kept.put(71, 9, slices, 10)
  }
  expect(slices).toBe(4)
  const found = (remainder: number) => [...every(1, 100)].filter((index) => index % 5 === remainder && index !== 71)
  expect([segments.get(1), segments.get(3)]).toEqual([found(1), found(3)])
})
