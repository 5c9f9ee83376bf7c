/**
 * Where the entries lie that a group still holds though its log no longer does: chunks of sorted columns, looked up by bisection.
 *
 * There may be tens of millions, and no turn of the event loop walks them all. What the log hands over comes in whole pages. What a
 * compaction lets go of is gone at once for whoever asks, and is taken out in slices.
 *
 * Invariant: chunks rise in their indexes, and none is empty.
 *
 * Never: I/O.
 */
import { invariant, type LogIndex } from '../../raft/index.ts'
import { CHUNK_ROWS, KeptChunk, type KeptPlace } from './kept-chunk.ts'
import { type LogIndexTable, SEQUENCES_MAX } from './log-index.ts'
import { SegmentBytes } from './segment-bytes.ts'

/** Returns whether it wants more. */
export type VisitKept = (index: LogIndex, sequence: number, offset: number, bodyBytes: number) => boolean

/** Rows that are to go. */
export interface Doom {
  /** Only rows below this index. */
  readonly before: LogIndex
  readonly isNeeded: (index: LogIndex, sequence: number) => boolean
}

export class KeptTable {
  /** Of the records of all rows, also of those that are yet to be taken out. */
  readonly use = new SegmentBytes()
  #chunks: KeptChunk[] = []
  /** The chunk in which was looked last: the next question is mostly about the same. */
  #recent = 0
  /** What is being taken out; `from`: of what lies below, nothing is left. */
  #doom: (Doom & { from: LogIndex }) | undefined
  /** Rows that were put since, which are not meant. */
  readonly #spared = new Set<LogIndex>()

  has(index: LogIndex): boolean {
    return this.#find(index) !== undefined
  }

  /** Where that entry lies, if it is kept. */
  placeOf(index: LogIndex): KeptPlace | undefined {
    const chunk = this.#find(index)
    return chunk?.placeAt(chunk.rowOf(index))
  }

  /** Adds the entry, or tells where it lies now. `offset`: of its record's header. */
  put(index: LogIndex, sequence: number, offset: number, bodyBytes: number): void {
    invariant(sequence <= SEQUENCES_MAX, 'the sequence of a segment fits into its column')
    if (this.#doom !== undefined) this.#spared.add(index)
    const chunk = this.#chunks[this.#chunkOf(index)]
    const row = chunk?.rowOf(index) ?? -1
    if (chunk !== undefined && row !== -1) {
      this.use.take(chunk.sequences[row] as number, chunk.bodyBytes[row] as number)
      chunk.move(row, { sequence, offset, bodyBytes })
    } else {
      const target = this.#withRoom(index)
      target.insert(target.lowerBound(index), index, { sequence, offset, bodyBytes })
    }
    this.use.add(sequence, bodyBytes)
  }

  /** Takes over the log's entries from `first` to `last`, but for those that it has already: returns these. */
  takeOver(log: LogIndexTable, first: LogIndex, last: LogIndex): LogIndex[] {
    const had: LogIndex[] = []
    let next = first
    for (const chunk of this.#cutFrom(first)) {
      let row = 0
      for (; row < chunk.count && chunk.indexAt(row) <= last; row++) {
        const index = chunk.indexAt(row)
        this.#appendFromLog(log, next, index - 1)
        this.#appendRows(chunk, row, row + 1)
        had.push(index)
        next = index + 1
      }
      if (row === chunk.count) continue
      this.#appendFromLog(log, next, last)
      this.#appendRows(chunk, row, chunk.count)
      next = last + 1
    }
    this.#appendFromLog(log, next, last)
    return had
  }

  /** What is meant is gone from now on. `takeOut` is to be called until it is done. */
  doom(doom: Doom): void {
    this.#doom = { ...doom, from: 0 }
    this.#spared.clear()
  }

  /** Looks at so many rows, or a few more. Returns whether there is more to do. */
  takeOut(rowsMax: number): boolean {
    const doom = this.#doom
    if (doom === undefined) return false
    for (let rows = 0; rows < rowsMax; ) {
      const number = this.#chunkFrom(doom.from)
      const chunk = this.#chunks[number]
      if (chunk === undefined || chunk.first >= doom.before) {
        this.#doom = undefined
        this.#spared.clear()
        return false
      }
      rows += chunk.count
      const { last } = chunk
      this.#takeOutOf(chunk)
      doom.from = last + 1
      this.#joinToFormer(number)
    }
    return true
  }

  /** Calls back for each row with an index of at least `from`, in rising order, until false comes back. */
  scan(from: LogIndex, visit: VisitKept): void {
    for (let number = this.#chunkFrom(from); number < this.#chunks.length; number++) {
      const chunk = this.#chunks[number] as KeptChunk
      for (let row = chunk.lowerBound(from); row < chunk.count; row++) {
        const [index, sequence] = [chunk.indexAt(row), chunk.sequences[row] as number]
        if (this.#isDoomed(index, sequence)) continue
        if (!visit(index, sequence, chunk.offsets[row] as number, chunk.bodyBytes[row] as number)) return
      }
    }
  }

  // ---- what is to go

  #isDoomed(index: LogIndex, sequence: number): boolean {
    const doom = this.#doom
    if (doom === undefined || index < doom.from || index >= doom.before) return false
    return !this.#spared.has(index) && !doom.isNeeded(index, sequence)
  }

  #takeOutOf(chunk: KeptChunk): void {
    chunk.retain((row) => {
      const sequence = chunk.sequences[row] as number
      if (!this.#isDoomed(chunk.indexAt(row), sequence)) return true
      this.use.take(sequence, chunk.bodyBytes[row] as number)
      return false
    })
  }

  /** A chunk that has become small: any two neighbours have more rows than fit into one. */
  #joinToFormer(number: number): void {
    const chunk = this.#chunks[number] as KeptChunk
    const former = this.#chunks[number - 1]
    if (chunk.count > 0) {
      if (former === undefined || former.room < chunk.count) return
      former.appendRows(chunk, 0, chunk.count)
    }
    this.#chunks.splice(number, 1)
  }

  // ---- chunks

  /** The chunk that holds the index as a row, which is not about to go. */
  #find(index: LogIndex): KeptChunk | undefined {
    const chunk = this.#chunks[this.#chunkOf(index)]
    if (chunk === undefined) return undefined
    const row = chunk.rowOf(index)
    return row === -1 || this.#isDoomed(index, chunk.sequences[row] as number) ? undefined : chunk
  }

  /** Number of the last chunk that begins at or below the index; of the first if none does. */
  #chunkOf(index: LogIndex): number {
    const { length } = this.#chunks
    const recent = this.#chunks[this.#recent]
    if (recent !== undefined && recent.first <= index) {
      const after = this.#chunks[this.#recent + 1]
      if (after === undefined || after.first > index) return this.#recent
    }
    let low = 0
    let high = length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#chunks[middle] as KeptChunk).first <= index) low = middle + 1
      else high = middle
    }
    this.#recent = Math.max(0, low - 1)
    return this.#recent
  }

  /** Number of the first chunk that has a row at or above the index. */
  #chunkFrom(index: LogIndex): number {
    const number = this.#chunkOf(index)
    const chunk = this.#chunks[number]
    return chunk !== undefined && chunk.last < index ? number + 1 : number
  }

  /** The chunk into which a row of this index goes, which has room. */
  #withRoom(index: LogIndex): KeptChunk {
    const number = this.#chunkOf(index)
    const chunk = this.#chunks[number]
    if (chunk === undefined) return this.#addChunk()
    if (chunk.room > 0) return chunk
    // Rows mostly come in rising order: those chunks are left full.
    if (number === this.#chunks.length - 1 && index > chunk.last) return this.#addChunk()
    const upper = chunk.splitOff(CHUNK_ROWS / 2)
    this.#chunks.splice(number + 1, 0, upper)
    return index < upper.first ? chunk : upper
  }

  /** Takes the rows from `index` on away from the end, to be appended again. */
  #cutFrom(index: LogIndex): KeptChunk[] {
    const number = this.#chunkFrom(index)
    const cut = this.#chunks[number]
    if (cut === undefined) return []
    if (cut.first >= index) return this.#chunks.splice(number)
    return [cut.splitOff(cut.lowerBound(index)), ...this.#chunks.splice(number + 1)]
  }

  #appendRows(from: KeptChunk, row: number, to: number): void {
    for (let at = row; at < to; ) {
      const target = this.#lastWithRoom()
      const count = Math.min(target.room, to - at)
      target.appendRows(from, at, at + count)
      at += count
    }
  }

  #appendFromLog(log: LogIndexTable, first: LogIndex, last: LogIndex): void {
    for (let index = first; index <= last; ) {
      const page = log.wholePage(index, last)
      const chunk = page === undefined ? this.#lastWithRoom() : this.#addChunk(KeptChunk.ofPage(page, index))
      const before = page === undefined ? chunk.count : 0
      const count = Math.min(CHUNK_ROWS - before, log.entriesInPage(index), last + 1 - index)
      if (page === undefined) chunk.appendFromLog(log, index, count)
      this.use.addRows(chunk, before, before + count)
      index += count
    }
  }

  #lastWithRoom(): KeptChunk {
    const last = this.#chunks.at(-1)
    return last !== undefined && last.room > 0 ? last : this.#addChunk()
  }

  #addChunk(chunk = new KeptChunk()): KeptChunk {
    this.#chunks.push(chunk)
    return chunk
  }
}
