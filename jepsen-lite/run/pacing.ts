/**
 * When each slot has its next turn: independent random gaps around the mean that the rate asks for, so that operations of different slots
 * meet in every way. A slot that waited for its operation longer than its gap goes on at once and makes up for nothing: an outage is not
 * followed by a burst that would hide how the cluster came back.
 */
import type { Random } from '../random.ts'

export class Pacing {
  readonly #meanMs: number
  readonly #dice: readonly Random[]
  readonly #nextMs: number[]

  /** `rate`: operations per second of all slots together; 0: no pauses. */
  constructor(rate: number, concurrency: number, random: Random) {
    this.#meanMs = rate === 0 ? 0 : (1000 * concurrency) / rate
    this.#dice = Array.from({ length: concurrency }, (_, slot) => random.fork(`pace/${slot}`))
    // The first turns are spread over one gap, so that the slots do not march in step.
    this.#nextMs = this.#dice.map((dice) => dice.next() * this.#meanMs)
  }

  /** Milliseconds from now until the slot's next turn. `nowMs`: since the first operation. Called once a turn. */
  waitMs(slot: number, nowMs: number): number {
    const dice = this.#dice[slot]
    if (dice === undefined) throw new RangeError(`no slot ${slot}`)
    const turnMs = Math.max(nowMs, this.#nextMs[slot] as number)
    this.#nextMs[slot] = turnMs + this.#meanMs * 2 * dice.next()
    return turnMs - nowMs
  }
}
