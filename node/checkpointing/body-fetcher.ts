/**
 * Fetches entries by index from one peer after the other and keeps them beside the log. Committed entries are the same everywhere,
 * so whoever holds one may give it.
 *
 * Bounded: PULLS_MAX answers are in flight or being written, however many entries are wanted.
 */
import { FETCH_INDEXES_MAX } from '../peers/fetch-codec.ts'
import type { FetchClient } from './fetch-client.ts'
import type { Entry, LogIndex } from './ports.ts'

const PULLS_MAX = 3

/** A peer that leaves so many askings unanswered is passed over for this round. */
const TRIES_MAX = 3

export interface BodyFetcherOptions {
  readonly client: FetchClient
  /** Resolves when the entries are synced. */
  readonly keep: (entries: readonly Entry[]) => Promise<void>
}

export class BodyFetcher {
  readonly #options: BodyFetcherOptions

  constructor(options: BodyFetcherOptions) {
    this.#options = options
  }

  /**
   * One round: asks each of the peers in turn for what is still wanted. Resolves with the indexes that none of them gave. Rejects when
   * the disk fails.
   */
  async fetch(wanted: Iterable<LogIndex>, peers: readonly string[], signal: AbortSignal): Promise<LogIndex[]> {
    let left = [...wanted].sort((a, b) => a - b)
    for (const peer of peers) {
      if (left.length === 0 || signal.aborted) break
      left = await this.#fetchFrom(peer, left, signal)
    }
    return left
  }

  /** What this peer does not hold, or did not answer for. */
  async #fetchFrom(peer: string, wanted: readonly LogIndex[], signal: AbortSignal): Promise<LogIndex[]> {
    const queue = new Batches(wanted)
    const left: LogIndex[] = []
    let silent = false
    const pull = async () => {
      for (let batch = queue.take(); batch !== undefined; batch = queue.take()) {
        const question = { what: 'entries', indexes: batch } as const
        const answer = silent ? undefined : await this.#options.client.ask(peer, question, signal, TRIES_MAX)
        if (answer?.what !== 'entries' || answer.dealt === 0) {
          silent = true
          left.push(...batch)
          continue
        }
        const asked = new Set(batch.slice(0, answer.dealt))
        const entries = answer.entries.filter(({ index }) => asked.delete(index))
        left.push(...asked)
        queue.putBack(batch.slice(answer.dealt))
        if (entries.length > 0) await this.#options.keep(entries)
      }
    }
    await Promise.all(Array.from({ length: PULLS_MAX }, pull))
    return left.sort((a, b) => a - b)
  }
}

/** Indexes that are still to be asked for, in order, as many at a time as one question may name. */
class Batches {
  #lists: (readonly LogIndex[])[] = []

  constructor(indexes: readonly LogIndex[]) {
    for (let from = 0; from < indexes.length; from += FETCH_INDEXES_MAX) {
      this.#lists.push(indexes.slice(from, from + FETCH_INDEXES_MAX))
    }
    this.#lists.reverse()
  }

  take(): readonly LogIndex[] | undefined {
    return this.#lists.pop()
  }

  putBack(indexes: readonly LogIndex[]): void {
    if (indexes.length > 0) this.#lists.push(indexes)
  }
}
