/**
 * Where the entries lie that a group still holds though its log no longer does: sorted columns of typed arrays, 20 bytes of memory
 * per entry, looked up by bisection.
 *
 * New rows mostly come with rising indexes and go to the end; the others wait in a small map until there are enough of them to
 * be worth a merge.
 *
 * Never: I/O.
 */
import { invariant, type LogIndex } from '../../raft/index.ts'
import { SEQUENCES_MAX } from './log-index.ts'
import { SegmentBytes } from './segment-bytes.ts'

const CAPACITY_AT_FIRST = 64
/** Rows out of order before they are merged, beside a share of the table, so that each row is copied a few times at most. */
const YOUNG_ROWS_MAX = 1024
const YOUNG_SHARE = 8

export interface KeptPlace {
  readonly sequence: number
  readonly offset: number
  readonly bodyBytes: number
}

/** Returns whether it wants more. */
export type VisitKept = (index: LogIndex, sequence: number, offset: number, bodyBytes: number) => boolean

export class KeptTable {
  /** Of the records of all rows. */
  readonly use = new SegmentBytes()
  #indexes = new Float64Array(CAPACITY_AT_FIRST)
  #sequences = new Uint32Array(CAPACITY_AT_FIRST)
  #offsets = new Uint32Array(CAPACITY_AT_FIRST)
  #bodyBytes = new Uint32Array(CAPACITY_AT_FIRST)
  #count = 0
  /** Rows whose index is below the last one's and not in the columns. */
  readonly #young = new Map<LogIndex, KeptPlace>()

  get size(): number {
    return this.#count + this.#young.size
  }

  has(index: LogIndex): boolean {
    return this.#young.has(index) || this.#rowOf(index) !== undefined
  }

  /** Where that entry lies, if it is kept. */
  placeOf(index: LogIndex): KeptPlace | undefined {
    const row = this.#rowOf(index)
    return row === undefined ? this.#young.get(index) : this.#placeAt(row)
  }

  /** Adds the entry, or tells where it lies now. `offset`: of its record's header. */
  put(index: LogIndex, sequence: number, offset: number, bodyBytes: number): void {
    invariant(sequence <= SEQUENCES_MAX, 'the sequence of a segment fits into its column')
    const row = this.#rowOf(index)
    const former = row === undefined ? this.#young.get(index) : this.#placeAt(row)
    if (former !== undefined) this.use.take(former.sequence, former.bodyBytes)
    this.use.add(sequence, bodyBytes)
    if (row !== undefined) this.#set(row, index, sequence, offset, bodyBytes)
    else if (this.#count === 0 || index > (this.#indexes[this.#count - 1] as number)) {
      if (this.#count === this.#indexes.length) this.#resize(this.#count * 2)
      this.#set(this.#count++, index, sequence, offset, bodyBytes)
    } else {
      this.#young.set(index, { sequence, offset, bodyBytes })
      if (this.#young.size > Math.max(YOUNG_ROWS_MAX, this.#count / YOUNG_SHARE)) this.#merge()
    }
  }

  /** Keeps only the rows that pass. */
  retain(passes: (index: LogIndex, sequence: number) => boolean): void {
    this.#merge()
    let kept = 0
    for (let row = 0; row < this.#count; row++) {
      const sequence = this.#sequences[row] as number
      if (passes(this.#indexes[row] as number, sequence)) this.#copy(row, kept++)
      else this.use.take(sequence, this.#bodyBytes[row] as number)
    }
    this.#count = kept
    if (kept < this.#indexes.length / 4) this.#resize(Math.max(CAPACITY_AT_FIRST, kept * 2))
  }

  /** Calls back for each row with an index of at least `from`, in rising order, until false comes back. */
  scan(from: LogIndex, visit: VisitKept): void {
    this.#merge()
    for (let row = this.#lowerBound(from); row < this.#count; row++) {
      const [index, sequence] = [this.#indexes[row] as number, this.#sequences[row] as number]
      if (!visit(index, sequence, this.#offsets[row] as number, this.#bodyBytes[row] as number)) return
    }
  }

  #placeAt(row: number): KeptPlace {
    return {
      sequence: this.#sequences[row] as number,
      offset: this.#offsets[row] as number,
      bodyBytes: this.#bodyBytes[row] as number,
    }
  }

  #rowOf(index: LogIndex): number | undefined {
    const row = this.#lowerBound(index)
    return row < this.#count && this.#indexes[row] === index ? row : undefined
  }

  /** The first row with an index of at least that. */
  #lowerBound(index: LogIndex): number {
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#indexes[middle] as number) < index) low = middle + 1
      else high = middle
    }
    return low
  }

  #set(row: number, index: LogIndex, sequence: number, offset: number, bodyBytes: number): void {
    this.#indexes[row] = index
    this.#sequences[row] = sequence
    this.#offsets[row] = offset
    this.#bodyBytes[row] = bodyBytes
  }

  #copy(from: number, to: number): void {
    this.#indexes[to] = this.#indexes[from] as number
    this.#sequences[to] = this.#sequences[from] as number
    this.#offsets[to] = this.#offsets[from] as number
    this.#bodyBytes[to] = this.#bodyBytes[from] as number
  }

  /** From the end on, so that the columns are their own target. */
  #merge(): void {
    if (this.#young.size === 0) return
    const young = [...this.#young].sort(([a], [b]) => a - b)
    this.#young.clear()
    let row = this.#count - 1
    let target = row + young.length
    if (target >= this.#indexes.length) this.#resize(Math.max(target + 1, this.#indexes.length * 2))
    this.#count = target + 1
    while (young.length > 0) {
      const [index, { sequence, offset, bodyBytes }] = young.at(-1) as [LogIndex, KeptPlace]
      if (row >= 0 && (this.#indexes[row] as number) > index) {
        this.#copy(row--, target--)
      } else {
        this.#set(target--, index, sequence, offset, bodyBytes)
        young.pop()
      }
    }
  }

  #resize(capacity: number): void {
    this.#indexes = resized(this.#indexes, new Float64Array(capacity), this.#count)
    this.#sequences = resized(this.#sequences, new Uint32Array(capacity), this.#count)
    this.#offsets = resized(this.#offsets, new Uint32Array(capacity), this.#count)
    this.#bodyBytes = resized(this.#bodyBytes, new Uint32Array(capacity), this.#count)
  }
}

function resized<T extends Float64Array | Uint32Array>(source: T, target: T, count: number): T {
  target.set(source.subarray(0, count))
  return target
}
