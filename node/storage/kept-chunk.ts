/**
 * A few thousand kept entries next to each other: sorted columns of typed arrays, 20 bytes an entry. Small enough that a row is
 * put in between by moving the others, and that a turn of the event loop does several of them.
 *
 * A page of the log becomes one as it is, without a column of indexes, since these follow each other: memory that is neither copied
 * nor touched. The first change to its rows makes columns of its own.
 *
 * Invariant: indexes rise strictly.
 *
 * Never: I/O.
 */
import type { LogIndex } from '../../raft/index.ts'
import { type IndexPage, type LogIndexTable, PAGE_ENTRIES } from './log-index.ts'

export const CHUNK_ROWS = PAGE_ENTRIES
const CAPACITY_AT_FIRST = 64
const ROW_BYTES = 20

export interface KeptPlace {
  readonly sequence: number
  readonly offset: number
  readonly bodyBytes: number
}

export class KeptChunk {
  sequences: Uint32Array = new Uint32Array()
  offsets: Uint32Array = new Uint32Array()
  bodyBytes: Uint32Array = new Uint32Array()
  count = 0
  /** Undefined: it is a page of the log, and the indexes follow each other. */
  #indexes: Float64Array | undefined = new Float64Array()
  /** Of a page of the log. */
  #firstOfPage: LogIndex = 0

  /** A whole page, which the log is about to drop; `first`: index of its first entry. */
  static ofPage({ sequences, offsets, bodyBytes }: IndexPage, first: LogIndex): KeptChunk {
    const chunk = new KeptChunk()
    chunk.sequences = sequences
    chunk.offsets = offsets
    chunk.bodyBytes = bodyBytes
    chunk.count = PAGE_ENTRIES
    chunk.#indexes = undefined
    chunk.#firstOfPage = first
    return chunk
  }

  indexAt(row: number): LogIndex {
    return this.#indexes === undefined ? this.#firstOfPage + row : (this.#indexes[row] as LogIndex)
  }

  /** Of one that is not empty. */
  get first(): LogIndex {
    return this.indexAt(0)
  }

  get last(): LogIndex {
    return this.indexAt(this.count - 1)
  }

  get room(): number {
    return CHUNK_ROWS - this.count
  }

  /** The first row with an index of at least that. */
  lowerBound(index: LogIndex): number {
    if (this.#indexes === undefined) return Math.max(0, Math.min(this.count, index - this.#firstOfPage))
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#indexes[middle] as number) < index) low = middle + 1
      else high = middle
    }
    return low
  }

  /** −1: there is none. */
  rowOf(index: LogIndex): number {
    const row = this.lowerBound(index)
    return row < this.count && this.indexAt(row) === index ? row : -1
  }

  placeAt(row: number): KeptPlace {
    return {
      sequence: this.sequences[row] as number,
      offset: this.offsets[row] as number,
      bodyBytes: this.bodyBytes[row] as number,
    }
  }

  /** The entry of that row lies elsewhere now. */
  move(row: number, { sequence, offset, bodyBytes }: KeptPlace): void {
    this.sequences[row] = sequence
    this.offsets[row] = offset
    this.bodyBytes[row] = bodyBytes
  }

  /** There is room. */
  insert(row: number, index: LogIndex, place: KeptPlace): void {
    const indexes = this.#own(this.count + 1)
    if (row < this.count) {
      for (const column of [indexes, this.sequences, this.offsets, this.bodyBytes]) {
        column.copyWithin(row + 1, row, this.count)
      }
    }
    this.count++
    indexes[row] = index
    this.move(row, place)
  }

  /** Appends entries of the log, for which there is room. */
  appendFromLog(log: LogIndexTable, from: LogIndex, count: number): void {
    const indexes = this.#own(this.count + count)
    for (let i = 0; i < count; i++) indexes[this.count + i] = from + i
    log.copy(from, count, this, this.count)
    this.count += count
  }

  /** Appends rows of another one, for which there is room; `to` exclusive. */
  appendRows(from: KeptChunk, row: number, to: number): void {
    const indexes = this.#own(this.count + to - row)
    from.#copyIndexes(row, to, indexes, this.count)
    this.sequences.set(from.sequences.subarray(row, to), this.count)
    this.offsets.set(from.offsets.subarray(row, to), this.count)
    this.bodyBytes.set(from.bodyBytes.subarray(row, to), this.count)
    this.count += to - row
  }

  /** Its rows from `row` on, which it loses. */
  splitOff(row: number): KeptChunk {
    const rest = new KeptChunk()
    rest.appendRows(this, row, this.count)
    this.count = row
    return rest
  }

  /** Keeps only the rows that pass. */
  retain(passes: (row: number) => boolean): void {
    const indexes = this.#own(this.count)
    let kept = 0
    for (let row = 0; row < this.count; row++) {
      if (!passes(row)) continue
      if (row !== kept) {
        indexes[kept] = indexes[row] as LogIndex
        this.sequences[kept] = this.sequences[row] as number
        this.offsets[kept] = this.offsets[row] as number
        this.bodyBytes[kept] = this.bodyBytes[row] as number
      }
      kept++
    }
    this.count = kept
  }

  #copyIndexes(row: number, to: number, target: Float64Array, at: number): void {
    if (this.#indexes !== undefined) target.set(this.#indexes.subarray(row, to), at)
    else for (let i = row; i < to; i++) target[at + i - row] = this.#firstOfPage + i
  }

  /** Columns of its own, with room for so many rows. Returns that of the indexes. */
  #own(rows: number): Float64Array {
    const capacity = this.#indexes?.length ?? 0
    if (this.#indexes !== undefined && rows <= capacity) return this.#indexes
    return this.#resize(Math.min(CHUNK_ROWS, Math.max(CAPACITY_AT_FIRST, rows, 2 * capacity)))
  }

  /** One buffer for all columns: to allocate four takes ten times as long. */
  #resize(capacity: number): Float64Array {
    const { sequences, offsets, bodyBytes, count } = this
    const buffer = new ArrayBuffer(capacity * ROW_BYTES)
    const indexes = new Float64Array(buffer, 0, capacity)
    this.#copyIndexes(0, count, indexes, 0)
    this.#indexes = indexes
    this.sequences = columnAt(buffer, 8, capacity)
    this.offsets = columnAt(buffer, 12, capacity)
    this.bodyBytes = columnAt(buffer, 16, capacity)
    this.sequences.set(sequences.subarray(0, count))
    this.offsets.set(offsets.subarray(0, count))
    this.bodyBytes.set(bodyBytes.subarray(0, count))
    return indexes
  }
}

function columnAt(buffer: ArrayBuffer, bytesBefore: number, capacity: number): Uint32Array {
  return new Uint32Array(buffer, capacity * bytesBefore, capacity)
}
