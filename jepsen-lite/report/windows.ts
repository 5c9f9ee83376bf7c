/**
 * What lay over the run: faults in lanes by nemesis, who led when, which nodes were not ready. All in nanoseconds since the run began.
 */
import type { FaultWindow, RunResult, WatchSample } from '../run/result.ts'

export interface Lane {
  readonly nemesis: string
  readonly windows: readonly FaultWindow[]
}

/** One lane for each nemesis that did anything, in the order of the run's settings. */
export function lanesOf(result: Pick<RunResult, 'faults' | 'settings'>): Lane[] {
  const names = [...new Set([...result.settings.nemeses, ...result.faults.map(({ nemesis }) => nemesis)])]
  return names
    .map((nemesis) => ({ nemesis, windows: result.faults.filter((fault) => fault.nemesis === nemesis) }))
    .filter(({ windows }) => windows.length > 0)
}

/** The faults that held at a moment, or began and ended within `slack` of it. */
export function activeAt(faults: readonly FaultWindow[], time: number, slack = 0): FaultWindow[] {
  return faults.filter(({ from, to }) => from - slack <= time && time <= to + slack)
}

export interface Leadership {
  /** Undefined: nobody led. */
  readonly leader: string | undefined
  readonly term: number
  readonly from: number
  readonly to: number
}

/** Who led from when to when. A term more is an election, also when the same node was elected. */
export function leadershipsOf(watch: readonly WatchSample[]): Leadership[] {
  const all: Leadership[] = []
  for (const { time, leader, term } of watch) {
    const last = all.at(-1)
    if (last !== undefined && last.leader === leader && last.term === term) all[all.length - 1] = { ...last, to: time }
    else {
      if (last !== undefined) all[all.length - 1] = { ...last, to: time }
      all.push({ leader, term, from: time, to: time })
    }
  }
  return all
}

export interface Stretch {
  readonly from: number
  readonly to: number
}

/** When a node was not ready, as far as the samples tell. */
export function unreadyOf(watch: readonly WatchSample[], node: string): Stretch[] {
  const stretches: Stretch[] = []
  let since: number | undefined
  for (const { time, ready } of watch) {
    if (!ready.includes(node)) since ??= time
    else if (since !== undefined) {
      stretches.push({ from: since, to: time })
      since = undefined
    }
  }
  const end = watch.at(-1)?.time
  if (since !== undefined && end !== undefined) stretches.push({ from: since, to: end })
  return stretches
}

/** Terms that were begun while the run was watched. */
export function electionsOf(watch: readonly WatchSample[]): number {
  const terms = watch.map(({ term }) => term)
  return terms.length === 0 ? 0 : Math.max(...terms) - terms[0]!
}

/** The part of time that charts show: the operations, and all phases that have any. */
export function spanOfRun(result: Pick<RunResult, 'history' | 'phases' | 'faults'>): Stretch {
  const first = result.history[0]?.time ?? result.phases.find(({ name }) => name === 'faults')?.from ?? 0
  const last = Math.max(
    result.history.at(-1)?.time ?? 0,
    ...result.faults.map(({ to }) => to),
    ...result.phases.filter(({ name }) => name === 'faults' || name === 'heal' || name === 'drain').map(({ to }) => to),
  )
  return { from: first, to: Math.max(last, first + 1) }
}

/** When the last operation under faults was begun; what follows is the drain. */
export function endOfFaults({ phases }: Pick<RunResult, 'phases'>): number {
  return phases.find(({ name }) => name === 'faults')?.to ?? Number.POSITIVE_INFINITY
}
