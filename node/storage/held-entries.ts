/**
 * The entries of one group that are on disk: those of its log, and those that it keeps beside it.
 *
 * Never: I/O, entries that are not on disk yet.
 */
import type { Entry, LogIndex, Term } from '../../raft/index.ts'
import type { KeptPlace } from './kept-chunk.ts'
import type { KeptTable } from './kept-table.ts'
import { type LogIndexTable, PlacementBuilder, type RecordPlace } from './log-index.ts'
import { RECORD_HEADER_BYTES } from './record.ts'
import type { TermRuns } from './term-runs.ts'

/** A set of entries that somebody needs. */
export interface LiveEntries {
  has(index: LogIndex): boolean
  readonly size: number
  /** Rising. */
  [Symbol.iterator](): Iterator<LogIndex>
}

/** Bytes of records in one segment that somebody needs. */
export interface SegmentUse {
  log: number
  kept: number
}

/** What of the entries below the log's new beginning is needed. */
export interface Need {
  readonly live: readonly LiveEntries[]
  /** Kept entries that lie in this segment or a later one were written since, for somebody who is not asked yet. */
  readonly keepFrom: number
}

/**
 * An entry may lie in two places, in the log and beside it, of which one may be damaged and the other whole.
 */
export class HeldEntries {
  /** The log's entries. */
  readonly index: LogIndexTable
  readonly terms: TermRuns
  readonly #kept: KeptTable
  /** Entries whose bytes on disk are not what was written: of the log, and of those kept beside it. */
  readonly #damaged = new Set<LogIndex>()
  readonly #damagedKept = new Set<LogIndex>()

  constructor(index: LogIndexTable, terms: TermRuns, kept: KeptTable) {
    this.index = index
    this.terms = terms
    this.#kept = kept
  }

  has(index: LogIndex): boolean {
    return this.hasCommitted(index, this.index.lastIndex)
  }

  /** Of the log's entries those up to `committed` count. */
  hasCommitted(index: LogIndex, committed: LogIndex): boolean {
    if (index <= committed && this.index.has(index) && !this.isDamaged(index)) return true
    return this.#kept.has(index) && !this.#isKeptDamaged(index)
  }

  /** In the log. */
  isDamaged(index: LogIndex): boolean {
    return this.#damaged.size > 0 && this.#damaged.has(index)
  }

  #isKeptDamaged(index: LogIndex): boolean {
    return this.#damagedKept.size > 0 && this.#damagedKept.has(index)
  }

  /** The log's entry of that index lies there. */
  isOfLog(index: LogIndex, { sequence, offset }: RecordPlace): boolean {
    return this.index.has(index) && this.index.sequenceOf(index) === sequence && this.index.offsetOf(index) === offset
  }

  /** What lies there cannot be read; what was mended since lies elsewhere. Returns whether that is new. */
  markDamaged(index: LogIndex, place: RecordPlace): boolean {
    const kept = this.#kept.placeOf(index)
    const isKept = kept?.sequence === place.sequence && kept.offset === place.offset && !this.#isKeptDamaged(index)
    const isOfLog = this.isOfLog(index, place) && !this.isDamaged(index)
    if (isKept) this.#damagedKept.add(index)
    if (isOfLog) this.#damaged.add(index)
    return isKept || isOfLog
  }

  /** A kept entry lies there now. */
  put({ index, term, data }: Entry, sequence: number, offset: number): void {
    this.#kept.put(index, sequence, offset, data.length)
    this.#damagedKept.delete(index)
    // The log is mended too; unless it holds another entry there, which its leader has yet to replace.
    if (!this.isDamaged(index) || this.terms.termAt(index) !== term) return
    this.#damaged.delete(index)
    this.index.move(index, sequence, offset, data.length)
  }

  /** Forgets the log's entries from `index` on; the terms are the caller's to cut. */
  truncate(index: LogIndex): void {
    this.index.truncate(index)
    for (const damaged of this.#damaged) if (damaged >= index) this.#damaged.delete(damaged)
  }

  /** The log is empty and goes on behind `base`; its entries up to `settled` are kept. */
  reset(base: { readonly index: LogIndex; readonly term: Term }, settled: LogIndex): void {
    this.#keepFromLog(Math.min(settled, this.index.lastIndex))
    this.index.restart(base.index + 1)
    this.terms.restart(base.term)
    this.#damaged.clear()
  }

  /**
   * Forgets the log below `firstIndex`, and of what is held below it all that is not needed: at once for whoever asks. The tables
   * follow by `compactSome`. `lastIndex`: of the log, what is not on disk yet included.
   */
  compact(firstIndex: LogIndex, lastIndex: LogIndex, { live, keepFrom }: Need): void {
    const first = this.index.firstIndex
    const had = new Set(this.#keepFromLog(firstIndex - 1))
    if (firstIndex > first) {
      this.terms.dropBefore(firstIndex, lastIndex)
      this.index.dropBefore(firstIndex)
    }
    for (const index of this.#damaged) if (index < firstIndex) this.#damaged.delete(index)
    const isFromLog = (index: LogIndex) => index >= first && !had.has(index)
    this.#kept.doom({
      before: Math.max(first, firstIndex),
      isNeeded: (index, sequence) => live.some((set) => set.has(index)) || (sequence >= keepFrom && !isFromLog(index)),
    })
  }

  /** Looks at so many entries, or a few more. Returns whether there is more to do. */
  compactSome(rowsMax: number): boolean {
    if (this.#kept.takeOut(rowsMax)) return true
    for (const index of this.#damagedKept) if (!this.#kept.has(index)) this.#damagedKept.delete(index)
    return false
  }

  /** The places of consecutive entries of the log, `to` exclusive. */
  slice(from: LogIndex, to: LogIndex): PlacementBuilder {
    const placement = new PlacementBuilder()
    for (let index = from; index < to; index++) this.#addFromLog(index, placement)
    return placement
  }

  /**
   * The places of what is held from `from` on: at least one, if there is any, stopping before `bytesMax` of data is passed. Returns the bytes.
   */
  collect(from: LogIndex, bytesMax: number, placement: PlacementBuilder): number {
    let bytes = 0
    /** Returns whether there was room. */
    const add = (index: LogIndex, sequence: number, offset: number, bodyBytes: number): boolean => {
      if (bytes + bodyBytes > bytesMax && placement.indexes.length > 0) return false
      bytes += bodyBytes
      placement.add(index, sequence, offset, bodyBytes)
      return true
    }
    let next = Math.max(from, this.index.firstIndex)
    let hasRoom = true
    const addLogBelow = (end: LogIndex): void => {
      for (; next < end && next <= this.index.lastIndex && hasRoom; next++) {
        if (this.isDamaged(next)) continue
        hasRoom = add(next, this.index.sequenceOf(next), this.index.offsetOf(next), this.index.bodyBytesOf(next))
      }
    }
    this.#kept.scan(from, (index, sequence, offset, bodyBytes) => {
      addLogBelow(index)
      if (this.#isKeptDamaged(index)) return hasRoom
      // What is kept was committed somewhere; the log's own entry of this index may still be replaced.
      if (index === next) next++
      hasRoom &&= add(index, sequence, offset, bodyBytes)
      return hasRoom
    })
    addLogBelow(Number.POSITIVE_INFINITY)
    return bytes
  }

  /** Adds what lies where. */
  addUse(use: Map<number, SegmentUse>): void {
    const useOf = (sequence: number): SegmentUse => {
      const known = use.get(sequence)
      if (known !== undefined) return known
      const fresh = { log: 0, kept: 0 }
      use.set(sequence, fresh)
      return fresh
    }
    for (const [sequence, bytes] of this.index.use) useOf(sequence).log += bytes
    const damaged = this.#damagedUse()
    for (const [sequence, bytes] of this.#kept.use) {
      const needed = bytes - (damaged.get(sequence) ?? 0)
      if (needed > 0) useOf(sequence).kept += needed
    }
  }

  /** Bytes of kept records that cannot be read, by segment: nobody needs those. */
  #damagedUse(): Map<number, number> {
    const damaged = new Map<number, number>()
    for (const index of this.#damagedKept) {
      const place = this.#kept.placeOf(index)
      if (place === undefined) continue
      const { sequence, bodyBytes } = place
      damaged.set(sequence, (damaged.get(sequence) ?? 0) + RECORD_HEADER_BYTES + bodyBytes)
    }
    return damaged
  }

  /**
   * Adds to each of the given segments the kept entries that lie in it, of at most `rowsMax` from `from` on. Returns where to go on, or
   * undefined at the end.
   */
  findKept(segments: ReadonlyMap<number, LogIndex[]>, from: LogIndex, rowsMax: number): LogIndex | undefined {
    let rows = 0
    let next: LogIndex | undefined
    this.#kept.scan(from, (index, sequence) => {
      if (rows++ === rowsMax) next = index
      else segments.get(sequence)?.push(index)
      return next === undefined
    })
    return next
  }

  /** Where that kept entry lies, if it can be read. */
  keptPlace(index: LogIndex): KeptPlace | undefined {
    return this.#isKeptDamaged(index) ? undefined : this.#kept.placeOf(index)
  }

  /** Keeps the log's entries up to `last` that are whole. Returns those that were kept already. */
  #keepFromLog(last: LogIndex): LogIndex[] {
    const had: LogIndex[] = []
    let next = this.index.firstIndex
    const keepUpTo = (end: LogIndex): void => {
      for (const index of this.#kept.takeOver(this.index, next, end)) had.push(index)
    }
    for (const damaged of [...this.#damaged].sort((a, b) => a - b)) {
      if (damaged > last) break
      keepUpTo(damaged - 1)
      next = damaged + 1
    }
    keepUpTo(last)
    for (const index of had) if (this.#isKeptDamaged(index)) this.#keepInstead(index)
    return had
  }

  /** The log's copy is whole. */
  #keepInstead(index: LogIndex): void {
    this.#kept.put(index, this.index.sequenceOf(index), this.index.offsetOf(index), this.index.bodyBytesOf(index))
    this.#damagedKept.delete(index)
  }

  #addFromLog(index: LogIndex, placement: PlacementBuilder): void {
    placement.add(index, this.index.sequenceOf(index), this.index.offsetOf(index), this.index.bodyBytesOf(index))
  }
}
