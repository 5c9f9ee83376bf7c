/**
 * The worker's side of the pool: runs seeds on demand. Each message from the parent names some, each answer is one result.
 *
 * Never: a decision about what to run next; pool.ts hands out the work.
 */
import process from 'node:process'

export interface Assignment {
  readonly firstSeed: number
  readonly seeds: number
}

export type Answer<R> = { readonly result: R } | { readonly done: true }

/** Runs what the parent asks for until the process is ended. */
export function serve<R>(runSeed: (seed: number) => Promise<R>): void {
  const tell = (answer: Answer<R>): void => {
    process.send?.(answer)
  }
  const work = async ({ firstSeed, seeds }: Assignment): Promise<void> => {
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) tell({ result: await runSeed(seed) })
    tell({ done: true })
  }
  process.on('message', (assignment: Assignment) => {
    void work(assignment)
  })
}
