/**
 * Shows that a simulator can fail: each planted break goes into a bundle of its worker, and seeds run until one of them objects. The seed that
 * objected when it was last looked up, the break's witness, runs first: as long as nothing changes what seeds mean, that is all there is to
 * do; when it does, the search goes on from the first seed.
 *
 * Never: touches the sources themselves, or passes a break whose text is no longer there.
 */
import type { PlantedBreak } from './breaks.ts'
import { bundle } from './bundle.ts'
import { runPool } from './pool.ts'
import type { Failure, RunResult } from './run.ts'

export const coreWorker = 'test/sim/worker.ts'

export interface Verdict {
  readonly planted: PlantedBreak
  /** The first seed that failed, and how. Undefined: the break went unnoticed. */
  readonly found: { readonly seed: number; readonly failure: Failure } | undefined
  readonly seconds: number
}

export interface Hunt {
  /** Seeds that may pass before the break counts as unnoticed. */
  readonly seeds: number
  /** Serves seeds of the simulator that hunts. */
  readonly worker: string
  /** Runs before all others. */
  readonly witness?: number | undefined
}

/** Runs seeds against the break, until one fails. */
export async function hunt(planted: PlantedBreak, { seeds, worker, witness }: Hunt): Promise<Verdict> {
  const began = performance.now()
  const { file, remove } = await bundle(worker, planted.edits).catch((error: unknown) => {
    throw new Error(`break '${planted.name}' cannot be planted`, { cause: error })
  })
  let found: Verdict['found']
  try {
    await runPool<Pick<RunResult, 'seed' | 'failure'>>({
      seeds: huntSeeds(seeds, witness),
      workers: 1,
      file,
      onResult: ({ seed, failure }) => {
        if (failure !== undefined) found = { seed, failure }
        return failure === undefined
      },
    })
  } finally {
    remove()
  }
  return { planted, found, seconds: (performance.now() - began) / 1000 }
}

function* huntSeeds(seeds: number, witness: number | undefined): IterableIterator<number> {
  if (witness !== undefined) yield witness
  for (let seed = 1; seed <= seeds; seed++) if (seed !== witness) yield seed
}
