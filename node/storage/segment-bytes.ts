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
    const segment = this.#find(sequence) ?? { sequence, bytes: 0 }
    if (segment.bytes === 0) this.#segments.set(sequence, segment)
    segment.bytes += RECORD_HEADER_BYTES + bodyBytes
    this.#recent = segment
  }

  /** It does so no longer. */
  take(sequence: number, bodyBytes: number): void {
    const segment = this.#find(sequence)
    invariant(segment !== undefined, 'only what lies in a segment is taken from it')
    segment.bytes -= RECORD_HEADER_BYTES + bodyBytes
    this.#recent = segment.bytes > 0 ? segment : undefined
    if (segment.bytes === 0) this.#segments.delete(sequence)
  }

  clear(): void {
    this.#segments.clear()
    this.#recent = undefined
  }

  /** Sequence and bytes of each segment in which something lies. */
  *[Symbol.iterator](): IterableIterator<[sequence: number, bytes: number]> {
    for (const { sequence, bytes } of this.#segments.values()) yield [sequence, bytes]
  }

  #find(sequence: number): Segment | undefined {
    return this.#recent?.sequence === sequence ? this.#recent : this.#segments.get(sequence)
  }
}
