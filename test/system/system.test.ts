import { describe, expect, it } from 'vitest'
import { describeFailure, Report } from '../sim/report.ts'
import { floorsPerThousand } from './floors.ts'
import { type RunResult, runSeed } from './run.ts'

/** Others than those that CI runs by the thousand, which begin at 1. */
const firstSeed = 2_000_001
const seeds = 60

describe('a simulated cluster with its clients', () => {
  it(`keeps every promise and brings all work to its end, whatever ${seeds} seeds bring`, {
    timeout: 180_000,
  }, async () => {
    const report = new Report<RunResult>(floorsPerThousand)
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) report.add(await runSeed(seed))
    expect(report.failures.map((result) => describeFailure(result, 'system'))).toEqual([])
    // The floors proper hold for a thousand seeds; of sixty it is asked that something happened.
    for (const name of ['elections', 'acked', 'redeliveries', 'replies', 'crashes', 'statesCompared'] as const) {
      expect(report.perThousand(name), name).toBeGreaterThan(300)
    }
  })

  it('does the same in the same order when it is run again, and something else for another seed', async () => {
    const hashes = new Set<string>()
    for (const seed of [1, 2, 3, 4, 5]) {
      const first = await linesOf(seed)
      const second = await linesOf(seed)
      expect(second.lines).toEqual(first.lines)
      expect(second.result).toEqual(first.result)
      hashes.add(first.result.traceHash)
    }
    expect(hashes.size).toBe(5)
  })
})

async function linesOf(seed: number): Promise<{ lines: string[]; result: RunResult }> {
  const lines: string[] = []
  const result = await runSeed(seed, { print: (line) => lines.push(line) })
  return { lines, result }
}
