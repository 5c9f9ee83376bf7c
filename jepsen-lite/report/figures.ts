/**
 * The figures of a run, by operation: how many, how fast, how long nothing succeeded. Plain numbers, for results.json and for the page's
 * tables alike.
 */
import { type Event, NEMESIS } from '../history.ts'
import type { Operations } from './operations.ts'

export interface Figures {
  readonly f: string
  readonly ok: number
  readonly fail: number
  readonly info: number
  /** Events of consumers under this name. */
  readonly told: number
  /** Of the ok ones, milliseconds; undefined when there is none. */
  readonly latencyMs: Quantiles | undefined
  readonly gaps: Gaps
}

export interface Quantiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

/** Times in which operations were wanted and none succeeded. */
export interface Gaps {
  /** The longest, and where it began: nanoseconds since the run began. */
  readonly longestMs: number
  readonly longestFrom: number
  /** Those of at least GAP_MS. */
  readonly count: number
  readonly totalMs: number
}

/** A time without an ok counts towards the sum from here on, milliseconds: shorter ones are ordinary waiting. */
export const GAP_MS = 100

/** `until`: nanoseconds; availability is told of the time before, when faults held and clients were at work. */
export function figuresOf(history: readonly Event[], operations: Operations, until: number): Figures[] {
  const gaps = gapsOf(history, until)
  const counts = new Map(operations.names.map((f) => [f, { ok: 0, fail: 0, info: 0, told: 0 }]))
  const latencies = new Map<string, number[]>(operations.names.map((f) => [f, []]))
  for (const span of operations.spans) {
    counts.get(span.f)![span.type]++
    if (span.type === 'ok') latencies.get(span.f)!.push((span.to - span.from) / 1e6)
  }
  for (const { f } of operations.told) counts.get(f)!.told++
  return operations.names.map((f) => ({
    f,
    ...counts.get(f)!,
    latencyMs: quantilesOf(latencies.get(f)!),
    gaps: gaps.get(f) ?? { longestMs: 0, longestFrom: 0, count: 0, totalMs: 0 },
  }))
}

export function quantilesOf(values: readonly number[]): Quantiles | undefined {
  if (values.length === 0) return undefined
  const sorted = Float64Array.from(values).sort()
  return { p50: quantile(sorted, 0.5), p90: quantile(sorted, 0.9), p99: quantile(sorted, 0.99), max: sorted.at(-1)! }
}

/** Of ascending values, at least one: the smallest that the fraction `q` of them does not exceed. */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)]!
}

interface Waiting {
  open: number
  /** Since when an operation is wanted and none has succeeded; undefined while nobody wants one. */
  since: number | undefined
  last: number
  gaps: Gaps
}

/**
 * For each operation the times without an ok. One begins at the last ok, or at the next invocation if none was open then; it ends at the
 * next ok, so that the pauses between attempts that fail belong to it, or at the last completion if none follows. Only those that begin
 * before `until` count.
 */
export function gapsOf(history: readonly Event[], until: number): Map<string, Gaps> {
  const all = new Map<string, Waiting>()
  const openBy = new Map<number | string, string>()
  for (const { process, type, f, time } of history) {
    if (process === NEMESIS) continue
    if (type === 'invoke') {
      const waiting = all.get(f) ?? { open: 0, since: undefined, last: time, gaps: NO_GAPS }
      waiting.open++
      waiting.since ??= time
      all.set(f, waiting)
      openBy.set(process, f)
      continue
    }
    const invoked = openBy.get(process)
    if (invoked === undefined) continue
    openBy.delete(process)
    const waiting = all.get(invoked)!
    waiting.open--
    waiting.last = time
    if (type !== 'ok') continue
    waiting.gaps = withGap(waiting.gaps, waiting.since ?? time, time, until)
    waiting.since = waiting.open > 0 ? time : undefined
  }
  const end = history.at(-1)?.time ?? 0
  const finished = [...all].map(([f, { open, since, last, gaps }]): [string, Gaps] => [
    f,
    since === undefined ? gaps : withGap(gaps, since, open > 0 ? end : last, until),
  ])
  return new Map(finished)
}

const NO_GAPS: Gaps = { longestMs: 0, longestFrom: 0, count: 0, totalMs: 0 }

function withGap(gaps: Gaps, from: number, to: number, until: number): Gaps {
  if (from >= until) return gaps
  const ms = (to - from) / 1e6
  const long = ms >= GAP_MS
  return {
    longestMs: Math.max(gaps.longestMs, ms),
    longestFrom: ms > gaps.longestMs ? from : gaps.longestFrom,
    count: gaps.count + (long ? 1 : 0),
    totalMs: gaps.totalMs + (long ? ms : 0),
  }
}
