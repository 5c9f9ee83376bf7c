/**
 * When the questions of one session are worked out: a few in each turn of the event loop, so that no client's questions hold up
 * the node's other work, and no more waiting than a bound.
 */
import type { Clock } from '../../raft/index.ts'
import { limits } from '../../wire/limits.ts'

/** Questions of one session that wait for an answer at a time; more are refused as Overloaded. */
export const QUERIES_OPEN_MAX = 1_024
/** Questions of one session that are worked out in one turn. */
export const QUERIES_PER_TURN_MAX = 16
/** Once the answers of a turn have so many bytes the other questions wait for the next one. */
const ANSWER_BYTES_PER_TURN = limits.frameBytesTarget

/** Answers a question, and says how many bytes that took. Must not throw but to end the process. */
export type Answering = () => number

export class QueryTurns {
  readonly #clock: Clock
  readonly #ready: Answering[] = []
  #open = 0
  #scheduled = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A question has come. False: there are too many, and this one is not taken. */
  take(): boolean {
    if (this.#open >= QUERIES_OPEN_MAX) return false
    this.#open++
    return true
  }

  /** A question that was taken can be answered now, in this or a later turn. */
  ready(answer: Answering): void {
    this.#ready.push(answer)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#clock.defer(() => this.#run())
  }

  #run(): void {
    this.#scheduled = false
    let bytes = 0
    let count = 0
    while (count < QUERIES_PER_TURN_MAX && bytes < ANSWER_BYTES_PER_TURN) {
      const answer = this.#ready[count]
      if (answer === undefined) break
      count++
      bytes += answer()
    }
    this.#ready.splice(0, count)
    this.#open -= count
    if (this.#ready.length > 0) this.#schedule()
  }
}
