/**
 * The suite's own test: plants bugs, one at a time, and runs the workload and the faults that are to find each. A bug that is not found, or whose
 * patch does not fit any more, fails it.
 */
import path from 'node:path'
import process from 'node:process'
import type { RunResult } from '../run/result.ts'
import type { Finder, PlantedBug } from './bugs.ts'
import { plant } from './plant.ts'

/** How often a bug is looked for before it counts as not found. */
const ATTEMPTS_MAX = 3

export interface SelftestHooks {
  readonly packageFolder: string
  /** Builds with bugs, and what runs leave behind, go here. Inside the package. */
  readonly folder: string
  run(finder: Finder, seed: number, bin: string, folder: string): Promise<RunResult>
  /** One line for each bug as it is known. */
  tell(line: string): void
}

export interface Finding {
  readonly bug: PlantedBug
  /** The anomaly that the run found first; undefined: none did. */
  readonly anomaly: string | undefined
  readonly seconds: number
  readonly attempts: number
  /** Why there was nothing to judge. */
  readonly problem?: string
}

/** Resolves with what became of each; rejects for nothing that a bug does. */
export async function findPlantedBugs(bugs: readonly PlantedBug[], hooks: SelftestHooks): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const bug of bugs) {
    const finding = await findOne(bug, hooks)
    findings.push(finding)
    hooks.tell(lineOf(finding))
  }
  return findings
}

async function findOne(bug: PlantedBug, hooks: SelftestHooks): Promise<Finding> {
  const began = process.hrtime.bigint()
  const seconds = () => Number(process.hrtime.bigint() - began) / 1e9
  const folder = path.join(hooks.folder, bug.name.replaceAll(' ', '-'))
  let attempts = 0
  try {
    const bin = plant(bug.edits, hooks.packageFolder, path.join(folder, 'build'))
    while (attempts < ATTEMPTS_MAX) {
      const seed = bug.finder.seed + attempts++
      const { verdict } = await hooks.run(bug.finder, seed, bin, path.join(folder, `run-${seed}`))
      const found = verdict.anomalies.find(({ type }) => bug.anomalies.includes(type))
      if (verdict.valid === false && found !== undefined) {
        return { bug, anomaly: `${found.type}: ${found.message}`, seconds: seconds(), attempts }
      }
    }
    return { bug, anomaly: undefined, seconds: seconds(), attempts }
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error)
    return { bug, anomaly: undefined, seconds: seconds(), attempts, problem }
  }
}

function lineOf({ bug, anomaly, seconds, attempts, problem }: Finding): string {
  const { workload, nemesis } = bug.finder
  const by = `${workload} × ${nemesis}`
  const effort = `${seconds.toFixed(0)} s, ${attempts === 1 ? '1 run' : `${attempts} runs`}`
  if (anomaly !== undefined) return `found      ${bug.name.padEnd(44)} ${by.padEnd(28)} ${effort.padEnd(14)} ${anomaly}`
  return `NOT FOUND  ${bug.name.padEnd(44)} ${by.padEnd(28)} ${effort.padEnd(14)} ${problem ?? ''}`
}
