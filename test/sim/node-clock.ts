/**
 * One process's clock: the production `Clock` port on simulated time, for one life of one node.
 *
 * A paused process (a stalled event loop, a stopped virtual machine) runs nothing, and what came due in the meantime
 * runs at once when it goes on; a dead one never runs anything again. Each clock has its own zero and its own speed, so
 * that nothing can work only because all clocks agree.
 */
import type { Clock } from '../../raft/ports.ts'
import type { Scheduler } from './scheduler.ts'

export class NodeClock implements Clock {
  readonly #scheduler: Scheduler
  readonly #zero: number
  readonly #speed: number
  #state: 'running' | 'paused' | 'dead' = 'running'
  #waiting: (() => void)[] = []
  /** How often the process got to run. */
  turns = 0

  /** `zero`: what the clock shows at simulated time 0; `speed`: its milliseconds per simulated millisecond. */
  constructor(scheduler: Scheduler, zero: number, speed: number) {
    this.#scheduler = scheduler
    this.#zero = zero
    this.#speed = speed
  }

  get paused(): boolean {
    return this.#state === 'paused'
  }

  now(): number {
    return this.#zero + this.#scheduler.now() * this.#speed
  }

  setTimer(ms: number, callback: () => void): () => void {
    let cancelled = false
    const cancelEvent = this.#scheduler.after(ms / this.#speed, () => {
      this.run(() => {
        if (!cancelled) callback()
      })
    })
    return () => {
      cancelled = true
      cancelEvent()
    }
  }

  defer(callback: () => void): void {
    this.#scheduler.after(0, () => this.run(callback))
  }

  /** Runs what reached the process from outside: now, when a pause ends, or never. */
  run(callback: () => void): void {
    if (this.#state === 'running') {
      this.turns++
      callback()
    } else if (this.#state === 'paused') this.#waiting.push(callback)
  }

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused'
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    const due = this.#waiting
    this.#waiting = []
    for (const callback of due) this.defer(callback)
  }

  kill(): void {
    this.#state = 'dead'
    this.#waiting = []
  }
}
