/**
 * The run cut into equal slices of time: completions and quantiles of latency in each, for the curves and for the read-out under the
 * pointer.
 */
import { quantile } from '../figures.ts'
import type { Operations, Outcome } from '../operations.ts'
import type { Stretch } from '../windows.ts'

export const BUCKETS = 240

export interface Buckets {
  /** Completions per second in each slice. */
  readonly rate: Readonly<Record<Outcome | 'told', Float64Array>>
  /** Milliseconds, of the ok operations invoked in a slice; NaN in one without. There are fewer slices when there are few operations. */
  readonly p50: Float64Array
  readonly p99: Float64Array
}

/** A quantile is of so many operations on the average, if there are enough. */
const QUANTILE_OF = 20
const SLICES_MIN = 30

export function bucketsOf(operations: Operations, f: string, { from, to }: Stretch): Buckets {
  const spans = operations.spans.filter((span) => span.f === f)
  const seconds = (to - from) / 1e9 / BUCKETS
  const place = (time: number, slices: number) =>
    Math.max(0, Math.min(slices - 1, Math.floor(((time - from) / (to - from)) * slices)))
  const row = () => new Float64Array(BUCKETS)
  const rate = { ok: row(), fail: row(), info: row(), told: row() }
  for (const span of spans) rate[span.type][place(span.to, BUCKETS)]! += 1 / seconds
  for (const told of operations.told) if (told.f === f) rate.told[place(told.time, BUCKETS)]! += 1 / seconds

  const slices = Math.max(SLICES_MIN, Math.min(BUCKETS, Math.floor(spans.length / QUANTILE_OF)))
  const latencies: number[][] = Array.from({ length: slices }, () => [])
  for (const { type, from: begun, to: ended } of spans) {
    if (type === 'ok') latencies[place(begun, slices)]!.push((ended - begun) / 1e6)
  }
  const sorted = latencies.map((each) => Float64Array.from(each).sort())
  const quantiles = (q: number) =>
    Float64Array.from(sorted, (each) => (each.length === 0 ? Number.NaN : quantile(each, q)))
  return { rate, p50: quantiles(0.5), p99: quantiles(0.99) }
}
