import { describe, expect, it } from 'vitest'
import { describeFailure, floorsPerThousand, Report } from './report.ts'
import { type RunResult, runSeed } from './run.ts'
import { Scheduler } from './scheduler.ts'

/** Others than those that CI runs by the thousand, which begin at 1. */
const firstSeed = 1_000_001
const seeds = 60

describe('a simulated cluster', () => {
  it(`keeps Raft's promises and recovers, whatever ${seeds} seeds bring`, { timeout: 180_000 }, async () => {
    const report = new Report<RunResult>(floorsPerThousand)
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) report.add(await runSeed(seed))
    expect(report.failures.map((result) => describeFailure(result))).toEqual([])
    // The floors proper hold for a thousand seeds; of sixty it is asked that something happened.
    for (const name of ['elections', 'acknowledged', 'crashes', 'entriesLost', 'messagesDropped'] as const) {
      expect(report.perThousand(name), name).toBeGreaterThan(300)
    }
  })

  it('does the same in the same order when it is run again, and something else for another seed', async () => {
    const hashes = new Set<string>()
    for (const seed of [1, 2, 3]) {
      const { traceHash, counts } = await runSeed(seed)
      expect(await runSeed(seed)).toMatchObject({ traceHash, counts })
      hashes.add(traceHash)
    }
    expect(hashes.size).toBe(3)
  })
})

describe('the scheduler', () => {
  it('lets every promise of an event settle before the next event begins', async () => {
    const scheduler = new Scheduler()
    const order: string[] = []
    const hop = async (hops: number): Promise<void> => {
      for (let i = 0; i < hops; i++) await undefined
      order.push(`after ${hops} hops`)
    }
    scheduler.after(1, () => {
      void hop(10_000)
      void hop(3)
    })
    scheduler.after(1, () => order.push('next event'))
    await scheduler.runUntil(1, () => order.push('step'))
    expect(order).toEqual(['after 3 hops', 'after 10000 hops', 'step', 'next event', 'step'])
  })

  it('runs events by time, those of one time by the order of their calls, and cancelled ones never', async () => {
    const scheduler = new Scheduler()
    const order: string[] = []
    for (const [ms, name] of [
      [5, 'e'],
      [1, 'a'],
      [3, 'c'],
      [1, 'b'],
      [3, 'd'],
      [9, 'late'],
    ] as const) {
      scheduler.after(ms, () => order.push(name))
    }
    scheduler.after(2, () => order.push('cancelled'))()
    await scheduler.runUntil(8, () => {})
    expect(order).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(scheduler.now()).toBe(8)
  })
})

describe('the report', () => {
  const result: RunResult = {
    seed: 77,
    traceHash: '00000000',
    counts: {
      elections: 1,
      commits: 1_000,
      acknowledged: 1_000,
      reads: 100,
      crashes: 0,
      stops: 0,
      diskFailures: 1,
      bytesLost: 10_000,
      entriesLost: 100,
      messagesSent: 0,
      messagesDropped: 1_000,
      partitions: 10,
      pauses: 10,
      wipes: 0,
      checkpoints: 0,
      installs: 0,
      steps: 0,
      simulatedMs: 0,
    },
    healedMs: 0,
    failure: { invariant: 'one leader per term', message: 'one leader per term: n1 and n2', trace: ['the last step'] },
  }

  it('tells of a failed seed what was violated, the last steps, and the command that shows it again', () => {
    const text = describeFailure(result)
    expect(text).toContain('one leader per term: n1 and n2')
    expect(text).toContain('the last step')
    expect(text).toContain('npm run sim -- --seed 77')
  })

  it('names every floor that was missed, and no other', () => {
    const report = new Report<RunResult>(floorsPerThousand)
    report.add(result)
    expect(report.missedFloors()).toEqual([
      'elections: 1000 per 1,000 seeds, the floor is 3000',
      'crashes: 0 per 1,000 seeds, the floor is 5000',
      'checkpoints: 0 per 1,000 seeds, the floor is 1200',
      'installs: 0 per 1,000 seeds, the floor is 700',
    ])
  })
})
