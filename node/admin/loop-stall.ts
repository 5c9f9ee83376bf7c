/**
 * How long the event loop stood still at the most: while it does, no heartbeat leaves and no client is served, and a stall near the
 * election timeout is one (trap 46). Each node has its own, since two of one process may be asked at different times.
 *
 * NB: whoever asks begins a new span. The first RESOLUTION_MS of a span are not watched.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'

const RESOLUTION_MS = 5

export class LoopStall {
  readonly #delays: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })

  start(): void {
    this.#delays.enable()
  }

  stop(): void {
    this.#delays.disable()
  }

  /** The longest stall since the last call, seconds; 0 while it does not run. */
  async takeMaxSeconds(): Promise<number> {
    // A stall of this very turn is measured when timers run next, which is before the second turn.
    for (let turns = 0; turns < 2; turns++) await new Promise((resolve) => void setImmediate(resolve))
    // What is measured is the time from one look to the next.
    const maxMs = this.#delays.max / 1e6 - RESOLUTION_MS
    this.#delays.reset()
    return Math.max(0, maxMs) / 1e3
  }
}
