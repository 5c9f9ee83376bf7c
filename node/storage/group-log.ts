/**
 * One group's log: the `LogStorage` that Raft's driver gets, and the entries that the group still holds though they are no part
 * of its log any more (*kept* entries: messages refer to them).
 *
 * Entries of the log live in two places: those whose batch is synced are on disk and known to the index; the younger ones, the tail,
 * are still objects in memory, so that reads see them at once. `append` changes both synchronously; a cut therefore never waits for
 * the disk, and what comes back later for entries that it removed is recognised and ignored.
 *
 * Invariants:
 *  1. The tail continues the index without a gap: tail[0].index === index.lastIndex + 1.
 *  2. Terms never fall along the log (paper §5.3), nor does the hard state's.
 *  3. A kept entry was committed, here or where it came from: what is kept is the same on every node.
 */
import {
  type Entry,
  type HardState,
  invariant,
  type LogIndex,
  type LogStorage,
  type RecoveredLog,
} from '../../raft/index.ts'
import type { DamagedLogError } from './errors.ts'
import type { GroupHistory } from './group-history.ts'
import type { GroupState } from './group-state.ts'
import { HeldEntries, type Need } from './held-entries.ts'
import { PlacementBuilder, type RecordPlace } from './log-index.ts'
import type { LogReader } from './log-reader.ts'
import { encodeBase, encodeHardState, type PendingAppend, type PlacementSink } from './pending-append.ts'

/** Finished entries at the front of the tail before it is moved together. */
const TAIL_SLACK = 1024

/** Entries that are looked at in one turn of the event loop: some milliseconds. */
const ROWS_PER_TURN = 32 * 1024

/** What a group needs of the log that it shares with the others. */
export interface SharedLog {
  readonly reader: LogReader
  readonly entryBytesMax: number
  /** The segment that the next batch goes to, or a later one does. */
  readonly segment: number
  submit(append: PendingAppend): void
  /** Why the log is not usable any more. */
  readonly failure: Error | undefined
  /** It is being closed, or has failed. */
  readonly isEnding: boolean
  /** Resolves in a later turn of the event loop. */
  turn(): Promise<void>
}

type Base = Parameters<LogStorage['reset']>[0]

export class GroupLog implements LogStorage, PlacementSink {
  /** An entry at or below the checkpoint turned out to be damaged; it is not held any more. */
  onDamaged: ((index: LogIndex) => void) | undefined
  /** What is on disk. */
  readonly held: HeldEntries
  readonly #shared: SharedLog
  readonly #state: GroupState
  #recovered: RecoveredLog
  #hardState: HardState
  readonly #tail: Entry[] = []
  /** Entries at the front of `#tail` that are on disk by now. */
  #tailDone = 0
  /** Entries at or below it are committed, and a checkpoint reflects them: other nodes have them too. */
  #checkpoint: LogIndex
  /** Appends under way that make something void which is on disk. */
  #voiding = 0
  /** The greatest commit index that is in the log, or on its way there. */
  #settled: LogIndex

  constructor(shared: SharedLog, history: GroupHistory, state: GroupState, checkpoint: LogIndex) {
    this.#shared = shared
    this.#state = state
    this.#recovered = history.recovered()
    this.#hardState = this.#recovered.hardState
    this.held = new HeldEntries(history.index, history.terms, history.kept)
    this.#checkpoint = Math.min(checkpoint, history.settled)
    this.#settled = history.settled
  }

  /** What the log held when it was opened, or when it was reset since. */
  recovered(): RecoveredLog {
    return this.#recovered
  }

  /** The entries' data must not change until the promise is settled. */
  append(batch: { readonly hardState?: HardState; readonly entries: readonly Entry[] }): Promise<void> {
    const { entries } = batch
    if (this.#shared.failure !== undefined) return Promise.reject(this.#shared.failure)
    const first = entries[0]
    const hardState = this.#withoutPromise(batch.hardState, first)
    if (hardState !== undefined) this.#takeHardState(hardState)
    const voidsFrom = first === undefined ? undefined : this.#makeRoom(first.index)
    const previousTerm = this.held.terms.lastTerm
    for (const entry of entries) this.#take(entry)
    this.#settled = Math.max(this.#settled, Math.min(this.#hardState.commit, this.#lastIndex))
    return this.#submit({
      head: hardState && encodeHardState(hardState),
      entries,
      isKept: false,
      previousTerm,
      voidsFrom,
      sink: this,
    })
  }

  /**
   * The log is empty from now on and goes on behind `base`. What it held and knows as committed stays held, without being part of the
   * log, until a compaction finds that nobody needs it.
   */
  reset(base: Base): Promise<void> {
    if (this.#shared.failure !== undefined) return Promise.reject(this.#shared.failure)
    // What a checkpoint reflects is committed, and was told to be held: the log says so first, so that a later start keeps the same. If that
    // write fails, so does the next.
    this.tellCommitted().catch(() => {})
    const voidsFrom =
      this.held.index.lowestSegmentFrom(this.#settled + 1) ?? (this.#tail.length > 0 ? this.#shared.segment : undefined)
    this.#tail.length = this.#tailDone
    this.held.reset(base, this.#settled)
    this.#settled = Math.min(this.#settled, base.index)
    this.#checkpoint = base.index
    const { index, term } = base
    const hardState = { ...this.#hardState, commit: Math.min(this.#hardState.commit, index) }
    this.#recovered = {
      hardState,
      firstIndex: index + 1,
      baseTerm: term,
      lastIndex: index,
      termRuns: [],
      memberships: [],
    }
    return this.#submit({
      head: encodeBase(base),
      entries: [],
      isKept: false,
      previousTerm: 0,
      voidsFrom,
      sink: undefined,
    })
  }

  async read(from: LogIndex, bytesMax: number): Promise<Entry[]> {
    if (this.#shared.failure !== undefined) throw this.#shared.failure
    const last = this.#lastIndex
    if (from < this.held.index.firstIndex || from > last) return []
    // Both parts are fixed here, in one turn: a later cut does not change what this read gives.
    let bytes = 0
    let to = from
    for (; to <= last && !this.held.isDamaged(to); to++) {
      bytes += this.#bytesOf(to)
      if (bytes > bytesMax && to > from) break
    }
    const onDisk = Math.max(from, Math.min(to, this.held.index.lastIndex + 1))
    const young = to > onDisk ? this.#tail.slice(this.#tailAt(onDisk), this.#tailAt(to)) : []
    if (from === onDisk) return young
    const old = await this.#readPlaced(this.held.slice(from, onDisk))
    // Consecutive ones only: whoever reads the log takes what is behind a damaged entry from elsewhere too.
    const gap = old.findIndex((entry, i) => entry.index !== from + i)
    if (gap !== -1) return old.slice(0, gap)
    return old.length < onDisk - from ? old : old.concat(young)
  }

  // ---- entries that are held, in the log or not

  /**
   * Writes entries that the log does not hold, but messages refer to: all of them committed. Resolves when they are synced; from then on
   * they are held.
   */
  keep(entries: readonly Entry[]): Promise<void> {
    if (this.#shared.failure !== undefined) return Promise.reject(this.#shared.failure)
    for (const entry of entries) this.#checkSize(entry)
    return this.#submit({
      head: undefined,
      entries,
      isKept: true,
      previousTerm: 0,
      voidsFrom: undefined,
      sink: this.#keptSink,
    })
  }

  /** In the log or kept, and not known as damaged. */
  holds(index: LogIndex): boolean {
    return this.held.has(index) || (index > this.held.index.lastIndex && index <= this.#lastIndex)
  }

  /**
   * Of the given, those that are not held for good. `committed`: entries of the log above it may yet be replaced, or go in a reset, and
   * count as missing; by default it is what the log itself knows. Many take several turns of the event loop: whoever asks has pinned them
   * before, or a compaction in between may let go of them.
   */
  async missing(
    references: Iterable<LogIndex>,
    committed = Math.max(this.#settled, this.#checkpoint),
  ): Promise<LogIndex[]> {
    const missing: LogIndex[] = []
    let rows = 0
    for (const index of references) {
      if (!this.held.hasCommitted(index, committed)) missing.push(index)
      if (++rows % ROWS_PER_TURN === 0) await this.#shared.turn()
    }
    return missing
  }

  /**
   * Entries that are held, from `from` on and in the order of their indexes, those skipped that are not: at least one, if there is any,
   * stopping before `bytesMax` of data is passed.
   */
  async readHeld(from: LogIndex, bytesMax: number): Promise<Entry[]> {
    for (let next = from; ; ) {
      if (this.#shared.failure !== undefined) throw this.#shared.failure
      const placement = new PlacementBuilder()
      const bytes = this.held.collect(next, bytesMax, placement)
      const young = this.#youngFrom(Math.max(next, this.held.index.lastIndex + 1), bytesMax - bytes, placement)
      if (placement.indexes.length === 0) return young
      const old = await this.#readPlaced(placement)
      if (this.#liesElsewhere(placement, old)) continue
      next = (placement.indexes.at(-1) as LogIndex) + 1
      const found = old.concat(young)
      if (found.length > 0) return found
    }
  }

  /** Were the process to end now, its next start might find records that `held` does not know any more. */
  get isVoiding(): boolean {
    return this.#voiding > 0
  }

  /**
   * Writes down what a checkpoint tells about the commit index: of a log with gaps, later starts believe only what the log itself says, and
   * that checkpoint may be replaced by another one.
   */
  async tellCommitted(): Promise<void> {
    const commit = Math.max(this.#settled, this.#checkpoint)
    if (commit > this.#hardState.commit) await this.append({ hardState: { ...this.#hardState, commit }, entries: [] })
  }

  /** Forgets the log below `firstIndex` (at most up to the end of what is synced), and all that is held below it and not needed. */
  async compact(firstIndex: LogIndex, checkpoint: LogIndex, need: Need): Promise<void> {
    this.#checkpoint = Math.max(this.#checkpoint, checkpoint)
    // At once: what these sets hold is what was needed when they were made. The files go later, when the log has told.
    const first = Math.min(firstIndex, this.held.index.lastIndex + 1)
    this.held.compact(first, this.#lastIndex, need)
    while (this.held.compactSome(ROWS_PER_TURN)) {
      await this.#shared.turn()
      // Whoever closes the log does not wait for this: what is gone is gone already.
      if (this.#shared.isEnding) break
    }
    await this.tellCommitted()
  }

  /** Writes what lies at these places once more, as kept entries. */
  async rewrite(placement: PlacementBuilder): Promise<void> {
    await this.keep(await this.#readPlaced(placement))
  }

  onPlaced(entry: Entry, segment: number, offset: number): void {
    // An entry that a later append cut off is not in the tail any more, and those behind it were cut with it.
    if (this.#tail[this.#tailDone] !== entry) return
    this.held.index.push(segment, offset, entry.data.length)
    this.#tailDone++
    if (this.#tailDone === this.#tail.length || this.#tailDone >= TAIL_SLACK) {
      this.#tail.splice(0, this.#tailDone)
      this.#tailDone = 0
    }
  }

  readonly #keptSink: PlacementSink = {
    onPlaced: (entry, segment, offset) => this.held.put(entry, segment, offset),
  }

  // ---- appends

  /** Once per append: every field by name, since a spread costs more than all the rest here. */
  #submit(append: Omit<PendingAppend, 'state' | 'resolve' | 'reject'>): Promise<void> {
    const { sink, head, entries, isKept, previousTerm, voidsFrom } = append
    if (voidsFrom !== undefined) this.#voiding++
    return new Promise((settle, reject) => {
      const resolve = voidsFrom === undefined ? settle : this.#afterVoiding(settle)
      const state = this.#state
      this.#shared.submit({ state, sink, head, entries, isKept, previousTerm, voidsFrom, resolve, reject })
    })
  }

  #afterVoiding(settle: () => void): () => void {
    return () => {
      this.#voiding--
      settle()
    }
  }

  /**
   * A hard state comes before its entries, in the same batch or, at the end of a full one, in the batch before. Where the entries replace
   * others it must not speak of them yet: of those others a crash in between would make committed ones. The next write tells the rest.
   */
  #withoutPromise(hardState: HardState | undefined, first: Entry | undefined): HardState | undefined {
    if (hardState === undefined || first === undefined || first.index > this.#lastIndex) return hardState
    return hardState.commit < first.index ? hardState : { ...hardState, commit: first.index - 1 }
  }

  #takeHardState(hardState: HardState): void {
    invariant(hardState.term >= this.#hardState.term, 'the term of the hard state never falls')
    this.#hardState = hardState
  }

  /** Cuts the log so that an entry of this index can follow. Returns the lowest segment that may hold what was cut. */
  #makeRoom(index: LogIndex): number | undefined {
    const { firstIndex, lastIndex } = this.held.index
    invariant(index >= firstIndex && index <= this.#lastIndex + 1, 'entries follow each other without a gap')
    if (index > this.#lastIndex) return undefined
    const voidsFrom = this.held.index.lowestSegmentFrom(index) ?? this.#shared.segment
    this.#tail.length = Math.max(this.#tailDone, this.#tailAt(index))
    this.held.terms.truncate(index)
    if (index <= lastIndex) this.held.truncate(index)
    return voidsFrom
  }

  #take(entry: Entry): void {
    invariant(entry.index === this.#lastIndex + 1, 'only the first entry of an append may cut the log')
    this.#checkSize(entry)
    const { terms } = this.held
    invariant(entry.term >= terms.lastTerm, 'terms never fall along the log')
    terms.push(entry.index, entry.term)
    this.#tail.push(entry)
  }

  #checkSize(entry: Entry): void {
    invariant(entry.data.length <= this.#shared.entryBytesMax, 'an entry fits into a segment')
  }

  get #lastIndex(): LogIndex {
    return this.held.index.lastIndex + this.#tail.length - this.#tailDone
  }

  #tailAt(index: LogIndex): number {
    return this.#tailDone + index - this.held.index.lastIndex - 1
  }

  #bytesOf(index: LogIndex): number {
    const { held } = this
    if (index <= held.index.lastIndex) return held.index.bodyBytesOf(index)
    return (this.#tail[this.#tailAt(index)] as Entry).data.length
  }

  // ---- reads

  /** Entries that are not on disk yet, of at most that many bytes; at least one if nothing else was found. */
  #youngFrom(from: LogIndex, bytesMax: number, placed: PlacementBuilder): Entry[] {
    const young: Entry[] = []
    let bytes = 0
    for (let index = from; index <= this.#lastIndex; index++) {
      const entry = this.#tail[this.#tailAt(index)] as Entry
      bytes += entry.data.length
      if (bytes > bytesMax && placed.indexes.length + young.length > 0) break
      young.push(entry)
    }
    return young
  }

  /** Something that was damaged at its place, or mended since, is held all the same. */
  #liesElsewhere({ indexes }: PlacementBuilder, read: readonly Entry[]): boolean {
    if (read.length === indexes.length) return false
    const found = new Set(read.map(({ index }) => index))
    return indexes.some((index) => !found.has(index) && this.held.has(index))
  }

  #readPlaced(placement: PlacementBuilder): Promise<Entry[]> {
    return this.#shared.reader.read(this.#state.group, placement, this.#onRotten)
  }

  /** Other nodes have what a checkpoint reflects, and what is kept; above it, this node may be the one that is counted on. */
  readonly #onRotten = (index: LogIndex, place: RecordPlace, error: DamagedLogError): void => {
    if (index > this.#checkpoint && this.held.isOfLog(index, place)) throw error
    if (this.held.markDamaged(index, place) && !this.held.has(index)) this.onDamaged?.(index)
  }
}
