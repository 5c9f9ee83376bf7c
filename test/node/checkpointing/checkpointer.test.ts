import { beforeEach, describe, expect, it } from 'vitest'
import { Checkpointer, type CheckpointerOptions } from '../../../node/checkpointing/checkpointer.ts'
import type { CompactionPlan } from '../../../node/checkpointing/ports.ts'
import { HandClock, MemoryCheckpoints, markAt, rest, silent } from './support.ts'

/** A driver, a machine and a log as far as a checkpointer sees them. */
class World {
  readonly clock = new HandClock()
  readonly journal: string[] = []
  readonly checkpoints = new MemoryCheckpoints(this.journal)
  readonly plans: CompactionPlan[] = []
  readonly fatal: unknown[] = []
  appliedIndex = 0
  persistedIndex = Number.POSITIVE_INFINITY
  firstIndex = 1
  peers: { matchIndex: number; mode: 'probe' | 'replicate' | 'install' }[] = []
  chunks: readonly string[] = ['a', 'b', 'c']
  references = new Set<number>()
  logFloor: number | undefined
  made = 0
  /** Chunks encoded so far. */
  encoded = 0
  readonly checkpointer: Checkpointer

  constructor(options: Partial<CheckpointerOptions> = {}) {
    const world = this
    this.checkpointer = new Checkpointer({
      clock: this.clock,
      logger: silent,
      onFatal: (error) => void this.fatal.push(error),
      group: { id: 0, incarnation: 1 },
      checkpoints: this.checkpoints,
      references: new Set<number>(),
      machine: {
        checkpoint: () => ({
          *chunks() {
            for (const text of world.chunks) {
              world.encoded++
              yield new TextEncoder().encode(text)
            }
          },
          references: () => new Set(world.references),
        }),
      },
      driver: {
        status: () => ({
          appliedIndex: this.appliedIndex,
          persistedIndex: this.persistedIndex,
          firstIndex: this.firstIndex,
          peers: this.peers,
        }),
        mark: markAt,
        checkpointed: ({ index }) => void this.journal.push(`checkpointed ${index}`),
        compact: (through) => {
          this.journal.push(`compact ${through}`)
          this.firstIndex = through + 1
        },
      },
      compact: async (plan) => {
        this.journal.push(`wal ${plan.firstIndex}`)
        this.plans.push(plan)
      },
      pins: { pinned: () => [], logFloor: () => this.logFloor },
      checkpointBytes: 1_000,
      trailingLogBytesMax: 0,
      onMade: () => void this.made++,
      ...options,
    })
  }

  /** Applies entries of 100 bytes. */
  apply(count: number): void {
    for (; count > 0; count--) this.checkpointer.applied(++this.appliedIndex, 100)
  }
}

describe('a checkpointer', () => {
  let world: World
  beforeEach(() => {
    world = new World()
  })

  it('makes one when enough was applied, and lets the log before it go, each step after the one it needs', async () => {
    world.apply(9)
    await rest()
    expect(world.journal).toEqual([])
    world.references = new Set([3, 5])
    world.apply(1)
    await rest()
    expect(world.journal).toEqual(['commit local 10', 'checkpointed 10', 'compact 10', 'wal 11'])
    expect([...world.plans[0]!.live]).toEqual([3, 5])
    expect([...world.checkpointer.references]).toEqual([3, 5])
    expect(world.made).toBe(1)
    world.apply(9)
    await rest()
    expect(world.checkpoints.current?.mark.index).toBe(10)
    world.apply(1)
    await rest()
    expect(world.checkpoints.current?.mark.index).toBe(20)
  })

  it('leaves alone, when the turn of a plan comes late, what was installed since that was made', async () => {
    world.references = new Set([3])
    world.apply(10)
    await rest()
    const [plan] = world.plans
    expect(plan!.pinned!()).toEqual([])
    await world.checkpoints.begin(markAt(20), 'installed').commit()
    world.checkpointer.adopt(new Set([7]))
    expect(plan!.pinned!().some((needed) => needed.has(7))).toBe(true)
  })

  it('writes a large state again only after as much log', async () => {
    world.chunks = ['x'.repeat(3_000)]
    world.apply(10)
    await rest()
    expect(world.checkpoints.current?.bytes).toBe(3_000)
    world.apply(29)
    await rest()
    expect(world.checkpoints.current?.mark.index).toBe(10)
    world.apply(1)
    await rest()
    expect(world.checkpoints.current?.mark.index).toBe(40)
  })

  it('encodes one chunk a turn, and counts what is applied meanwhile for the next one', async () => {
    world.chunks = Array.from({ length: 20 }, String)
    world.apply(10)
    let turns = 0
    while (world.encoded < 20) {
      const before = world.encoded
      await new Promise((resolve) => setImmediate(resolve))
      expect(world.encoded - before).toBeLessThanOrEqual(1)
      if (++turns === 5) world.apply(6)
    }
    expect(turns).toBeGreaterThanOrEqual(20)
    await rest()
    expect(world.checkpoints.current?.mark.index).toBe(10)
    world.apply(4)
    await rest()
    expect(world.checkpoints.current?.mark.index).toBe(20)
  })

  it('commits none that is ahead of the synced log', async () => {
    world.persistedIndex = 9
    world.apply(10)
    await rest()
    await world.clock.advance(10_000)
    expect(world.encoded).toBe(3)
    expect(world.journal).toEqual([])
    world.persistedIndex = 10
    await world.clock.advance(100)
    expect(world.journal[0]).toBe('commit local 10')
  })

  it('gives up the one under way while it is suspended, and catches up afterwards', async () => {
    world.chunks = Array.from({ length: 30 }, String)
    world.apply(10)
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    const resume = await world.checkpointer.suspend()
    expect(world.checkpoints.abandoned).toEqual([10])
    world.apply(20)
    await rest()
    expect(world.checkpoints.current).toBeUndefined()
    resume()
    resume()
    await rest()
    expect(world.checkpoints.current?.mark.index).toBe(30)
  })

  it('makes a last one for a stop in good order, unless that would take long', async () => {
    world.apply(3)
    await world.checkpointer.finish()
    expect(world.checkpoints.current?.mark.index).toBe(3)
    world.apply(100)
    await rest()
    expect(world.checkpoints.current?.mark.index).toBe(3)

    const large = new World()
    large.chunks = ['x'.repeat(17 * 1024 * 1024)]
    large.apply(10)
    await rest()
    large.apply(10)
    await large.checkpointer.finish()
    expect(large.checkpoints.current?.mark.index).toBe(10)
  })

  it('makes one now and then when little is applied, unless it is large or nothing was applied', async () => {
    world.checkpointer.start()
    world.apply(1)
    await world.clock.advance(60_000)
    expect(world.checkpoints.current?.mark.index).toBe(1)
    await world.clock.advance(60_000)
    expect(world.made).toBe(1)
    world.chunks = ['x'.repeat(17 * 1024 * 1024)]
    world.apply(10)
    await rest()
    expect(world.checkpoints.current?.mark.index).toBe(11)
    world.apply(1)
    await world.clock.advance(60_000)
    expect(world.checkpoints.current?.mark.index).toBe(11)
    world.checkpointer.stop()
    expect(world.clock.timers).toBe(0)
  })

  it('makes one soon when the disk is nearly full, since nothing else lets the log go, and not one after the other', async () => {
    world.apply(1)
    world.checkpointer.makeRoom()
    await rest()
    expect(world.plans.map(({ firstIndex }) => firstIndex)).toEqual([2])
    world.apply(1)
    for (let second = 1; second < 5; second++) {
      await world.clock.advance(1_000)
      world.checkpointer.makeRoom()
    }
    await rest()
    expect(world.made).toBe(1)
    await world.clock.advance(1_000)
    world.checkpointer.makeRoom()
    await rest()
    expect(world.made).toBe(2)
    // Nothing was applied: another one would let nothing go.
    await world.clock.advance(60_000)
    world.checkpointer.makeRoom()
    await rest()
    expect(world.made).toBe(2)
  })

  it('resumes at the start what was ended of a compaction, and leaves the log as long as it is', async () => {
    world.apply(10)
    await rest()
    const { checkpoints } = world
    const again = new World({ checkpoints, references: new Set([4]) })
    Object.assign(again, { appliedIndex: 10, firstIndex: 7 })
    again.checkpointer.start()
    await rest()
    expect(again.journal).toEqual(['wal 7'])
    expect(again.plans.map(({ checkpointIndex, live }) => [checkpointIndex, ...live])).toEqual([[10, 4]])
    const first = new World()
    first.checkpointer.start()
    await rest()
    expect(first.plans).toEqual([])
  })

  it('tells a compaction when a newer checkpoint waits for it to end', async () => {
    const plans: CompactionPlan[] = []
    const ends: (() => void)[] = []
    const compact = (plan: CompactionPlan) => {
      plans.push(plan)
      return new Promise<void>((resolve) => void ends.push(resolve))
    }
    world = new World({ compact })
    world.apply(10)
    await rest()
    expect(plans.map((plan) => plan.isSuperseded?.())).toEqual([false])
    world.apply(10)
    await rest()
    expect(plans.map((plan) => plan.isSuperseded?.())).toEqual([true])
    ends[0]!()
    await rest()
    expect(plans.map(({ checkpointIndex }) => checkpointIndex)).toEqual([10, 20])
    expect(plans[1]!.isSuperseded?.()).toBe(false)
  })

  it('lets go of the log behind the checkpoint in force while none can be made on a disk that is nearly full', async () => {
    world.apply(10)
    await rest()
    world.apply(1)
    const resume = await world.checkpointer.suspend()
    await world.clock.advance(10_000)
    world.checkpointer.makeRoom()
    await rest()
    expect(world.plans.map(({ checkpointIndex }) => checkpointIndex)).toEqual([10, 10])
    resume()
  })

  it('lets nothing go on the word of a checkpoint that is not durable yet', async () => {
    world.references = new Set([3])
    world.apply(10)
    await rest()
    world.references = new Set([15])
    const { checkpoints } = world
    const begin = checkpoints.begin.bind(checkpoints)
    let finishCommit = () => {}
    checkpoints.begin = (mark, origin) => {
      const writer = begin(mark, origin)
      const commit = async () => {
        const info = await writer.commit()
        await new Promise<void>((resolve) => {
          finishCommit = resolve
        })
        return info
      }
      return { ...writer, commit }
    }
    world.apply(10)
    await rest()
    // Current in memory, as the store has it.
    expect(checkpoints.current?.mark.index).toBe(20)
    await world.clock.advance(10_000)
    world.checkpointer.makeRoom()
    await rest()
    expect(world.plans.at(-1)).toMatchObject({ checkpointIndex: 10, firstIndex: 11 })
    expect([...world.plans.at(-1)!.live]).toEqual([3])
    expect(world.checkpointer.inForce.mark?.index).toBe(10)
    finishCommit()
    await rest()
    expect(world.plans.at(-1)).toMatchObject({ checkpointIndex: 20, firstIndex: 21 })
    expect([...world.plans.at(-1)!.live]).toEqual([15])
  })

  it('tells of a disk that fails', async () => {
    const broken = new Error('disk')
    world.checkpoints.onCommit = () => {
      throw broken
    }
    world.apply(10)
    await rest()
    expect(world.fatal).toEqual([broken])
  })

  it('makes a new one at once when the current one is of no use', async () => {
    world.apply(10)
    await rest()
    world.apply(1)
    world.checkpointer.renew()
    await rest()
    expect(world.checkpoints.current?.mark.index).toBe(11)
  })

  it('makes a new one where nothing was applied since the one that is of no use, once', async () => {
    world.apply(10)
    await rest()
    const useless = world.checkpoints.current
    world.checkpointer.renew()
    await rest()
    expect(world.made).toBe(2)
    expect(world.checkpoints.current?.mark.index).toBe(10)
    expect(world.checkpoints.current).not.toBe(useless)
    world.apply(1)
    await rest()
    expect(world.made).toBe(2)
  })

  it('makes the new one after an install that was in its way and came to nothing', async () => {
    world.apply(10)
    await rest()
    const resume = await world.checkpointer.suspend()
    world.checkpointer.renew()
    await rest()
    expect(world.made).toBe(1)
    resume()
    await rest()
    expect(world.made).toBe(2)
    // The install comes when the new one is half written.
    world.chunks = Array.from({ length: 30 }, String)
    world.checkpointer.renew()
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    const resumeAgain = await world.checkpointer.suspend()
    expect(world.checkpoints.abandoned).toEqual([10])
    resumeAgain()
    await rest()
    expect(world.made).toBe(3)
  })
})

describe('the log behind a checkpoint', () => {
  const firstIndexOf = async (prepare: (world: World) => void, trailingLogBytesMax: number) => {
    const world = new World({ trailingLogBytesMax, checkpointBytes: 10_000 })
    prepare(world)
    world.apply(100)
    await rest()
    expect(world.fatal).toEqual([])
    return world.plans[0]?.firstIndex
  }

  it('stays for a while for whoever lacks it, within its bound', async () => {
    expect(await firstIndexOf(() => {}, 1_000)).toBe(91)
    expect(await firstIndexOf(() => {}, 0)).toBe(101)
    expect(await firstIndexOf(() => {}, 1e9)).toBe(1)
  })

  it('stays for a follower that lacks it, beyond what is kept for nobody', async () => {
    const large = (world: World) => {
      // 160 entries of 1 MiB: more than is kept for nobody.
      for (let i = 0; i < 160; i++) world.checkpointer.applied(++world.appliedIndex, 2 ** 20)
    }
    const world = new World({ trailingLogBytesMax: 2 ** 27, checkpointBytes: 160 * 2 ** 20 })
    large(world)
    await rest()
    expect(world.plans[0]!.firstIndex).toBeGreaterThan(140)
    world.peers = [{ matchIndex: 230, mode: 'replicate' }]
    large(world)
    await rest()
    expect(world.plans[1]!.firstIndex).toBe(231)
    // One that is gone for longer does not fill the disk.
    world.peers = [{ matchIndex: 231, mode: 'probe' }]
    large(world)
    await rest()
    expect(world.plans[2]!.firstIndex).toBeGreaterThanOrEqual(480 - 128 + 1)
    // Nor has one that gets an install any claim.
    world.peers = [{ matchIndex: 500, mode: 'install' }]
    large(world)
    await rest()
    expect(world.plans[3]!.firstIndex).toBeGreaterThan(620)
  })

  it('of which an earlier life applied more than a follower lacks goes at the first checkpoint, since nobody knows how much it is', async () => {
    const world = new World({ trailingLogBytesMax: 1e9, checkpointBytes: 10_000 })
    Object.assign(world, { appliedIndex: 50, firstIndex: 20 })
    world.peers = [{ matchIndex: 30, mode: 'replicate' }]
    world.apply(100)
    await rest()
    expect(world.fatal).toEqual([])
    // Of what this life applied all is kept.
    expect(world.plans.map(({ firstIndex }) => firstIndex)).toEqual([51])
  })

  it('is kept for nobody who does not answer while the disk is nearly full, and goes at once', async () => {
    const world = new World({ trailingLogBytesMax: 1e9, checkpointBytes: 10_000 })
    world.peers = [
      { matchIndex: 10, mode: 'probe' },
      { matchIndex: 95, mode: 'replicate' },
    ]
    world.apply(100)
    await rest()
    expect(world.plans.map(({ firstIndex }) => firstIndex)).toEqual([1])
    // Nothing was applied meanwhile.
    await world.clock.advance(10_000)
    world.checkpointer.makeRoom()
    await rest()
    expect(world.plans.map(({ firstIndex }) => firstIndex)).toEqual([1, 96])
    expect(world.journal.slice(-2)).toEqual(['compact 95', 'wal 96'])
    // Nor are files kept for later.
    expect(world.plans.map(({ isShortOfRoom }) => isShortOfRoom)).toEqual([false, true])
    // There is room again: it is kept as before.
    await world.clock.advance(60_000)
    world.apply(100)
    await rest()
    expect(world.plans.at(-1)).toMatchObject({ firstIndex: 96, isShortOfRoom: false })
  })

  it('stays above a mark that somebody installs', async () => {
    const prepare = (world: World) => {
      world.logFloor = 42
    }
    expect(await firstIndexOf(prepare, 0)).toBe(42)
  })

  it('does not fill the disk for an install that never ends', async () => {
    const world = new World({ checkpointBytes: 100 * 2 ** 20 })
    world.logFloor = 2
    for (let i = 0; i < 100; i++) world.checkpointer.applied(++world.appliedIndex, 2 ** 20)
    await rest()
    // 64 MiB of the last 100.
    expect(world.plans[0]!.firstIndex).toBeGreaterThanOrEqual(37)
    expect(world.plans[0]!.firstIndex).toBeLessThanOrEqual(38)
  })

  it('stays where it is not applied yet, though a checkpoint that was to be installed is ahead of it', async () => {
    const world = new World()
    world.apply(10)
    await rest()
    const resume = await world.checkpointer.suspend()
    world.appliedIndex = 15
    await world.checkpoints.begin(markAt(20), 'installed').commit()
    world.checkpointer.adopt(new Set())
    resume()
    await world.clock.advance(10_000)
    world.checkpointer.makeRoom()
    await rest()
    expect(world.plans.at(-1)).toMatchObject({ checkpointIndex: 20, firstIndex: 16 })
  })

  it('never comes back', async () => {
    const prepare = (world: World) => {
      world.firstIndex = 98
      world.peers = [{ matchIndex: 0, mode: 'probe' }]
    }
    expect(await firstIndexOf(prepare, 1e9)).toBe(98)
  })
})
