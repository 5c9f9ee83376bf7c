import { describe, expect, test } from 'vitest'
import type { LiveEntries } from '../../node/storage/held-entries.ts'
import { isSpareName, segmentSequence } from '../../node/storage/segment.ts'
import { nothingRemoved, type SegmentManifest, withRemoved } from '../../node/storage/segment-manifest.ts'
import type { Wal, WalOptions } from '../../node/storage/wal.ts'
import { type Entry, EntryType } from '../../raft/index.ts'
import { directory, group, otherGroup, World } from './support/world.ts'

function entry(index: number, size = 700, term = 1): Entry {
  return { index, term, type: EntryType.command, data: Buffer.alloc(size, `${index} `) }
}

function indexes(entries: readonly Entry[]): number[] {
  return entries.map(({ index }) => index)
}

class Bench {
  readonly world = new World()
  value = nothingRemoved
  wal!: Wal

  async open(options: Partial<WalOptions> = {}): Promise<Wal> {
    const read = () => this.value
    const manifest: SegmentManifest = {
      get value() {
        return read()
      },
      remove: async (sequences) => {
        this.value = withRemoved(this.value, sequences)
      },
    }
    this.wal = await this.world.open({ segmentBytes: 8192, manifest, idleMarkerMs: 1e9, ...options })
    return this.wal
  }

  get log() {
    return this.wal.group(group)
  }

  /** One entry a batch: seven of them fill a segment. */
  async fill(from: number, to: number, size = 700): Promise<void> {
    for (let index = from; index <= to; index++) {
      const hardState = { term: 1, vote: 'n1', commit: index - 1 }
      await this.world.settle(this.log.append({ hardState, entries: [entry(index, size)] }))
    }
  }

  compact(firstIndex: number, live: LiveEntries, pinned: LiveEntries[] = []) {
    return this.world.settle(this.wal.compact({ group, firstIndex, live, pinned: () => pinned }))
  }

  async held(): Promise<number[]> {
    const found: number[] = []
    for (let from = 0; ; ) {
      const entries = await this.world.settle(this.log.readHeld(from, 10_000))
      if (entries.length === 0) return found
      for (const { index, data } of entries) {
        expect(Buffer.from(data).equals(entry(index, data.length).data as Buffer)).toBe(true)
        found.push(index)
        from = index + 1
      }
    }
  }

  /** The segments whose files are there. */
  async files(): Promise<number[]> {
    return (await this.names()).flatMap((name) => segmentSequence(name) ?? [])
  }

  /** The files that are to become segments again. */
  async spares(): Promise<string[]> {
    return (await this.names()).filter(isSpareName)
  }

  names(): Promise<string[]> {
    return this.world.settle(this.world.files.list(directory))
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

describe('compaction', () => {
  test('removes the segments in which nothing is needed, and tells so before', async () => {
    const bench = new Bench()
    await bench.open()
    await bench.fill(1, 40)
    const before = await bench.files()
    const result = await bench.compact(30, new Set())
    const after = await bench.files()
    expect(result.removed).toBeGreaterThan(2)
    expect(result).toMatchObject({ rewritten: 0, bytesCopied: 0, bytesFreed: result.removed * 8192 })
    expect(after).toEqual(before.slice(result.removed))
    expect(bench.value).toEqual({ removedBelow: result.removed + 1, removed: [] })
    expect(await bench.held()).toEqual(range(30, 40))
    expect(await bench.log.read(29, 1)).toEqual([])
    await bench.world.settle(bench.wal.close())
    await bench.open({ mustExist: true, checkpoint: { group, mark: { index: 29, term: 1 } } })
    expect(bench.log.recovered().lastIndex).toBe(40)
    expect((await bench.held()).filter((index) => index >= 30)).toEqual(range(30, 40))
  })

  test('keeps what is live or pinned: a segment that is half needed stays, a sparse one is rewritten', async () => {
    const bench = new Bench()
    await bench.open()
    await bench.fill(1, 60, 950)
    // Of the first segment one entry, of the third all, of the others none.
    const live = new Set([2, 10, 11, 12, 14])
    const { removed, rewritten, bytesCopied } = await bench.compact(56, live, [new Set([13])])
    expect(rewritten).toBe(1)
    expect(bytesCopied).toBe(48 + 950)
    expect(removed).toBeGreaterThan(4)
    expect(bench.value.removed.length).toBeGreaterThan(0)
    expect((await bench.files())[0]).toBe(3)
    expect(await bench.held()).toEqual([2, ...range(10, 14), ...range(56, 60)])
    expect(range(1, 60).filter((index) => bench.log.holds(index))).toEqual(await bench.held())
    expect(await bench.log.missing([1, 2, 13, 15, 60])).toEqual([1, 15, 60])
    expect(await bench.log.missing([60], 60)).toEqual([])
    bench.world.files.crash()
    await bench.open({ mustExist: true, checkpoint: { group, mark: { index: 55, term: 1 } } })
    expect(await bench.held()).toEqual(expect.arrayContaining([2, ...range(10, 14), ...range(56, 60)]))
  })

  test('never removes the segment in use, nor those that wait for it', async () => {
    const bench = new Bench()
    await bench.open()
    await bench.fill(1, 3)
    expect(await bench.compact(4, new Set())).toMatchObject({ removed: 0 })
    expect(await bench.files()).toEqual([1, 2, 3])
    await bench.fill(4, 5)
    expect(indexes(await bench.world.settle(bench.log.read(4, 10_000)))).toEqual([4, 5])
  })

  test('asks no other group: what that holds is needed', async () => {
    const bench = new Bench()
    await bench.open()
    await bench.world.settle(bench.wal.group(otherGroup).append({ entries: [entry(1)] }))
    await bench.fill(1, 40)
    await bench.compact(38, new Set())
    expect((await bench.files())[0]).toBe(1)
    expect(indexes(await bench.world.settle(bench.wal.group(otherGroup).read(1, 1)))).toEqual([1])
  })

  test('a read that has begun is not disturbed by the removal of what it reads', async () => {
    const bench = new Bench()
    await bench.open()
    await bench.fill(1, 40)
    // More than are read at a time: most of them wait while the log is compacted.
    const reads = range(1, 20).map((index) => bench.log.read(index, 1))
    const compaction = bench.wal.compact({ group, firstIndex: 38, live: new Set([3]) })
    const found = (await bench.world.settle(Promise.all(reads))).map(indexes)
    expect(found).toEqual(range(1, 20).map((index) => [index]))
    expect((await bench.world.settle(compaction)).removed).toBeGreaterThan(3)
    expect(await bench.held()).toEqual([3, ...range(38, 40)])
  })

  test('appends go on while segments are rewritten, most of the time without it', async () => {
    const bench = new Bench()
    await bench.open({ segmentBytes: 1024 * 1024 })
    await bench.fill(1, 60, 60_000)
    // A third of each segment is live: several pieces of 256 KiB in all, so that there are pauses.
    const compaction = bench.wal.compact({
      group,
      firstIndex: 58,
      live: new Set(range(1, 57).filter((i) => i % 3 === 0)),
    })
    const began = bench.world.scheduler.now()
    let index = 61
    let done = false
    void compaction.then(() => {
      done = true
    })
    while (!done) await bench.fill(index, index++, 10)
    expect(index).toBeGreaterThan(70)
    expect(bench.world.scheduler.now() - began).toBeGreaterThan(5)
    expect((await bench.world.settle(compaction)).rewritten).toBeGreaterThan(2)
  })

  test('ends early when the log is closed, and the next one goes on where it ended', async () => {
    const bench = new Bench()
    await bench.open()
    await bench.fill(1, 60)
    const live = new Set(range(1, 55).filter((i) => i % 5 === 0))
    const compaction = bench.wal.compact({ group, firstIndex: 56, live })
    await bench.world.pass(1)
    await bench.world.settle(bench.wal.close())
    await bench.world.settle(compaction)
    await bench.open({ mustExist: true, checkpoint: { group, mark: { index: 55, term: 1 } } })
    expect(await bench.held()).toEqual(expect.arrayContaining([...live, ...range(56, 60)]))
    await bench.compact(56, live)
    expect(await bench.held()).toEqual([...live, ...range(56, 60)])
    expect((await bench.files()).length).toBeLessThan(8)
  })

  test('a disk that refuses to remove a file ends the node', async () => {
    const bench = new Bench()
    const failures: Error[] = []
    await bench.open({ onFailure: (error) => failures.push(error) })
    await bench.fill(1, 40)
    bench.world.files.failNext('syncDirectory', 'EIO')
    await expect(bench.compact(38, new Set())).rejects.toMatchObject({ code: 'EIO' })
    expect(failures).toHaveLength(1)
    await expect(bench.log.append({ entries: [] })).rejects.toMatchObject({ code: 'StorageFailed' })
  })
})

describe('kept entries', () => {
  test('are held once they are synced, beside whatever the log holds at their index', async () => {
    const bench = new Bench()
    await bench.open()
    await bench.fill(1, 5)
    const foreign = entry(5, 30, 2)
    const kept = bench.log.keep([foreign, entry(900, 20), entry(300, 10)])
    expect([bench.log.holds(300), bench.log.holds(900)]).toEqual([false, false])
    await bench.world.settle(kept)
    expect([bench.log.holds(300), bench.log.holds(900)]).toEqual([true, true])
    const held = await bench.world.settle(bench.log.readHeld(4, 10_000))
    expect(held.map(({ index, term }) => [index, term])).toEqual([
      [4, 1],
      [5, 2],
      [300, 1],
      [900, 1],
    ])
    // The log itself is what its leader said.
    expect((await bench.world.settle(bench.log.read(5, 1))).map(({ term }) => term)).toEqual([1])
    await bench.world.settle(bench.log.reset({ index: 1000, term: 3 }))
    expect(indexes(await bench.world.settle(bench.log.readHeld(5, 10_000)))).toEqual([5, 300, 900])
    await bench.world.settle(bench.wal.close())
    await bench.open({ mustExist: true, checkpoint: { group, mark: { index: 1000, term: 3 } } })
    const found = await bench.world.settle(bench.log.readHeld(5, 10_000))
    expect(found.map(({ index, term, data }) => [index, term, data.length])).toEqual([
      [5, 2, 30],
      [300, 1, 10],
      [900, 1, 20],
    ])
  })

  test('a read of them stops before it passes its limit, but gives at least one, also of those not synced yet', async () => {
    const bench = new Bench()
    await bench.open()
    await bench.fill(1, 3, 10)
    await bench.world.settle(bench.log.keep([entry(0, 10), entry(2, 10)]))
    const appended = bench.log.append({ entries: [entry(4, 10), entry(5, 10)] })
    const read = async (from: number, bytes: number) =>
      indexes(await bench.world.settle(bench.log.readHeld(from, bytes)))
    expect(await read(0, 10)).toEqual([0])
    expect(await read(0, 29)).toEqual([0, 1])
    expect(await read(2, 0)).toEqual([2])
    expect(await read(2, 30)).toEqual([2, 3, 4])
    expect(await read(4, 100)).toEqual([4, 5])
    expect(await read(6, 100)).toEqual([])
    await bench.world.settle(appended)
    expect(await read(0, 1000)).toEqual(range(0, 5))
  })
})

describe('rot that a running node finds', () => {
  async function rotten(part: 'header' | 'body'): Promise<{ bench: Bench; damaged: number[] }> {
    const bench = new Bench()
    await bench.open()
    await bench.fill(1, 6, 100)
    await bench.compact(4, new Set([1, 2, 3]))
    const damaged: number[] = []
    bench.log.onDamaged = (index) => damaged.push(index)
    const bytes = bench.world.files.contents(`${directory}/0000000000000001.wal`)
    for (const index of [2, 5]) {
      const at = Buffer.from(bytes).indexOf(`${index} ${index} ${index}`)
      bytes[part === 'body' ? at + 7 : at - 10] = 0xee
    }
    return { bench, damaged }
  }

  test.each(['header', 'body'] as const)(
    'in the %s of an entry below the checkpoint is told once, the entry is not held any more and can be mended',
    async (part) => {
      const { bench, damaged } = await rotten(part)
      expect(bench.log.holds(2)).toBe(true)
      expect(indexes(await bench.world.settle(bench.log.readHeld(1, 350)))).toEqual([1, 3])
      expect(indexes(await bench.world.settle(bench.log.readHeld(2, 100)))).toEqual([3])
      expect(damaged).toEqual([2])
      expect(bench.log.holds(2)).toBe(false)
      expect(await bench.log.missing([1, 2, 3])).toEqual([2])
      await bench.world.settle(bench.log.keep([entry(2, 100)]))
      expect(bench.log.holds(2)).toBe(true)
      expect(indexes(await bench.world.settle(bench.log.readHeld(1, 350)))).toEqual([1, 2, 3])
    },
  )

  test('above the checkpoint ends the node: others may count on it', async () => {
    const { bench } = await rotten('body')
    await expect(bench.world.settle(bench.log.read(4, 1_000))).rejects.toMatchObject({ code: 'DamagedLog' })
    await expect(bench.world.settle(bench.log.readHeld(5, 1_000))).rejects.toMatchObject({ code: 'DamagedLog' })
  })

  test('in the log at or below the checkpoint ends what can be read of it there, until it is mended', async () => {
    const bench = new Bench()
    await bench.open()
    await bench.fill(1, 6, 100)
    await bench.world.settle(bench.wal.compact({ group, firstIndex: 2, checkpointIndex: 5, live: new Set() }))
    const bytes = bench.world.files.contents(`${directory}/0000000000000001.wal`)
    bytes[Buffer.from(bytes).indexOf('4 4 4')] = 0
    expect(indexes(await bench.world.settle(bench.log.read(2, 1_000)))).toEqual([2, 3])
    expect(await bench.world.settle(bench.log.read(4, 1_000))).toEqual([])
    expect(indexes(await bench.world.settle(bench.log.read(5, 1_000)))).toEqual([5, 6])
    await bench.world.settle(bench.log.keep([entry(4, 100)]))
    expect(indexes(await bench.world.settle(bench.log.read(2, 1_000)))).toEqual([2, 3, 4, 5, 6])
  })

  test('of an entry that is to be rewritten leaves it missing, and its segment goes all the same', async () => {
    const bench = new Bench()
    await bench.open()
    await bench.fill(1, 40)
    const bytes = bench.world.files.contents(`${directory}/0000000000000001.wal`)
    bytes[Buffer.from(bytes).indexOf('2 2 2 2')] = 0
    await bench.compact(38, new Set([2, 3]))
    expect(await bench.files()).not.toContain(1)
    expect(await bench.log.missing([2, 3])).toEqual([2])
    expect(await bench.held()).toEqual([3, ...range(38, 40)])
  })
})

test('a segment that makes older records void outlives them', async () => {
  const bench = new Bench()
  await bench.open()
  await bench.fill(1, 2, 2_500)
  await bench.fill(3, 3)
  // Replaces 3, in a segment behind the one that holds it.
  await bench.world.settle(bench.log.append({ entries: [entry(3, 700, 2)] }))
  for (let index = 4; index <= 40; index++) {
    const hardState = { term: 2, vote: 'n1', commit: index - 1 }
    await bench.world.settle(bench.log.append({ hardState, entries: [entry(index, 700, 2)] }))
  }
  // Most is live of the first segment, nothing of the second.
  await bench.compact(38, new Set([1, 2]))
  expect((await bench.files()).slice(0, 3)).toEqual([1, 2, expect.any(Number)])
  expect((await bench.files())[2]).toBeGreaterThan(3)
  const checkpoint = { group, mark: { index: 37, term: 2 } }
  bench.world.files.crash()
  await bench.open({ mustExist: true, checkpoint })
  const terms = (await bench.world.settle(bench.log.readHeld(1, 100_000))).map(({ index, term }) => `${index}@${term}`)
  expect(terms.slice(0, 3)).toEqual(['1@1', '2@1', '3@2'])
  // Once the first one is sparse, both go.
  await bench.compact(38, new Set([1]))
  expect((await bench.files())[0]).toBeGreaterThan(3)
})

test('the state of every group is told anew in each segment, so that any older one may go', async () => {
  const bench = new Bench()
  await bench.open()
  const votes = { term: 7, vote: 'n3', commit: 0 }
  await bench.world.settle(bench.wal.group(otherGroup).append({ hardState: votes, entries: [] }))
  await bench.world.settle(bench.log.append({ hardState: { ...votes, term: 8 }, entries: [] }))
  for (let index = 1; index <= 30; index++)
    await bench.world.settle(bench.log.append({ entries: [entry(index, 700, 8)] }))
  await bench.compact(28, new Set())
  expect((await bench.files())[0]).toBeGreaterThan(3)
  bench.world.files.crash()
  const wal = await bench.open({ mustExist: true, checkpoint: { group, mark: { index: 27, term: 8 } } })
  expect(wal.report).toMatchObject({ damages: [], forgets: false })
  expect(bench.log.recovered().hardState).toMatchObject({ term: 8, vote: 'n3' })
  expect(wal.group(otherGroup).recovered().hardState).toEqual(votes)
})

test('no file goes before the manifest says so', async () => {
  const bench = new Bench()
  let allow = (): void => {}
  const remove = () =>
    new Promise<void>((resolve) => {
      allow = resolve
    })
  await bench.open({ manifest: { value: nothingRemoved, remove } })
  await bench.fill(1, 40)
  const before = await bench.files()
  const compaction = bench.wal.compact({ group, firstIndex: 38, live: new Set() })
  await bench.world.pass(1_000)
  expect(await bench.files()).toEqual(before)
  allow()
  expect((await bench.world.settle(compaction)).removed).toBeGreaterThan(3)
  expect((await bench.files())[0]).toBeGreaterThan(4)
})

test('what an append under way replaces is needed until that one is synced', async () => {
  for (let ms = 0; ms < 40; ms += 2) {
    const bench = new Bench()
    await bench.open({ batchBytesMax: 1_000 })
    await bench.fill(1, 20)
    // Long before the cut is written, which waits behind all of these.
    for (let index = 21; index <= 60; index++) void bench.log.append({ entries: [entry(index)] })
    void bench.log.append({ entries: [entry(11, 700, 2)] })
    void bench.wal.compact({ group, firstIndex: 11, live: new Set() })
    await bench.world.pass(ms)
    bench.world.files.crash()
    const wal = await bench.open({ mustExist: true, checkpoint: { group, mark: { index: 10, term: 1 } } })
    expect(wal.report.damages).toEqual([])
    const { lastIndex, termRuns } = bench.log.recovered()
    expect(lastIndex === 11 ? termRuns.at(-1) : lastIndex >= 20).toEqual(
      lastIndex === 11 ? { firstIndex: 11, term: 2 } : true,
    )
  }
})

test('what proves that entries before a damage still count stays as long as they do', async () => {
  const bench = new Bench()
  const hardState = (commit: number) => ({ term: 1, vote: 'n1', commit })
  await bench.open()
  // Segment 1: entries of which nobody knows yet that they are committed; 2 tells it; 3 is going to be lost.
  for (const index of [1, 2]) await bench.world.settle(bench.log.append({ entries: [entry(index, 2_500)] }))
  for (let index = 3; index <= 30; index++) {
    await bench.world.settle(
      bench.log.append({ hardState: hardState(index > 5 ? 3 : 0), entries: [entry(index, 900)] }),
    )
  }
  await bench.world.settle(bench.wal.close())
  const lost = `${directory}/0000000000000003.wal`
  bench.world.files.lose(lost)
  const options = { mustExist: true, checkpoint: { group, mark: { index: 28, term: 1 } }, onDoubt: async () => {} }
  const first = await bench.open(options)
  expect(first.report).toMatchObject({ damages: [{ file: lost }], forgets: false })
  expect(await bench.log.missing([1, 2])).toEqual([])
  await bench.compact(29, new Set([1, 2]))
  bench.world.files.crash()
  const second = await bench.open(options)
  expect(second.report).toMatchObject({ damages: [], forgets: false })
  expect(await bench.log.missing([1, 2])).toEqual([])
})

test('what a checkpoint told of the commit index outlives that checkpoint', async () => {
  const bench = new Bench()
  await bench.open()
  for (let index = 1; index <= 10; index++) await bench.world.settle(bench.log.append({ entries: [entry(index)] }))
  bench.world.files.crash()
  await bench.open({ mustExist: true, checkpoint: { group, mark: { index: 8, term: 1 } } })
  // An install begins, and needs nothing that is not held.
  expect(await bench.log.missing([3, 8, 9])).toEqual([9])
  await bench.world.settle(bench.log.keep([entry(9, 10, 2)]))
  bench.world.files.crash()
  // Its checkpoint was stored; the log is reset at the next start.
  const mark = { index: 50, term: 2 }
  await bench.open({ mustExist: true, checkpoint: { group, mark } })
  await bench.world.settle(bench.log.reset(mark))
  expect(await bench.log.missing([3, 8, 9])).toEqual([])
  expect(bench.log.holds(10)).toBe(false)
  bench.world.files.crash()
  await bench.open({ mustExist: true, checkpoint: { group, mark } })
  expect(await bench.log.missing([3, 8, 9])).toEqual([])
  expect(bench.log.holds(10)).toBe(false)
})
