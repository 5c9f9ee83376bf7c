/** Files of removed segments that become segments again: at each moment of that the power may go. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isSpareName, segmentName, segmentSequence } from '../../node/storage/segment.ts'
import { nothingRemoved, type SegmentManifest, withRemoved } from '../../node/storage/segment-manifest.ts'
import { SPARES_MAX } from '../../node/storage/segment-spares.ts'
import type { Wal, WalOptions } from '../../node/storage/wal.ts'
import { type Entry, EntryType } from '../../raft/index.ts'
import { findStrangers } from './support/strangers.ts'
import { directory, group, readWhole, World } from './support/world.ts'

const segmentBytes = 8192

function entry(index: number, bytes: number): Entry {
  return { index, term: 1, type: EntryType.command, data: Buffer.alloc(bytes, `${index} `) }
}

class Bench {
  readonly world: World
  removed = nothingRemoved
  wal!: Wal
  /** Highest index whose append has resolved. */
  synced = 0
  #next = 1

  constructor(seed = 1) {
    this.world = new World(seed)
  }

  async open(options: Partial<WalOptions> = {}): Promise<void> {
    const read = () => this.removed
    const manifest: SegmentManifest = {
      get value() {
        return read()
      },
      remove: async (sequences) => {
        this.removed = withRemoved(this.removed, sequences)
      },
    }
    this.wal = await this.world.open({ segmentBytes, manifest, idleMarkerMs: 1e9, ...options })
  }

  /** One entry a batch: ten of them fill a segment. */
  async fill(entries: number, bytes = 700): Promise<void> {
    for (let i = 0; i < entries; i++) {
      const index = this.#next++
      const hardState = { term: 1, vote: 'n1', commit: index - 1 }
      await this.wal.group(group).append({ hardState, entries: [entry(index, bytes)] })
      this.synced = index
    }
  }

  compact(firstIndex: number, isShortOfRoom = false): Promise<unknown> {
    return this.wal.compact({ group, firstIndex, live: new Set(), isShortOfRoom })
  }

  get #names(): string[] {
    return this.world.files.paths(directory).map((path) => path.slice(directory.length + 1))
  }

  get spares(): string[] {
    return this.#names.filter(isSpareName)
  }

  get segments(): number[] {
    return this.#names.flatMap((name) => segmentSequence(name) ?? [])
  }

  /** Where the simulated disk keeps the file: the same for as long as it is the same file. */
  placeOf(name: string): ArrayBufferLike {
    return this.world.files.contents(join(directory, name)).buffer
  }
}

test('of the segments that go some become spares, and those the next segments', async () => {
  const bench = new Bench()
  const { world } = bench
  await bench.open()
  await world.settle(bench.fill(60))
  await world.settle(bench.compact(60))
  expect(bench.spares).toHaveLength(SPARES_MAX)
  const before = bench.spares.map((name) => bench.placeOf(name))
  await world.settle(bench.fill(30))
  expect(bench.spares).toEqual([])
  const now = bench.segments.map((sequence) => bench.placeOf(segmentName(sequence)))
  for (const place of before) expect(now.includes(place)).toBe(true)
  expect(findStrangers(world, bench.removed)).toEqual([])
  await world.settle(bench.wal.close())
  await bench.open({ mustExist: true, checkpoint: { group, mark: { index: 59, term: 1 } } })
  expect(bench.wal.report).toMatchObject({ damages: [], forgets: false })
  expect(bench.wal.group(group).recovered().lastIndex).toBe(90)
})

test('a spare whose zeros a stop has interrupted stays a spare', async () => {
  const bench = new Bench()
  const { world } = bench
  await bench.open({ segmentBytes: 1024 * 1024 })
  await world.settle(bench.fill(60, 60_000))
  await world.settle(bench.compact(60))
  expect(bench.spares).toHaveLength(SPARES_MAX)
  // The next but one segment has taken a few batches: twice as much of the one behind it is zeros.
  await world.settle(bench.fill(12, 60_000))
  await world.settle(bench.wal.close())
  expect(bench.spares).toHaveLength(SPARES_MAX)
  expect(findStrangers(world, bench.removed)).toEqual([])
})

test('while the disk is nearly full none is kept, and those that there are go', async () => {
  const bench = new Bench()
  const { world } = bench
  await bench.open()
  await world.settle(bench.fill(60))
  await world.settle(bench.compact(60))
  expect(bench.spares).not.toEqual([])
  await world.settle(bench.compact(60, true))
  expect(bench.spares).toEqual([])
  await world.settle(bench.fill(60))
  await world.settle(bench.compact(120, true))
  expect(bench.spares).toEqual([])
})

test('files of another size than new segments have are removed', async () => {
  const bench = new Bench()
  const { world } = bench
  await bench.open()
  await world.settle(bench.fill(60))
  await world.settle(bench.wal.close())
  await bench.open({ mustExist: true, segmentBytes: 2 * segmentBytes })
  // The last old one, and the file behind it, were prepared before.
  await world.settle(bench.fill(1))
  await world.settle(bench.compact(60))
  expect(bench.segments[0]).toBeGreaterThan(3)
  expect(bench.spares).toEqual([])
})

test('a start removes the spares that it finds, whatever is in them, and does not miss any', async () => {
  const bench = new Bench()
  const { world } = bench
  await bench.open()
  await world.settle(bench.fill(60))
  await world.settle(bench.compact(60))
  const [spare, other] = bench.spares.map((name) => join(directory, name))
  world.files.crash()
  world.files.setContents(spare as string, Buffer.alloc(700, 'of no use'))
  world.files.lose(other as string)
  await bench.open({ mustExist: true, checkpoint: { group, mark: { index: 59, term: 1 } } })
  expect(bench.wal.report).toMatchObject({ damages: [], forgets: false })
  expect(bench.spares).toEqual([])
})

/** Appends go on while segments go, become spares, are filled with zeros and become segments, several times over. */
async function use(bench: Bench): Promise<void> {
  const filling = bench.fill(90)
  for (let next = 20; next <= 80; next += 15) {
    while (bench.synced < next) await new Promise<void>((resolve) => bench.world.scheduler.after(0.1, resolve))
    await bench.compact(next)
  }
  await filling
}

async function runUntilCrash(seed: number, steps: number): Promise<{ bench: Bench; isOver: boolean }> {
  const bench = new Bench(seed)
  await bench.open()
  let isOver = false
  void use(bench).then(() => {
    isOver = true
  })
  const { scheduler } = bench.world
  const end = scheduler.steps + steps
  await scheduler.runUntil(
    1e6,
    () => {},
    () => isOver || scheduler.steps >= end,
  )
  bench.world.files.crash()
  return { bench, isOver }
}

test('whenever the power goes, no record of a former segment is left in one, and all that was synced is there', async () => {
  let recycled = 0
  for (let steps = 0, isOver = false; !isOver; steps++) {
    const run = await runUntilCrash(steps, steps)
    const { bench } = run
    isOver = run.isOver
    recycled += bench.spares.length
    expect(findStrangers(bench.world, bench.removed).length, `after ${steps} steps`).toBeLessThan(2)
    const index = bench.wal.group(group).held.index.firstIndex - 1
    const mark = { index, term: index === 0 ? 0 : 1 }
    await bench.open({ mustExist: true, checkpoint: { group, mark } })
    expect(bench.wal.report.damages, `after ${steps} steps`).toEqual([])
    const log = bench.wal.group(group)
    const { firstIndex, lastIndex } = log.recovered()
    expect(firstIndex).toBeLessThanOrEqual(index + 1)
    expect(lastIndex).toBeGreaterThanOrEqual(bench.synced)
    if (firstIndex === 1) await bench.world.settle(readWhole(log, lastIndex))
    // What lies behind its end is zeros: the next batches are not taken for torn ones.
    expect(findStrangers(bench.world, bench.removed)).toEqual([])
    await bench.world.settle(bench.wal.close())
  }
  expect(recycled).toBeGreaterThan(100)
}, 120_000)
