/**
 * The entries of one group that are on disk: those of its log, and those that it keeps beside it.
 *
 * Never: I/O, entries that are not on disk yet.
 */
import type { Entry, LogIndex, Term } from '../../raft/index.ts'
import type { KeptPlace, KeptTable } from './kept-table.ts'
import { type LogIndexTable, PlacementBuilder } from './log-index.ts'
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

export class HeldEntries {
  /** The log's entries. */
  readonly index: LogIndexTable
  readonly terms: TermRuns
  readonly #kept: KeptTable
  /** Entries whose bytes on disk are not what was written. */
  readonly #damaged = new Set<LogIndex>()

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
    if (this.isDamaged(index)) return false
    return (index <= committed && this.index.has(index)) || this.#kept.has(index)
  }

  isDamaged(index: LogIndex): boolean {
    return this.#damaged.size > 0 && this.#damaged.has(index)
  }

  /** Returns whether that is new. */
  markDamaged(index: LogIndex): boolean {
    const isNew = this.has(index)
    if (isNew) this.#damaged.add(index)
    return isNew
  }

  /** A kept entry lies there now. */
  put({ index, term, data }: Entry, sequence: number, offset: number): void {
    this.#kept.put(index, sequence, offset, data.length)
    if (!this.#damaged.delete(index)) return
    // The log is mended too; unless it holds another entry there, which its leader has yet to replace.
    if (!this.index.has(index) || this.terms.termAt(index) !== term) return
    this.index.move(index, sequence, offset, data.length)
  }

  /** Forgets the log's entries from `index` on; the terms are the caller's to cut. */
  truncate(index: LogIndex): void {
    this.index.truncate(index)
    for (const damaged of this.#damaged) if (damaged >= index) this.#damaged.delete(damaged)
  }

  /** The log is empty and goes on behind `base`; its entries up to `settled` are kept. */
  reset(base: { readonly index: LogIndex; readonly term: Term }, settled: LogIndex): void {
    const { firstIndex, lastIndex } = this.index
    for (let index = firstIndex; index <= Math.min(settled, lastIndex); index++) this.#keepFromLog(index)
    this.index.restart(base.index + 1)
    this.terms.restart(base.term)
  }

  /** `lastIndex`: of the log, what is not on disk yet included. */
  compact(firstIndex: LogIndex, lastIndex: LogIndex, live: readonly LiveEntries[], keepFrom: number): void {
    const isLive = (index: LogIndex) => live.some((set) => set.has(index))
    const first = this.index.firstIndex
    this.#kept.retain((index, sequence) => isLive(index) || sequence >= keepFrom)
    for (let index = first; index < firstIndex; index++) if (isLive(index)) this.#keepFromLog(index)
    if (firstIndex > first) {
      this.terms.dropBefore(firstIndex, lastIndex)
      this.index.dropBefore(firstIndex)
    }
    for (const index of this.#damaged) if (!this.#isListed(index)) this.#damaged.delete(index)
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
      if (this.isDamaged(index)) return true
      if (bytes + bodyBytes > bytesMax && placement.indexes.length > 0) return false
      bytes += bodyBytes
      placement.add(index, sequence, offset, bodyBytes)
      return true
    }
    let next = Math.max(from, this.index.firstIndex)
    let hasRoom = true
    const addLogBelow = (end: LogIndex): void => {
      for (; next < end && next <= this.index.lastIndex && hasRoom; next++) {
        hasRoom = add(next, this.index.sequenceOf(next), this.index.offsetOf(next), this.index.bodyBytesOf(next))
      }
    }
    this.#kept.scan(from, (index, sequence, offset, bodyBytes) => {
      addLogBelow(index)
      // What is kept was committed somewhere; the log's own entry of this index may still be replaced.
      if (index === next) next++
      hasRoom &&= add(index, sequence, offset, bodyBytes)
      return hasRoom
    })
    addLogBelow(Number.POSITIVE_INFINITY)
    return bytes
  }

  /** The lowest segment in which an entry of the log lies, from `index` on. */
  lowestSegmentFrom(index: LogIndex): number | undefined {
    let lowest: number | undefined
    for (let at = Math.max(index, this.index.firstIndex); at <= this.index.lastIndex; at++) {
      const sequence = this.index.sequenceOf(at)
      if (lowest === undefined || sequence < lowest) lowest = sequence
    }
    return lowest
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
    const damaged = this.#damagedKept()
    for (const [sequence, bytes] of this.#kept.use) {
      const needed = bytes - (damaged.get(sequence) ?? 0)
      if (needed > 0) useOf(sequence).kept += needed
    }
  }

  /** Bytes of kept records that cannot be read, by segment: nobody needs those. */
  #damagedKept(): Map<number, number> {
    const damaged = new Map<number, number>()
    for (const index of this.#damaged) {
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
    return this.isDamaged(index) ? undefined : this.#kept.placeOf(index)
  }

  #isListed(index: LogIndex): boolean {
    return this.index.has(index) || this.#kept.has(index)
  }

  #keepFromLog(index: LogIndex): void {
    if (this.isDamaged(index)) return
    if (this.#kept.has(index)) return
    this.#kept.put(index, this.index.sequenceOf(index), this.index.offsetOf(index), this.index.bodyBytesOf(index))
  }

  #addFromLog(index: LogIndex, placement: PlacementBuilder): void {
    placement.add(index, this.index.sequenceOf(index), this.index.offsetOf(index), this.index.bodyBytesOf(index))
  }
}
