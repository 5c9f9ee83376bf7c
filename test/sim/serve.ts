/**
 * The worker's side of the pool: runs seeds on demand. Each message from the parent names some, each answer is one result.
 *
 * Never: a decision about what to run next; pool.ts hands out the work.
 */
import process from 'node:process'

/** Seeds to run, in this order. */
export type Assignment = readonly number[]

export type Answer<R> = { readonly result: R } | { readonly done: true }

/** Runs what the parent asks for until the process is ended. */
export function serve<R>(runSeed: (seed: number) => Promise<R>): void {
  const tell = (answer: Answer<R>): void => {
    process.send?.(answer)
  }
  const work = async (seeds: Assignment): Promise<void> => {
    for (const seed of seeds) tell({ result: await runSeed(seed) })
    tell({ done: true })
  }
  process.on('message', (assignment: Assignment) => {
    void work(assignment)
  })
}
