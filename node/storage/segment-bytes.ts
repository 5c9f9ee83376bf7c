/**
 * How many bytes of records lie in which segment, kept up to date with every record that comes or goes: whoever asks which segments
 * are needed must not walk millions of entries in one turn.
 *
 * Invariant: a segment is listed exactly as long as a record lies in it.
 *
 * Never: I/O.
 */
import { invariant } from '../../raft/index.ts'
import { RECORD_HEADER_BYTES } from './record.ts'

/** Where records lie, and how long they are, row by row. */
export interface RecordColumns {
  readonly sequences: Uint32Array
  readonly bodyBytes: Uint32Array
}

interface Segment {
  readonly sequence: number
  bytes: number
}

export class SegmentBytes {
  readonly #segments = new Map<number, Segment>()
  /** Records that follow each other mostly lie in one segment. */
  #recent: Segment | undefined

  /** A record with that body lies there. */
  add(sequence: number, bodyBytes: number): void {
    this.#add(sequence, RECORD_HEADER_BYTES + bodyBytes)
  }

  /** It does so no longer. */
  take(sequence: number, bodyBytes: number): void {
    this.#take(sequence, RECORD_HEADER_BYTES + bodyBytes)
  }

  /** The same of many rows, `to` exclusive: those that follow each other mostly lie in one segment. */
  addRows(columns: RecordColumns, from: number, to: number): void {
    for (let row = from; row < to; ) {
      const end = endOfRun(columns, row, to)
      this.#add(columns.sequences[row] as number, bytesOf(columns, row, end))
      row = end
    }
  }

  takeRows(columns: RecordColumns, from: number, to: number): void {
    for (let row = from; row < to; ) {
      const end = endOfRun(columns, row, to)
      this.#take(columns.sequences[row] as number, bytesOf(columns, row, end))
      row = end
    }
  }

  clear(): void {
    this.#segments.clear()
    this.#recent = undefined
  }

  /** Sequence and bytes of each segment in which something lies. */
  *[Symbol.iterator](): IterableIterator<[sequence: number, bytes: number]> {
    for (const { sequence, bytes } of this.#segments.values()) yield [sequence, bytes]
  }

  #add(sequence: number, bytes: number): void {
    const segment = this.#find(sequence) ?? { sequence, bytes: 0 }
    if (segment.bytes === 0) this.#segments.set(sequence, segment)
    segment.bytes += bytes
    this.#recent = segment
  }

  #take(sequence: number, bytes: number): void {
    const segment = this.#find(sequence)
    invariant(segment !== undefined, 'only what lies in a segment is taken from it')
    segment.bytes -= bytes
    this.#recent = segment.bytes > 0 ? segment : undefined
    if (segment.bytes === 0) this.#segments.delete(sequence)
  }

  #find(sequence: number): Segment | undefined {
    return this.#recent?.sequence === sequence ? this.#recent : this.#segments.get(sequence)
  }
}

/** The first row that lies in another segment. */
function endOfRun({ sequences }: RecordColumns, from: number, to: number): number {
  const sequence = sequences[from]
  let row = from + 1
  while (row < to && sequences[row] === sequence) row++
  return row
}

function bytesOf({ bodyBytes }: RecordColumns, from: number, to: number): number {
  let bytes = (to - from) * RECORD_HEADER_BYTES
  for (let row = from; row < to; row++) bytes += bodyBytes[row] as number
  return bytes
}
