/**
 * Where the entries of one group lie on disk: 12 bytes of memory per entry, in typed arrays that the garbage collector does
 * not walk.
 *
 * Never: I/O, entries that are not on disk yet (group-log.ts holds those).
 */

import type { LogIndex } from '../../raft/index.ts'
import { invariant } from '../../raft/index.ts'

const CAPACITY_AT_FIRST = 1024
/** Sequence and offset share one float64: exact while segments stay below 4 GiB and their count below 2^21. */
const OFFSETS = 0x1_0000_0000

/** A consecutive part of the index, copied, so that it stays true while the log goes on. */
export interface Placement {
  readonly firstIndex: LogIndex
  /** See `sequenceOf` and `offsetOf`. Rising. */
  readonly positions: Float64Array
  readonly bodyBytes: Uint32Array
}

export function sequenceOf(position: number): number {
  return Math.floor(position / OFFSETS)
}

export function offsetOf(position: number): number {
  return position % OFFSETS
}

export class LogIndexTable {
  /** Index of the first entry held. Invariant: 1, until logs are compacted. */
  readonly firstIndex: LogIndex = 1
  #positions = new Float64Array(CAPACITY_AT_FIRST)
  #bodyBytes = new Uint32Array(CAPACITY_AT_FIRST)
  #count = 0

  get lastIndex(): LogIndex {
    return this.firstIndex + this.#count - 1
  }

  /** Adds the entry behind the last one. `offset` is that of its record's header. */
  push(sequence: number, offset: number, bodyBytes: number): void {
    if (this.#count === this.#positions.length) this.#grow()
    this.#positions[this.#count] = sequence * OFFSETS + offset
    this.#bodyBytes[this.#count] = bodyBytes
    this.#count++
  }

  /** Forgets the entries from `index` on. */
  truncate(index: LogIndex): void {
    invariant(index >= this.firstIndex, 'a log is never cut before its first entry')
    this.#count = Math.min(this.#count, index - this.firstIndex)
  }

  bodyBytesOf(index: LogIndex): number {
    return this.#bodyBytes[index - this.firstIndex] as number
  }

  /** Entries `from` (inclusive) to `to` (exclusive). */
  slice(from: LogIndex, to: LogIndex): Placement {
    const start = from - this.firstIndex
    const end = to - this.firstIndex
    return {
      firstIndex: from,
      positions: this.#positions.slice(start, end),
      bodyBytes: this.#bodyBytes.slice(start, end),
    }
  }

  #grow(): void {
    const positions = new Float64Array(this.#positions.length * 2)
    const bodyBytes = new Uint32Array(positions.length)
    positions.set(this.#positions)
    bodyBytes.set(this.#bodyBytes)
    this.#positions = positions
    this.#bodyBytes = bodyBytes
  }
}
