/**
 * What a thousand runs amount to, as text, and the floors below which they prove nothing: a simulator whose faults have
 * gone silent passes every check.
 *
 * Never: runs anything.
 */
import type { Failure, RunCounts } from './run.ts'

/** Least that a thousand seeds must have done. About half of what they do. */
export const floorsPerThousand: Partial<Record<keyof RunCounts, number>> = {
  elections: 3_000,
  commits: 100_000,
  acknowledged: 90_000,
  reads: 25_000,
  crashes: 5_000,
  diskFailures: 600,
  bytesLost: 3_000_000,
  entriesLost: 1_000,
  messagesDropped: 150_000,
  partitions: 6_000,
  pauses: 2_000,
  checkpoints: 1_200,
  installs: 700,
}

/** What of a result a report reads; each simulator has counts of its own. */
export interface Countable {
  readonly seed: number
  readonly counts: object
  readonly healedMs: number
  readonly failure: Failure | undefined
}

export class Report<R extends Countable> {
  runs = 0
  healedMsMax = 0
  readonly failures: R[] = []
  readonly #floors: Partial<Record<keyof R['counts'], number>>
  readonly #sums = new Map<keyof R['counts'], number>()

  constructor(floors: Partial<Record<keyof R['counts'], number>>) {
    this.#floors = floors
  }

  add(result: R): void {
    this.runs++
    this.healedMsMax = Math.max(this.healedMsMax, result.healedMs)
    if (result.failure !== undefined) this.failures.push(result)
    for (const [name, value] of Object.entries(result.counts) as [keyof R['counts'], number][]) {
      this.#sums.set(name, (this.#sums.get(name) ?? 0) + value)
    }
  }

  /** The sum over all runs, scaled to a thousand. */
  perThousand(name: keyof R['counts']): number {
    return ((this.#sums.get(name) ?? 0) * 1000) / Math.max(1, this.runs)
  }

  /** Every floor that was missed, as one line each. */
  missedFloors(): string[] {
    return (Object.entries(this.#floors) as [keyof R['counts'] & string, number][])
      .filter(([name, floor]) => this.perThousand(name) < floor)
      .map(([name, floor]) => `${name}: ${Math.round(this.perThousand(name))} per 1,000 seeds, the floor is ${floor}`)
  }

  lines(seconds: number): string[] {
    const rows = [...this.#sums.keys()].map((name) => [words(String(name)), this.perThousand(name)] as const)
    const perMinute = (this.runs * 60) / seconds
    return [
      `${this.runs} seeds in ${seconds.toFixed(1)} s (${Math.round(perMinute)} per minute); per 1,000 seeds:`,
      ...rows.map(([name, value]) => `  ${name.padEnd(20)} ${Math.round(value).toLocaleString('en').padStart(16)}`),
      `slowest recovery after the faults: ${Math.round(this.healedMsMax)} ms`,
    ]
  }
}

/** What to read when a seed fails, and how to see it again. */
export function describeFailure({ seed, failure }: Countable, script = 'sim'): string {
  if (failure === undefined) return `seed ${seed} passes`
  return [
    `seed ${seed} fails: ${failure.message}`,
    'the last steps:',
    ...failure.trace.map((line) => `  ${line}`),
    `replay: npm run ${script} -- --seed ${seed}`,
  ].join('\n')
}

/** messagesDropped → messages dropped */
function words(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}
