/** Latencies, medians, and how figures are printed. */

export interface LatencySummary {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** Every single latency of a run: percentiles of a sample would miss the tail. */
export class Latencies {
  #values = new Float64Array(1 << 16)
  #count = 0

  add(milliseconds: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Float64Array(2 * this.#count)
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values[this.#count++] = milliseconds
  }

  summary(): LatencySummary {
    const sorted = this.#values.subarray(0, this.#count).toSorted()
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
    return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** `median (least–most)`. */
export function formatRuns(values: readonly number[]): string {
  if (values.length === 1) return formatFigure(values[0]!)
  return `${formatFigure(median(values))} (${formatFigure(Math.min(...values))}–${formatFigure(Math.max(...values))})`
}

/** Three significant digits, or all of them before the point. */
export function formatFigure(value: number): string {
  if (Number.isNaN(value)) return '-'
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size >= 1000) return Math.round(value).toLocaleString('en-US')
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3)
}

/** Milliseconds that processes of one machine can compare, to the microsecond. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now()
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
