/** A run on a real cluster with clients in real processes, written down in its folder. */
import { mkdirSync } from 'node:fs'
import process from 'node:process'
import { Cluster } from './cluster/cluster.ts'
import type { RunOptions } from './options.ts'
import { writeResults } from './report/results.ts'
import type { RunResult } from './run/result.ts'
import { ownWorkloads, type RunHooks, runTest } from './run/run.ts'

export async function runReal(
  options: RunOptions,
  { folder, terminal, stopped }: Pick<RunHooks, 'folder' | 'terminal' | 'stopped'>,
): Promise<RunResult> {
  mkdirSync(folder, { recursive: true })
  const result = await runTest(options, {
    folder,
    terminal,
    stopped,
    startCluster: (needs) => Cluster.start(needs),
    workloadModule: ownWorkloads,
    execArgv: process.execArgv,
  })
  await writeResults(result, folder)
  return result
}
