import { beforeEach, describe, expect, test } from 'vitest'
import type { GroupLog } from '../../node/storage/group-log.ts'
import { HeldEntries } from '../../node/storage/held-entries.ts'
import { KeptTable } from '../../node/storage/kept-table.ts'
import { LogIndexTable, PlacementBuilder } from '../../node/storage/log-index.ts'
import { TermRuns } from '../../node/storage/term-runs.ts'
import { type Entry, EntryType } from '../../raft/index.ts'
import { directory, group, World } from './support/world.ts'

function entry(index: number, term = 1): Entry {
  return { index, term, type: EntryType.command, data: Buffer.alloc(500, `body ${index};`) }
}

/** A log from 1 on, of which each ten entries lie in a segment of their own. */
function heldUpTo(last: number): HeldEntries {
  const index = new LogIndexTable()
  const terms = new TermRuns()
  terms.push(1, 1)
  for (let i = 1; i <= last; i++) index.push(Math.ceil(i / 10), 512 + i, 500)
  return new HeldEntries(index, terms, new KeptTable())
}

function heldOf(held: HeldEntries): number[] {
  const placement = new PlacementBuilder()
  held.collect(0, 1e9, placement)
  return placement.indexes
}

describe('a compaction that is under way', () => {
  const need = { live: [new Set([5, 15])], keepFrom: 9 }
  let held: HeldEntries

  beforeEach(() => {
    held = heldUpTo(30)
    held.compact(21, 30, need)
  })

  const finish = () => {
    while (held.compactSome(1));
    return heldOf(held)
  }

  test('has let go of what is not needed before the tables follow', () => {
    const there = [4, 5, 6, 15, 20, 21].map((index) => held.has(index))
    expect(there).toEqual([false, true, false, true, false, true])
    const found = heldOf(held)
    expect(found).toEqual([5, 15, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30])
    expect(finish()).toEqual(found)
  })

  test('leaves what is kept meanwhile, though the plan does not know of it', () => {
    held.put(entry(6), 9, 512)
    expect(held.has(6)).toBe(true)
    expect(finish()).toContain(6)
  })

  test('leaves what a reset of the log keeps meanwhile', () => {
    held.reset({ index: 40, term: 2 }, 30)
    expect(finish()).toEqual([5, 15, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30])
  })
})

test('a compaction leaves an entry that was kept beside the log since the segment that it ends at, and not the log’s own ones there', () => {
  const held = heldUpTo(30)
  held.put(entry(25), 3, 9_999)
  held.compact(31, 30, { live: [], keepFrom: 3 })
  while (held.compactSome(1));
  expect(heldOf(held)).toEqual([25])
})

describe('an entry that lies in the log and beside it', () => {
  const inLog = { sequence: 1, offset: 515 }
  const beside = { sequence: 7, offset: 99 }
  let held: HeldEntries

  beforeEach(() => {
    held = heldUpTo(10)
    held.put(entry(3), beside.sequence, beside.offset)
  })

  const placeOf3 = () => {
    const placement = new PlacementBuilder()
    held.collect(3, 1, placement)
    const [index, sequence] = [placement.indexes[0], placement.sequences[0]]
    return index === 3 ? sequence : undefined
  }

  test('is held, and read, as long as one of the two is whole', () => {
    expect(placeOf3()).toBe(7)
    expect(held.markDamaged(3, beside)).toBe(true)
    expect([held.has(3), held.isDamaged(3), placeOf3()]).toEqual([true, false, 1])
    expect(held.hasCommitted(3, 2)).toBe(false)
    expect(held.markDamaged(3, inLog)).toBe(true)
    expect([held.has(3), held.isDamaged(3), placeOf3()]).toEqual([false, true, undefined])
  })

  test('stays readable beside the log when it is the log that is damaged', () => {
    held.markDamaged(3, inLog)
    expect([held.has(3), held.isDamaged(3), placeOf3()]).toEqual([true, true, 7])
    held.reset({ index: 20, term: 2 }, 10)
    expect([held.has(3), placeOf3()]).toEqual([true, 7])
  })

  test('is kept from the log when what lies beside it is damaged', () => {
    held.markDamaged(3, beside)
    held.reset({ index: 20, term: 2 }, 10)
    expect([held.has(3), placeOf3()]).toEqual([true, 1])
  })

  test('is not damaged by what lay at a place that nobody reads any more', () => {
    expect(held.markDamaged(3, { sequence: 5, offset: 99 })).toBe(false)
    expect(held.markDamaged(3, beside)).toBe(true)
    expect(held.markDamaged(3, beside)).toBe(false)
    held.put(entry(3), 9, 1)
    expect(held.markDamaged(3, beside)).toBe(false)
    expect(placeOf3()).toBe(9)
  })
})

describe('a read that took its places before', () => {
  const rot = (world: World, text: string) => {
    const bytes = world.files.contents(`${directory}/0000000000000001.wal`)
    const at = Buffer.from(bytes).indexOf(text)
    bytes[at] = (bytes[at] as number) ^ 1
  }

  const placeOf = (log: GroupLog, index: number) => {
    const placement = new PlacementBuilder()
    log.held.collect(index, 1, placement)
    return placement
  }

  test('does not take for rotten what was mended since', async () => {
    const world = new World(5)
    const log = (await world.open()).group(group)
    await world.settle(log.keep([entry(3)]))
    const before = placeOf(log, 3)
    rot(world, 'body 3;')
    const damaged: number[] = []
    log.onDamaged = (index) => damaged.push(index)
    await world.settle(log.readHeld(3, 1))
    expect([log.holds(3), damaged]).toEqual([false, [3]])
    await world.settle(log.keep([entry(3)]))
    expect(log.holds(3)).toBe(true)
    await world.settle(log.rewrite(before))
    expect([log.holds(3), damaged]).toEqual([true, [3]])
  })

  test('gives what the log holds when its copy beside the log is rotten, above the checkpoint too', async () => {
    const world = new World(5)
    const log = (await world.open()).group(group)
    await world.settle(log.keep([entry(1)]))
    rot(world, 'body 1;')
    await world.settle(log.append({ entries: [entry(1), entry(2)] }))
    log.onDamaged = () => expect.unreachable('it is held in the log')
    const found = await world.settle(log.readHeld(1, 1))
    expect(found.map(({ index }) => index)).toEqual([1])
    expect(log.holds(1)).toBe(true)
  })
})
