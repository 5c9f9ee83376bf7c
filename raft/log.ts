/**
 * The log as the core sees it: the terms of all entries, the newest entries themselves, and how far the log is handed to
 * storage, persisted, committed and applied (§5.3). It begins behind its base: the entries up to there are forgotten, and a
 * checkpoint reflects them (§7).
 *
 * Never: reads the disk. What is no longer in memory is the driver's to load. Never copies an entry's data.
 */
import { invariant } from './invariant.ts'
import type { RecoveredLog, SnapshotMark } from './ports.ts'
import type { Entry, LogIndex, Term } from './types.ts'

/** What an entry costs beside its data: counted so that empty entries too fill windows and caches. */
const ENTRY_OVERHEAD_BYTES = 64

/** An evicting pass frees an eighth of the cache, so that moving the rest is paid for by many appends. */
const EVICT_TO = 7 / 8

export function entryBytes(entry: Entry): number {
  return entry.data.length + ENTRY_OVERHEAD_BYTES
}

/** An entry's place: what a log goes on behind. */
export interface LogPosition {
  readonly index: LogIndex
  readonly term: Term
}

/**
 * 1. Entries in memory are consecutive and end at lastIndex. Some may be below the base: the cache is older than the log.
 * 2. Terms never fall along the log.
 * 3. baseIndex <= appliedIndex <= commitIndex <= lastIndex, and commitIndex never falls.
 * 4. Nothing at or below commitIndex is ever cut, but for a checkpoint that reflects it.
 * 5. persistedIndex <= handedIndex <= lastIndex.
 * 6. What the log holds and is not in memory is persisted.
 */
export class RaftLog {
  readonly #entries: Entry[] = []
  /** Index of #entries[0], lastIndex + 1 when there is none. */
  #memoryFirst: LogIndex
  #memoryBytes = 0
  readonly #memoryBytesMax: number
  /**
   * First index of each run of equal terms, the first one beginning with the base itself. Grows by one an election, not by one
   * an entry.
   */
  #runs: { readonly firstIndex: LogIndex; readonly term: Term }[]
  #baseIndex: LogIndex
  /** Storage was not told yet that the log was emptied and goes on behind the base. */
  #isResetUnhanded = false
  #lastIndex: LogIndex
  #handedIndex: LogIndex
  #persistedIndex: LogIndex
  #commitIndex: LogIndex
  #appliedIndex: LogIndex

  /** `checkpoint`: what the state machine was restored to. The log must reach it, and hold all that comes after it. */
  constructor(recovered: RecoveredLog, memoryBytesMax: number, checkpoint?: SnapshotMark) {
    const { firstIndex, lastIndex, baseTerm, termRuns, hardState } = recovered
    const start = checkpoint?.index ?? 0
    invariant(
      firstIndex - 1 <= start && start <= lastIndex,
      () => `a checkpoint at ${start} and a log of ${firstIndex} to ${lastIndex} do not meet`,
    )
    this.#memoryBytesMax = memoryBytesMax
    this.#baseIndex = firstIndex - 1
    this.#runs = [{ firstIndex: this.#baseIndex, term: baseTerm }, ...termRuns.filter(({ term }) => term > baseTerm)]
    this.#lastIndex = lastIndex
    this.#memoryFirst = lastIndex + 1
    this.#handedIndex = lastIndex
    this.#persistedIndex = lastIndex
    // A torn batch may have lost entries that its hard state spoke of: a lower bound that is too high is cut down.
    this.#commitIndex = Math.max(Math.min(hardState.commit, lastIndex), start)
    this.#appliedIndex = start
    const startTerm = checkpoint?.term ?? 0
    invariant(
      this.termAt(start) === startTerm,
      () => `the checkpoint at ${start} is of term ${startTerm}, the log's entry of ${this.termAt(start)}`,
    )
  }

  /** The entry before the first: all up to it is committed, reflected by a checkpoint, and forgotten here. */
  get baseIndex(): LogIndex {
    return this.#baseIndex
  }

  get lastIndex(): LogIndex {
    return this.#lastIndex
  }

  get lastTerm(): Term {
    return this.#runs.at(-1)!.term
  }

  /** Up to here the log was given to storage, though perhaps not synced. */
  get handedIndex(): LogIndex {
    return this.#handedIndex
  }

  /** Up to here the log survives a crash of this node. */
  get persistedIndex(): LogIndex {
    return this.#persistedIndex
  }

  get commitIndex(): LogIndex {
    return this.#commitIndex
  }

  get appliedIndex(): LogIndex {
    return this.#appliedIndex
  }

  get memoryBytes(): number {
    return this.#memoryBytes
  }

  /** Undefined beyond the end and before the base; 0 at index 0, if that is the base. */
  termAt(index: LogIndex): Term | undefined {
    if (index < this.#baseIndex || index > this.#lastIndex) return undefined
    return this.#runs[this.#runOf(index)]!.term
  }

  /** Position in #runs of the run that holds `index`, which is not before the base. Nearly always the last: tried first. */
  #runOf(index: LogIndex): number {
    let high = this.#runs.length - 1
    if (this.#runs[high]!.firstIndex <= index) return high
    let low = 0
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#runs[middle]!.firstIndex <= index) low = middle
      else high = middle - 1
    }
    return low
  }

  /**
   * The greatest index at or below `index` whose term is at most `term`: skips whole terms at a step (trap 12). An index before
   * the base means that it is not in this log any more.
   */
  lastIndexWithTermAtMost(index: LogIndex, term: Term): LogIndex {
    let candidate = Math.min(index, this.#lastIndex)
    while (candidate >= this.#baseIndex) {
      const run = this.#runs[this.#runOf(candidate)]!
      if (run.term <= term) return candidate
      candidate = run.firstIndex - 1
    }
    return candidate
  }

  /** §5.4.1: whether a log that ends so is at least as up-to-date as this one. */
  isUpToDate(lastIndex: LogIndex, lastTerm: Term): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.#lastIndex)
  }

  /** How many of these entries, from the first on, this log holds with the same terms, or held and forgot (trap 29). */
  heldOf(entries: readonly Entry[]): number {
    const differing = entries.findIndex(
      (entry) => this.termAt(entry.index) !== entry.term && entry.index > this.#baseIndex,
    )
    return differing === -1 ? entries.length : differing
  }

  /** Whether this log has, or had, the committed entry (index, term): what is committed is the same everywhere. */
  holdsCommitted(index: LogIndex, term: Term): boolean {
    return index <= this.#commitIndex || this.termAt(index) === term
  }

  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const { index, term } = entry
      invariant(index === this.#lastIndex + 1, () => `invariant 1: entry ${index} after ${this.#lastIndex}`)
      invariant(term >= this.lastTerm, () => `invariant 2: term ${term} after ${this.lastTerm} at ${index}`)
      if (term > this.lastTerm) this.#runs.push({ firstIndex: index, term })
      this.#entries.push(entry)
      this.#memoryBytes += entryBytes(entry)
      this.#lastIndex = index
    }
  }

  /** Forgets `index` and all after it. */
  truncateFrom(index: LogIndex): void {
    invariant(index > this.#commitIndex, () => `invariant 4: cut at ${index}, committed is ${this.#commitIndex}`)
    const keep = Math.max(0, index - this.#memoryFirst)
    for (const entry of this.#entries.splice(keep)) this.#memoryBytes -= entryBytes(entry)
    this.#memoryFirst = Math.min(this.#memoryFirst, index)
    while (this.#runs.at(-1)!.firstIndex >= index) this.#runs.pop()
    this.#lastIndex = index - 1
    this.#handedIndex = Math.min(this.#handedIndex, this.#lastIndex)
    this.#persistedIndex = Math.min(this.#persistedIndex, this.#lastIndex)
  }

  /** Forgets all up to `index`, which a checkpoint reflects. The cache stays: what it holds is still worth a read. */
  compact(index: LogIndex): void {
    if (index <= this.#baseIndex) return
    invariant(
      index <= this.#appliedIndex && index <= this.#persistedIndex,
      () => `forgets up to ${index}, applied is ${this.#appliedIndex}, persisted ${this.#persistedIndex}`,
    )
    const run = this.#runOf(index)
    this.#runs.splice(0, run + 1, { firstIndex: index, term: this.#runs[run]!.term })
    this.#baseIndex = index
  }

  /**
   * Empties the log, whatever it held: it goes on behind `base`, up to which a durable checkpoint reflects everything (§7). Until
   * storage has synced that, a crash brings the former log back, of which the committed part is as good as ever.
   */
  reset(base: LogPosition): void {
    invariant(
      base.index > this.#commitIndex,
      () => `invariant 3: reset to ${base.index}, committed is ${this.#commitIndex}`,
    )
    this.#persistedIndex = Math.min(this.#persistedIndex, this.#commitIndex)
    this.#entries.length = 0
    this.#memoryBytes = 0
    this.#memoryFirst = base.index + 1
    this.#runs = [{ firstIndex: base.index, term: base.term }]
    this.#baseIndex = base.index
    this.#lastIndex = base.index
    this.#handedIndex = base.index
    this.#commitIndex = base.index
    this.#appliedIndex = base.index
    this.#isResetUnhanded = true
  }

  get isResetUnhanded(): boolean {
    return this.#isResetUnhanded
  }

  /** The base that storage was not told of yet, if there is one; it counts as told from now on. */
  takeReset(): LogPosition | undefined {
    if (!this.#isResetUnhanded) return undefined
    this.#isResetUnhanded = false
    return { index: this.#baseIndex, term: this.#runs[0]!.term }
  }

  /** Undefined when it is not in memory. */
  entry(index: LogIndex): Entry | undefined {
    return this.#entries[index - this.#memoryFirst]
  }

  /** Consecutive entries from memory, at least one, stopping before `bytesMax` is passed; undefined if not in memory. */
  entriesFrom(from: LogIndex, bytesMax: number): Entry[] | undefined {
    const start = from - this.#memoryFirst
    if (start < 0 || start >= this.#entries.length) return undefined
    let end = start + 1
    let bytes = entryBytes(this.#entries[start]!)
    while (end < this.#entries.length) {
      bytes += entryBytes(this.#entries[end]!)
      if (bytes > bytesMax) break
      end++
    }
    return this.#entries.slice(start, end)
  }

  /** What storage was not given yet; it counts as given from now on. */
  takeUnhanded(): readonly Entry[] {
    if (this.#handedIndex === this.#lastIndex) return []
    const unhanded = this.#entries.slice(this.#handedIndex + 1 - this.#memoryFirst)
    this.#handedIndex = this.#lastIndex
    return unhanded
  }

  /**
   * Storage has synced the log up to (index, term). Ignored when another entry has taken that place meanwhile, whose own
   * write is still to come (trap 5).
   */
  persistedTo(index: LogIndex, term: Term): void {
    if (index <= this.#persistedIndex || this.termAt(index) !== term) return
    invariant(index <= this.#handedIndex, () => `invariant 5: ${index} persisted, ${this.#handedIndex} handed over`)
    this.#persistedIndex = index
    this.#evict()
  }

  commitTo(index: LogIndex): void {
    if (index <= this.#commitIndex) return
    invariant(
      index <= this.#lastIndex,
      () => `invariant 3: commit ${index} of ${this.#lastIndex}: has the log lost its end?`,
    )
    this.#commitIndex = index
  }

  appliedTo(index: LogIndex): void {
    invariant(
      index >= this.#appliedIndex && index <= this.#commitIndex,
      () => `invariant 3: applied ${index} after ${this.#appliedIndex}, committed is ${this.#commitIndex}`,
    )
    this.#appliedIndex = index
    this.#evict()
  }

  /**
   * Drops the oldest entries of a full cache, but none that is still to be synced or committed. Those still to be applied
   * are kept as long as there is room for twice as much; then the driver has to read them back.
   */
  #evict(): void {
    if (this.#memoryBytes <= this.#memoryBytesMax) return
    const wanted = this.#memoryBytes > 2 * this.#memoryBytesMax ? this.#commitIndex : this.#appliedIndex
    const droppable = Math.min(this.#persistedIndex, wanted) + 1 - this.#memoryFirst
    let count = 0
    while (count < droppable && this.#memoryBytes > this.#memoryBytesMax * EVICT_TO) {
      this.#memoryBytes -= entryBytes(this.#entries[count]!)
      count++
    }
    if (count <= 0) return
    this.#entries.splice(0, count)
    this.#memoryFirst += count
  }
}
