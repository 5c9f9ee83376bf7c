/**
 * One timer for many deadlines. It remembers only the earliest; when that comes, its owner looks through what waits, which is
 * rare: most of what waits is long done by then. So a deadline costs a comparison and not a timer.
 */
import type { Clock } from './clock.ts'

export class Deadlines {
  readonly #clock: Clock
  /** Fails what is due and returns the earliest deadline that remains, or Infinity. */
  readonly #expire: (nowMs: number) => number
  #earliestMs = Number.POSITIVE_INFINITY
  #cancel = () => {}

  constructor(clock: Clock, expire: (nowMs: number) => number) {
    this.#clock = clock
    this.#expire = expire
  }

  add(deadlineMs: number): void {
    if (deadlineMs < this.#earliestMs) this.#arm(deadlineMs)
  }

  stop(): void {
    this.#cancel()
    this.#earliestMs = Number.POSITIVE_INFINITY
  }

  #arm(deadlineMs: number): void {
    this.#cancel()
    this.#earliestMs = deadlineMs
    if (deadlineMs === Number.POSITIVE_INFINITY) return
    this.#cancel = this.#clock.setTimer(Math.max(0, deadlineMs - this.#clock.now()), () => {
      this.#earliestMs = Number.POSITIVE_INFINITY
      const earliestMs = this.#expire(this.#clock.now())
      // Callers that were just told may have added earlier ones.
      if (earliestMs < this.#earliestMs) this.#arm(earliestMs)
    })
  }
}
