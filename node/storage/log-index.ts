/**
 * Where the entries of one group's log lie on disk: 12 bytes of memory per entry, in pages of typed arrays that the garbage
 * collector does not walk. Pages, so that the log can grow at its end and be dropped at its front without being copied.
 *
 * Never: I/O, entries that are not on disk yet (group-log.ts holds those).
 */
import type { LogIndex } from '../../raft/index.ts'
import { invariant } from '../../raft/index.ts'

/** A power of two. */
const PAGE_ENTRIES = 1024
/** Sequence and offset share one float64: exact while segments stay below 4 GiB and their count below 2^21. */
const OFFSETS = 0x1_0000_0000

/** Where some entries lie, copied, so that it stays true while the log goes on. */
export interface Placement {
  readonly indexes: readonly LogIndex[]
  /** See `sequenceOf` and `offsetOf`. */
  readonly positions: readonly number[]
  readonly bodyBytes: readonly number[]
}

interface Page {
  readonly positions: Float64Array
  readonly bodyBytes: Uint32Array
}

export function positionOf(sequence: number, offset: number): number {
  return sequence * OFFSETS + offset
}

export function sequenceOf(position: number): number {
  return Math.floor(position / OFFSETS)
}

export function offsetOf(position: number): number {
  return position % OFFSETS
}

export class LogIndexTable {
  #firstIndex: LogIndex
  #pages: Page[] = []
  /** Rows at the front of the first page that were dropped. */
  #skipped = 0
  #count = 0

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

  /** Adds the entry behind the last one. `position`: of its record's header. */
  push(position: number, bodyBytes: number): void {
    const row = this.#skipped + this.#count
    if (row === this.#pages.length * PAGE_ENTRIES) {
      this.#pages.push({ positions: new Float64Array(PAGE_ENTRIES), bodyBytes: new Uint32Array(PAGE_ENTRIES) })
    }
    this.#count++
    this.#put(row, position, bodyBytes)
  }

  /** The entry lies elsewhere from now on. */
  move(index: LogIndex, position: number, bodyBytes: number): void {
    invariant(this.has(index), 'only an entry of the log is moved')
    this.#put(this.#rowOf(index), position, bodyBytes)
  }

  /** Forgets the entries from `index` on. */
  truncate(index: LogIndex): void {
    invariant(index >= this.#firstIndex, 'a log is never cut before its first entry')
    this.#count = Math.min(this.#count, index - this.#firstIndex)
    const pages = Math.ceil((this.#skipped + this.#count) / PAGE_ENTRIES)
    if (pages < this.#pages.length) this.#pages.length = pages
  }

  /** Forgets the entries before `index`, which is at most the one behind the last. */
  dropBefore(index: LogIndex): void {
    invariant(index <= this.lastIndex + 1, 'a log is dropped at most up to its end')
    const dropped = index - this.#firstIndex
    if (dropped <= 0) return
    this.#firstIndex = index
    this.#count -= dropped
    this.#skipped += dropped
    const pages = Math.floor(this.#skipped / PAGE_ENTRIES)
    this.#pages.splice(0, pages)
    this.#skipped -= pages * PAGE_ENTRIES
  }

  /** Empty, and goes on at `firstIndex`. */
  restart(firstIndex: LogIndex): void {
    this.#pages = []
    this.#skipped = 0
    this.#count = 0
    this.#firstIndex = firstIndex
  }

  /** Of an entry that is held. */
  positionOf(index: LogIndex): number {
    const row = this.#rowOf(index)
    return this.#pageOf(row).positions[row % PAGE_ENTRIES] as number
  }

  /** Of an entry that is held. */
  bodyBytesOf(index: LogIndex): number {
    const row = this.#rowOf(index)
    return this.#pageOf(row).bodyBytes[row % PAGE_ENTRIES] as number
  }

  #rowOf(index: LogIndex): number {
    return this.#skipped + index - this.#firstIndex
  }

  #pageOf(row: number): Page {
    return this.#pages[Math.floor(row / PAGE_ENTRIES)] as Page
  }

  #put(row: number, position: number, bodyBytes: number): void {
    const page = this.#pageOf(row)
    page.positions[row % PAGE_ENTRIES] = position
    page.bodyBytes[row % PAGE_ENTRIES] = bodyBytes
  }
}

/** Collects places to be read. */
export class PlacementBuilder implements Placement {
  readonly indexes: LogIndex[] = []
  readonly positions: number[] = []
  readonly bodyBytes: number[] = []

  add(index: LogIndex, position: number, bodyBytes: number): void {
    this.indexes.push(index)
    this.positions.push(position)
    this.bodyBytes.push(bodyBytes)
  }
}
