/**
 * A process that runs seeds on demand: each message from the parent names some, each answer is one result.
 *
 * Never: a decision about what to run next; pool.ts hands out the work.
 */
import process from 'node:process'
import { type RunResult, runSeed } from './run.ts'

export interface Assignment {
  readonly firstSeed: number
  readonly seeds: number
}

export type Answer = { readonly result: RunResult } | { readonly done: true }

async function work({ firstSeed, seeds }: Assignment): Promise<void> {
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) tell({ result: await runSeed(seed) })
  tell({ done: true })
}

function tell(answer: Answer): void {
  process.send?.(answer)
}

process.on('message', (assignment: Assignment) => {
  void work(assignment)
})
