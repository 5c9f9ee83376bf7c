/**
 * When a quiet log writes a marker: so long after its last batch. The marker tells a later start that this batch was synced.
 *
 * One timer at a time, and none is cancelled while the log is busy: it looks again instead.
 */
import type { Clock } from '../../raft/index.ts'

export class IdleMarker {
  readonly #clock: Pick<Clock, 'setTimer'>
  readonly #afterMs: number
  readonly #write: () => boolean
  /** The last batch on disk has no successor yet. */
  #isDue = false
  /** A batch was written since the timer was set. */
  #isBusy = false
  #cancelTimer: (() => void) | undefined

  /** `write` writes a marker, or returns false when the log is not quiet. */
  constructor(clock: Pick<Clock, 'setTimer'>, afterMs: number, write: () => boolean) {
    this.#clock = clock
    this.#afterMs = afterMs
    this.#write = write
  }

  get isDue(): boolean {
    return this.#isDue
  }

  /** A batch is on disk. */
  written(): void {
    this.#isDue = true
    this.#isBusy = true
    if (this.#cancelTimer === undefined) this.#setTimer()
  }

  /** A marker is on disk. */
  marked(): void {
    this.#isDue = false
    this.#isBusy = true
  }

  stop(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  #setTimer(): void {
    this.#isBusy = false
    this.#cancelTimer = this.#clock.setTimer(this.#afterMs, () => {
      this.#cancelTimer = undefined
      if (this.#isDue && (this.#isBusy || !this.#write())) this.#setTimer()
    })
  }
}
