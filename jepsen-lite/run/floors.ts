/**
 * Whether enough succeeded for a run to prove anything: while faults came and went, and in the quiet times between them, where the cluster
 * must show that it comes back. What clients did before the first fault and after the last one proves nothing about faults.
 */
import { operationsOf } from '../check/operations.ts'
import type { Event } from '../history.ts'
import type { Workload } from '../workload.ts'
import type { FaultWindow } from './result.ts'

export interface Operated {
  readonly history: readonly Event[]
  readonly workload: Pick<Workload, 'floors' | 'pulse'>
  /** From the first operation until all faults were over, before the heal. */
  readonly from: number
  readonly to: number
  /** In the order of their beginning. */
  readonly faults: readonly FaultWindow[]
}

/** In which no fault holds. */
interface Quiet {
  readonly from: number
  readonly to: number
  /** `after kill leader`. */
  readonly when: string
}

/** What the cluster has for its recovery: nodes start, elect and are found again by their clients. Shorter quiet times prove nothing. */
const RECOVERY_MS = 3_000

/** What there was too little of, as sentences. */
export function shortfallsOf(operated: Operated): string[] {
  return [...missedFloors(operated), ...silences(operated)]
}

/** From the beginning of the first fault to the end of the last one; without faults, all the time. */
function missedFloors({ history, workload, faults, ...all }: Operated): string[] {
  const from = faults[0]?.from ?? all.from
  const to = faults.length === 0 ? all.to : Math.max(...faults.map((fault) => fault.to))
  const counts = countsOf(history.filter(({ time }) => time >= from && time <= to))
  const seconds = (to - from) / 1e9
  return Object.entries(workload.floors).flatMap(([f, perMinute]) => {
    const least = Math.floor((perMinute * seconds) / 60)
    const found = counts[`ok.${f}`] ?? 0
    if (found >= least) return []
    const under = faults.length === 0 ? '' : ' under faults'
    return [`only ${found} of at least ${least} ${f} succeeded${under}, in ${seconds.toFixed(1)} s`]
  })
}

/** Quiet times that were long enough for the cluster to come back, and in which it did not. */
function silences(operated: Operated): string[] {
  const { pulse } = operated.workload
  const beats = operationsOf(operated.history).filter(({ f, type }) => f === pulse && type === 'ok')
  return quietTimesOf(operated).flatMap(({ from, to, when }) => {
    if (to - from <= RECOVERY_MS * 1e6) return []
    if (beats.some(({ invoke, end }) => invoke.time >= from && end!.time <= to)) return []
    const seconds = (ns: number) => (ns / 1e9).toFixed(1)
    return [
      `no ${pulse} was begun and succeeded in the quiet time ${when}, from ${seconds(from)} s to ${seconds(to)} s`,
    ]
  })
}

function quietTimesOf({ from, to, faults }: Operated): Quiet[] {
  const quiet: Quiet[] = []
  let since = { at: from, when: 'before the first fault' }
  for (const fault of faults) {
    if (fault.from > since.at) quiet.push({ from: since.at, to: fault.from, when: since.when })
    if (fault.to > since.at) since = { at: fault.to, when: `after ${fault.name}` }
  }
  return [...quiet, { from: since.at, to, when: since.when }]
}

/** How many operations ended how: `ok.publish`, `fail.publish`, `info.publish`. */
export function countsOf(history: readonly Event[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { type, f, process } of history) {
    if (type === 'invoke' || process === 'nemesis') continue
    const name = `${type}.${f}`
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}
