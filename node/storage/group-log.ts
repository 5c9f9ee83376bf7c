/**
 * One group's log: the `LogStorage` that Raft's driver gets.
 *
 * Entries live in two places: those whose batch is synced are on disk and known to the index; the younger ones, the tail, are
 * still objects in memory, so that reads see them at once. `append` changes both synchronously; a cut therefore never waits for
 * the disk, and what comes back later for entries that it removed is recognised and ignored.
 *
 * Invariants:
 *  1. The tail continues the index without a gap: tail[0].index === index.lastIndex + 1.
 *  2. Terms never fall along the log (paper §5.3), nor does the hard state's.
 */
import {
  type Entry,
  type GroupId,
  type HardState,
  InvariantError,
  invariant,
  type LogIndex,
  type LogStorage,
  type RecoveredLog,
  type Term,
} from '../../raft/index.ts'
import type { GroupHistory } from './group-history.ts'
import type { LogIndexTable } from './log-index.ts'
import type { LogReader } from './log-reader.ts'
import { encodeHardState, type PendingAppend, type PlacementSink } from './pending-append.ts'
import type { TermRuns } from './term-runs.ts'

/** Finished entries at the front of the tail before it is moved together. */
const TAIL_SLACK = 1024

/** What a group needs of the log that it shares with the others. */
export interface SharedLog {
  readonly reader: LogReader
  readonly entryBytesMax: number
  submit(append: PendingAppend): void
  /** Why the log is not usable any more. */
  readonly failure: Error | undefined
}

export class GroupLog implements LogStorage, PlacementSink {
  readonly #shared: SharedLog
  readonly #group: GroupId
  readonly #recovered: RecoveredLog
  readonly #index: LogIndexTable
  readonly #terms: TermRuns
  #term: number
  readonly #tail: Entry[] = []
  /** Entries at the front of `#tail` that are on disk by now. */
  #tailDone = 0

  constructor(shared: SharedLog, history: GroupHistory) {
    this.#shared = shared
    this.#group = history.group
    this.#recovered = history.recovered()
    this.#index = history.index
    this.#terms = history.terms
    this.#term = this.#recovered.hardState.term
  }

  recovered(): RecoveredLog {
    return this.#recovered
  }

  /** The entries' data must not change until the promise is settled. */
  append(batch: { readonly hardState?: HardState; readonly entries: readonly Entry[] }): Promise<void> {
    const { hardState, entries } = batch
    if (this.#shared.failure !== undefined) return Promise.reject(this.#shared.failure)
    if (hardState !== undefined) {
      invariant(hardState.term >= this.#term, 'the term of the hard state never falls')
      this.#term = hardState.term
    }
    for (const entry of entries) this.#take(entry, entry === entries[0])
    return new Promise((resolve, reject) => {
      const encoded = hardState && encodeHardState(hardState)
      this.#shared.submit({ group: this.#group, sink: this, hardState: encoded, entries, resolve, reject })
    })
  }

  async read(from: LogIndex, bytesMax: number): Promise<Entry[]> {
    if (this.#shared.failure !== undefined) throw this.#shared.failure
    const last = this.#lastIndex
    invariant(from >= this.#index.firstIndex && from <= last, 'only entries that the log holds are read')
    // Both parts are fixed here, in one turn: a later cut does not change what this read gives.
    let bytes = 0
    let to = from
    for (; to <= last; to++) {
      bytes += this.#bytesOf(to)
      if (bytes > bytesMax && to > from) break
    }
    const onDisk = Math.min(to, this.#index.lastIndex + 1)
    const young = to > onDisk ? this.#tail.slice(this.#tailAt(Math.max(from, onDisk)), this.#tailAt(to)) : []
    if (from >= onDisk) return young
    const old = await this.#shared.reader.read(this.#group, this.#index.slice(from, onDisk))
    return young.length === 0 ? old : old.concat(young)
  }

  reset(_base: { readonly index: LogIndex; readonly term: Term }): Promise<void> {
    throw new InvariantError('a log cannot be restarted yet')
  }

  onPlaced(entry: Entry, segment: number, offset: number): void {
    // An entry that a later append cut off is not in the tail any more, and those behind it were cut with it.
    if (this.#tail[this.#tailDone] !== entry) return
    this.#index.push(segment, offset, entry.data.length)
    this.#tailDone++
    if (this.#tailDone === this.#tail.length || this.#tailDone >= TAIL_SLACK) {
      this.#tail.splice(0, this.#tailDone)
      this.#tailDone = 0
    }
  }

  #take(entry: Entry, isFirst: boolean): void {
    const last = this.#lastIndex
    invariant(
      entry.index >= this.#index.firstIndex && entry.index <= last + 1,
      'entries follow each other without a gap',
    )
    invariant(isFirst || entry.index === last + 1, 'only the first entry of an append may cut the log')
    invariant(entry.data.length <= this.#shared.entryBytesMax, 'an entry fits into a segment')
    if (entry.index <= last) this.#truncate(entry.index)
    invariant(entry.term >= this.#terms.lastTerm, 'terms never fall along the log')
    this.#terms.push(entry.index, entry.term)
    this.#tail.push(entry)
  }

  #truncate(index: LogIndex): void {
    this.#terms.truncate(index)
    this.#tail.length = Math.max(this.#tailDone, this.#tailAt(index))
    if (index <= this.#index.lastIndex) this.#index.truncate(index)
  }

  get #lastIndex(): LogIndex {
    return this.#index.lastIndex + this.#tail.length - this.#tailDone
  }

  #tailAt(index: LogIndex): number {
    return this.#tailDone + index - this.#index.lastIndex - 1
  }

  #bytesOf(index: LogIndex): number {
    if (index <= this.#index.lastIndex) return this.#index.bodyBytesOf(index)
    return (this.#tail[this.#tailAt(index)] as Entry).data.length
  }
}
