/** Time, turns and chance in the hands of a test. */
import type { Clock } from '../../../client/index.ts'

interface Timer {
  readonly atMs: number
  readonly callback: () => void
}

export class ManualClock implements Clock {
  #nowMs = 1_000
  #timers: Timer[] = []
  #deferred: (() => void)[] = []
  /** What `random` gives, in order; then 0.5 for ever. */
  readonly rolls: number[] = []

  now(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs
  }

  random(): number {
    return this.rolls.shift() ?? 0.5
  }

  setTimer(ms: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer)
    }
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback)
  }

  get timers(): number {
    return this.#timers.length
  }

  /** Time passes in one leap: timers that are due fire when time is next looked at, each once. */
  stall(ms: number): void {
    this.#nowMs += ms
  }

  /** Lets promises and turns run until nothing is left to do without time passing. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 2; quiet++) {
      await new Promise((resolve) => setImmediate(resolve))
      if (this.#deferred.length === 0) continue
      quiet = -1
      for (const callback of this.#deferred.splice(0)) callback()
    }
  }

  /** Lets time pass; each timer fires at its time, and everything settles in between. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    await this.settle()
    for (;;) {
      const next = this.#timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter((each) => each !== next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.callback()
      await this.settle()
    }
    this.#nowMs = untilMs
    await this.settle()
  }
}
