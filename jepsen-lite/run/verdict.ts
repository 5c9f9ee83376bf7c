/**
 * What a run proves. Invalid: something is wrong, however little else the run can say. Unknown: nothing is wrong, but the run was no test:
 * its faults did nothing, too little succeeded, or its end could not be looked at. Valid: all the rest.
 */
import type { Nemesis } from '../nemesis.ts'
import type { Anomaly, CheckResult } from '../workload.ts'
import { sumOf } from './faults.ts'
import type { Bite, FaultWindow, Verdict } from './result.ts'

export interface Evidence {
  readonly check: CheckResult
  /** Found beside the history: state hashes that differ, nodes and workers that ended by themselves, operations that hung. */
  readonly anomalies: readonly Anomaly[]
  /** `ok.publish`, …: see countsOf. */
  readonly counts: Readonly<Record<string, number>>
  readonly bite: readonly Bite[]
  readonly faults: readonly FaultWindow[]
  /** What kept the run from its orderly end (not healed, not drained, not agreed, ended early), and what there was too little of; as sentences. */
  readonly shortcomings: readonly string[]
}

export function verdictOf(evidence: Evidence): Verdict {
  const { check, bite } = evidence
  const anomalies = [...check.anomalies, ...evidence.anomalies]
  const counts = { ...evidence.counts, ...check.counts }
  const wrong = anomalies.map(({ type, message }) => `${type}: ${message}`)
  if (check.valid === false && check.anomalies.length === 0) wrong.push('the checker found the history invalid')
  if (wrong.length > 0) return { valid: false, reasons: wrong, anomalies, counts, bite }
  const reasons = doubtsOf(evidence)
  return { valid: reasons.length === 0 ? true : 'unknown', reasons, anomalies, counts, bite }
}

function doubtsOf({ check, bite, faults, shortcomings }: Evidence): string[] {
  const doubts = [...shortcomings]
  if (check.valid === 'unknown') doubts.push(`the checker could not decide: ${check.reason ?? 'it does not say why'}`)
  for (const { nemesis, problem } of bite) {
    if (problem !== undefined) doubts.push(`${nemesis} did not bite: ${problem}`)
  }
  for (const { error } of faults) if (error !== undefined) doubts.push(error)
  return doubts
}

/** Whether the faults of each nemesis did what they are for. */
export function bitesOf(nemeses: readonly Nemesis[], windows: readonly FaultWindow[]): Bite[] {
  return nemeses.map(({ name, bite }) => {
    const own = windows.filter(({ nemesis }) => nemesis === name)
    const done = sumOf(own.map((window) => window.done))
    const problem = own.length === 0 ? 'none of its faults had a turn' : bite(done)
    return { nemesis: name, faults: own.length, done, ...(problem === undefined ? {} : { problem }) }
  })
}
