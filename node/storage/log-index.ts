/**
 * Where the entries of one group's log lie on disk, as a segment's sequence and an offset in it: 12 bytes of memory per entry, in pages of typed arrays that the garbage
 * collector does not walk. Pages, so that the log can grow at its end and be dropped at its front without being copied.
 *
 * Never: I/O, entries that are not on disk yet (group-log.ts holds those).
 */
import type { LogIndex } from '../../raft/index.ts'
import { invariant } from '../../raft/index.ts'
import { SegmentBytes } from './segment-bytes.ts'

/** 2^32 segments: as much as the columns hold; of the usual size that is 128 PiB that were ever written. */
export const SEQUENCES_MAX = 0xffff_ffff

/** A power of two. */
export const PAGE_ENTRIES = 4096

/** Where one record lies. */
export interface RecordPlace {
  /** Of its segment. */
  readonly sequence: number
  /** Of its header. */
  readonly offset: number
}

/** Where some entries lie, copied, so that it stays true while the log goes on. */
export interface Placement {
  readonly indexes: readonly LogIndex[]
  /** The segments in which the records lie. */
  readonly sequences: readonly number[]
  /** Of the records' headers in their segments. */
  readonly offsets: readonly number[]
  readonly bodyBytes: readonly number[]
}

/** Where entries lie, row by row. */
export interface IndexPage {
  readonly sequences: Uint32Array
  readonly offsets: Uint32Array
  readonly bodyBytes: Uint32Array
}

export class LogIndexTable {
  /** Of the records of the entries held. */
  readonly use = new SegmentBytes()
  #firstIndex: LogIndex
  #pages: IndexPage[] = []
  /** Rows at the front of the first page that were dropped. */
  #skipped = 0
  #count = 0
  /** Entries that were moved, all of them to younger segments. The others lie in the order of their indexes. */
  readonly #moved = new Set<LogIndex>()

  constructor(firstIndex: LogIndex = 1) {
    this.#firstIndex = firstIndex
  }

  /** Index of the first entry held, or of the first to come. */
  get firstIndex(): LogIndex {
    return this.#firstIndex
  }

  get lastIndex(): LogIndex {
    return this.#firstIndex + this.#count - 1
  }

  has(index: LogIndex): boolean {
    return index >= this.#firstIndex && index <= this.lastIndex
  }

  /** Adds the entry behind the last one. `offset`: of its record's header. */
  push(sequence: number, offset: number, bodyBytes: number): void {
    const row = this.#skipped + this.#count
    if (row === this.#pages.length * PAGE_ENTRIES) {
      this.#pages.push({
        sequences: new Uint32Array(PAGE_ENTRIES),
        offsets: new Uint32Array(PAGE_ENTRIES),
        bodyBytes: new Uint32Array(PAGE_ENTRIES),
      })
    }
    this.#count++
    this.use.add(sequence, bodyBytes)
    this.#put(row, sequence, offset, bodyBytes)
  }

  /** The entry lies elsewhere from now on. */
  move(index: LogIndex, sequence: number, offset: number, bodyBytes: number): void {
    invariant(this.has(index), 'only an entry of the log is moved')
    this.#release(index, index + 1)
    this.use.add(sequence, bodyBytes)
    this.#put(this.#rowOf(index), sequence, offset, bodyBytes)
    this.#moved.add(index)
  }

  /** Forgets the entries from `index` on. */
  truncate(index: LogIndex): void {
    invariant(index >= this.#firstIndex, 'a log is never cut before its first entry')
    this.#release(index, this.lastIndex + 1)
    for (const moved of this.#moved) if (moved >= index) this.#moved.delete(moved)
    this.#count = Math.min(this.#count, index - this.#firstIndex)
    const pages = Math.ceil((this.#skipped + this.#count) / PAGE_ENTRIES)
    if (pages < this.#pages.length) this.#pages.length = pages
  }

  /** Forgets the entries before `index`, which is at most the one behind the last. */
  dropBefore(index: LogIndex): void {
    invariant(index <= this.lastIndex + 1, 'a log is dropped at most up to its end')
    const dropped = index - this.#firstIndex
    if (dropped <= 0) return
    this.#release(this.#firstIndex, index)
    for (const moved of this.#moved) if (moved < index) this.#moved.delete(moved)
    this.#firstIndex = index
    this.#count -= dropped
    this.#skipped += dropped
    const pages = Math.floor(this.#skipped / PAGE_ENTRIES)
    this.#pages.splice(0, pages)
    this.#skipped -= pages * PAGE_ENTRIES
  }

  /** Empty, and goes on at `firstIndex`. */
  restart(firstIndex: LogIndex): void {
    this.use.clear()
    this.#moved.clear()
    this.#pages = []
    this.#skipped = 0
    this.#count = 0
    this.#firstIndex = firstIndex
  }

  /** Of an entry that is held. */
  sequenceOf(index: LogIndex): number {
    const row = this.#rowOf(index)
    return this.#pageOf(row).sequences[row % PAGE_ENTRIES] as number
  }

  /** Of an entry that is held. */
  offsetOf(index: LogIndex): number {
    const row = this.#rowOf(index)
    return this.#pageOf(row).offsets[row % PAGE_ENTRIES] as number
  }

  /** Of an entry that is held. */
  bodyBytesOf(index: LogIndex): number {
    const row = this.#rowOf(index)
    return this.#pageOf(row).bodyBytes[row % PAGE_ENTRIES] as number
  }

  /** The lowest segment in which an entry lies, from `index` on; undefined: there is none. */
  lowestSegmentFrom(index: LogIndex): number | undefined {
    let lowest: number | undefined
    for (let at = Math.max(index, this.#firstIndex); at <= this.lastIndex; at++) {
      const sequence = this.sequenceOf(at)
      if (lowest === undefined || sequence < lowest) lowest = sequence
      if (!this.#moved.has(at)) break
    }
    return lowest
  }

  /** The page that begins with this entry and ends at or before `last`. Whoever keeps it drops its entries from the log at once. */
  wholePage(index: LogIndex, last: LogIndex): IndexPage | undefined {
    const row = this.#rowOf(index)
    return row % PAGE_ENTRIES === 0 && index + PAGE_ENTRIES - 1 <= last ? this.#pageOf(row) : undefined
  }

  /** How many entries follow from this one on in its page, itself included. */
  entriesInPage(index: LogIndex): number {
    return PAGE_ENTRIES - (this.#rowOf(index) % PAGE_ENTRIES)
  }

  /** Copies where so many consecutive entries lie into the columns of another table, from its row `to` on. */
  copy(from: LogIndex, count: number, target: IndexPage, to: number): void {
    this.#eachPage(from, from + count, (page, row, end, index) => {
      const at = to + index - from
      target.sequences.set(page.sequences.subarray(row, end), at)
      target.offsets.set(page.offsets.subarray(row, end), at)
      target.bodyBytes.set(page.bodyBytes.subarray(row, end), at)
    })
  }

  /** Nothing lies any more where these lie, `to` exclusive. */
  #release(from: LogIndex, to: LogIndex): void {
    this.#eachPage(from, to, (page, row, end) => this.use.takeRows(page, row, end))
  }

  /** The pages of consecutive entries, `to` exclusive: in each the rows from `row` to `end`, of which the first is that of `index`. */
  #eachPage(
    from: LogIndex,
    to: LogIndex,
    visit: (page: IndexPage, row: number, end: number, index: LogIndex) => void,
  ): void {
    for (let index = from; index < to; ) {
      const at = this.#rowOf(index)
      const row = at % PAGE_ENTRIES
      const end = Math.min(PAGE_ENTRIES, row + to - index)
      visit(this.#pageOf(at), row, end, index)
      index += end - row
    }
  }

  #rowOf(index: LogIndex): number {
    return this.#skipped + index - this.#firstIndex
  }

  #pageOf(row: number): IndexPage {
    return this.#pages[Math.floor(row / PAGE_ENTRIES)] as IndexPage
  }

  #put(row: number, sequence: number, offset: number, bodyBytes: number): void {
    invariant(sequence <= SEQUENCES_MAX, 'the sequence of a segment fits into its column')
    const page = this.#pageOf(row)
    page.sequences[row % PAGE_ENTRIES] = sequence
    page.offsets[row % PAGE_ENTRIES] = offset
    page.bodyBytes[row % PAGE_ENTRIES] = bodyBytes
  }
}

/** Collects places to be read. */
export class PlacementBuilder implements Placement {
  readonly indexes: LogIndex[] = []
  readonly sequences: number[] = []
  readonly offsets: number[] = []
  readonly bodyBytes: number[] = []

  add(index: LogIndex, sequence: number, offset: number, bodyBytes: number): void {
    this.indexes.push(index)
    this.sequences.push(sequence)
    this.offsets.push(offset)
    this.bodyBytes.push(bodyBytes)
  }
}
