/**
 * Shows that the simulator can fail: each planted break is applied to a copy of the sources, and seeds run until one of them
 * objects.
 *
 * Never: touches the sources themselves, or passes a break whose text is no longer there.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { PlantedBreak } from './breaks.ts'
import { runPool } from './pool.ts'
import type { Failure, RunResult } from './run.ts'

const root = path.resolve(import.meta.dirname, '../..')
/** Whose seeds run against a break, and what of the sources they need. */
export interface Prey {
  readonly worker: string
  readonly copied: readonly string[]
}

export const coreSimulator: Prey = {
  worker: 'test/sim/worker.ts',
  copied: ['package.json', 'raft', 'wire', 'node/storage', 'test/sim', 'test/support'],
}

export interface Verdict {
  readonly planted: PlantedBreak
  /** The first seed that failed, and how. Undefined: the break went unnoticed. */
  readonly found: { readonly seed: number; readonly failure: Failure } | undefined
  readonly seconds: number
}

/** Runs up to `seeds` seeds against the break, until one fails. */
export async function hunt(planted: PlantedBreak, seeds: number, prey: Prey = coreSimulator): Promise<Verdict> {
  const tree = mkdtempSync(path.join(os.tmpdir(), 'meshmq-break-'))
  const began = performance.now()
  let found: Verdict['found']
  try {
    plant(planted, tree, prey)
    await runPool<Pick<RunResult, 'seed' | 'failure'>>({
      firstSeed: 1,
      seeds,
      workers: 1,
      root: tree,
      worker: prey.worker,
      onResult: ({ seed, failure }) => {
        if (failure !== undefined) found = { seed, failure }
        return failure === undefined
      },
    })
  } finally {
    rmSync(tree, { recursive: true, force: true })
  }
  return { planted, found, seconds: (performance.now() - began) / 1000 }
}

function plant({ name, edits }: PlantedBreak, tree: string, { copied }: Prey): void {
  for (const part of copied) cpSync(path.join(root, part), path.join(tree, part), { recursive: true })
  symlinkSync(path.join(root, 'node_modules'), path.join(tree, 'node_modules'))
  for (const { file, find, replace } of edits) {
    const target = path.join(tree, file)
    const text = readFileSync(target, 'utf8')
    const places = text.split(find).length - 1
    if (places !== 1) throw new Error(`break '${name}': its text stands ${places} times in ${file}, not once`)
    writeFileSync(
      target,
      text.replace(find, () => replace),
    )
  }
}
