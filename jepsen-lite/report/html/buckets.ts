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
  readonly rate: Readonly<Record<Outcome | 'handed', Float64Array>>
  /** Milliseconds, of the ok operations invoked in the slice; NaN in one without. */
  readonly p50: Float64Array
  readonly p99: Float64Array
}

export function bucketsOf(operations: Operations, f: string, { from, to }: Stretch): Buckets {
  const seconds = (to - from) / 1e9 / BUCKETS
  const place = (time: number) =>
    Math.max(0, Math.min(BUCKETS - 1, Math.floor(((time - from) / (to - from)) * BUCKETS)))
  const row = () => new Float64Array(BUCKETS)
  const rate = { ok: row(), fail: row(), info: row(), handed: row() }
  const latencies: number[][] = Array.from({ length: BUCKETS }, () => [])
  for (const span of operations.spans) {
    if (span.f !== f) continue
    rate[span.type][place(span.to)]! += 1 / seconds
    if (span.type === 'ok') latencies[place(span.from)]!.push((span.to - span.from) / 1e6)
  }
  for (const handed of operations.handed) if (handed.f === f) rate.handed[place(handed.time)]! += 1 / seconds
  const sorted = latencies.map((each) => Float64Array.from(each).sort())
  const quantiles = (q: number) =>
    Float64Array.from(sorted, (each) => (each.length === 0 ? Number.NaN : quantile(each, q)))
  return { rate, p50: quantiles(0.5), p99: quantiles(0.99) }
}
