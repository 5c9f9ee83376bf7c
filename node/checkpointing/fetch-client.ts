/**
 * Asks peers for chunks and entries, again and again until they answer: the mesh may drop a question or its answer, and a peer that
 * has no room for an answer now says nothing.
 *
 * Never: what to ask for next (installer.ts, body-fetcher.ts), nor more than one answer to a question.
 */
import type { Clock } from '../../raft/index.ts'
import type { FetchAnswer, FetchQuestion, FetchRequest, FetchResponse } from '../peers/fetch-codec.ts'

/** A question without an answer is asked again after so long, milliseconds. */
export const FETCH_RESEND_MS = 1_000

export interface FetchClientOptions {
  readonly clock: Clock
  readonly random: () => number
  /** False: there is no way to that peer now. */
  readonly send: (to: string, request: FetchRequest) => boolean
}

interface OpenQuestion {
  readonly peer: string
  readonly what: FetchQuestion['what']
  readonly settle: (answer: FetchAnswer | undefined) => void
}

export class FetchClient {
  readonly #options: FetchClientOptions
  readonly #open = new Map<number, OpenQuestion>()
  /** Begins at random: an answer to the former life of this process must not be taken for one of this life's (trap 10). */
  #lastId: number

  constructor(options: FetchClientOptions) {
    this.#options = options
    this.#lastId = Math.floor(options.random() * 2 ** 48)
  }

  /** Undefined when `signal` ends it, or after `triesMax` askings that got no answer. */
  ask(
    peer: string,
    question: FetchQuestion,
    signal: AbortSignal,
    triesMax = Number.POSITIVE_INFINITY,
  ): Promise<FetchAnswer | undefined> {
    if (signal.aborted) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const { clock, send } = this.#options
      const id = ++this.#lastId
      let tries = 0
      let cancelTimer = () => {}
      const settle = (answer: FetchAnswer | undefined) => {
        cancelTimer()
        signal.removeEventListener('abort', abort)
        this.#open.delete(id)
        resolve(answer)
      }
      const abort = () => settle(undefined)
      const askOnce = () => {
        if (tries++ >= triesMax) return settle(undefined)
        send(peer, { id, question })
        cancelTimer = clock.setTimer(FETCH_RESEND_MS, askOnce)
      }
      this.#open.set(id, { peer, what: question.what, settle })
      signal.addEventListener('abort', abort)
      askOnce()
    })
  }

  /** Only the peer that was asked is heard. */
  onResponse(from: string, { id, answer }: FetchResponse): void {
    const open = this.#open.get(id)
    if (open === undefined || open.peer !== from) return
    if (answer.what === open.what || (answer.what === 'gone' && open.what === 'chunk')) open.settle(answer)
  }
}
