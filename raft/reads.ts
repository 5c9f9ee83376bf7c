/**
 * The leader's ReadIndex book (dissertation §6.4): which questions wait for a round, and which rounds for a majority.
 *
 * A round notes the commit index and is confirmed once a quorum has answered a heartbeat that was sent after that. All
 * questions of one turn share a round. A question that is asked again is a new question with a new round: an old index
 * never answers it (trap 10).
 *
 * Never: sends; state.ts delivers the answers.
 */
import type { Member } from './membership.ts'
import type { LogIndex } from './types.ts'

/** Beyond so many open questions the leader answers "ask again". */
const OPEN_READS_MAX = 10_000

/** Who wants to know. `from` is undefined for the leader's own node. */
export interface ReadAsk {
  readonly requestId: number
  readonly from: Member | undefined
}

interface Round {
  readonly number: number
  /** The commit index when the round began: what its askers must have applied. */
  readonly index: LogIndex
  readonly asks: readonly ReadAsk[]
}

/** Invariant: round numbers rise, so that no answer to an earlier round passes for one to a later. */
export class ReadBook {
  #waiting: ReadAsk[] = []
  readonly #rounds: Round[] = []
  #open = 0
  /** The number of the newest round; heartbeats carry it. */
  lastRound = 0

  get hasWaiting(): boolean {
    return this.#waiting.length > 0
  }

  /** False when too many are open. */
  ask(ask: ReadAsk): boolean {
    if (this.#open >= OPEN_READS_MAX) return false
    this.#open++
    this.#waiting.push(ask)
    return true
  }

  /** Begins a round for all that wait. The heartbeats that carry its number must be sent after this. */
  beginRound(commitIndex: LogIndex): void {
    this.lastRound++
    this.#rounds.push({ number: this.lastRound, index: commitIndex, asks: this.#waiting })
    this.#waiting = []
  }

  /** A quorum has confirmed rounds up to `round`: calls `answer` for each question of theirs. */
  confirm(round: number, answer: (ask: ReadAsk, index: LogIndex) => void): void {
    while (this.#rounds.length > 0 && this.#rounds[0]!.number <= round) {
      const confirmed = this.#rounds.shift()!
      this.#open -= confirmed.asks.length
      for (const ask of confirmed.asks) answer(ask, confirmed.index)
    }
  }

  /** Leadership is lost: returns all open questions and forgets them. */
  abandon(): readonly ReadAsk[] {
    const abandoned = [...this.#rounds.flatMap((round) => round.asks), ...this.#waiting]
    this.#rounds.length = 0
    this.#waiting = []
    this.#open = 0
    return abandoned
  }
}
