/**
 * Splits rows into frames of about the size that the protocol aims at: what one turn gathers has no bound, what a receiver takes in
 * one frame has one.
 */
import { limits } from './limits.ts'

/** Consecutive rows, all of them in order, so that no part is much above the target; one larger row is alone. `size` in bytes. */
export function* inFrames<T>(rows: readonly T[], size: (row: T) => number): IterableIterator<readonly T[]> {
  let first = 0
  let bytes = 0
  for (let i = 0; i < rows.length; i++) {
    const more = size(rows[i]!)
    if (i > first && bytes + more > limits.frameBytesTarget) {
      yield rows.slice(first, i)
      first = i
      bytes = 0
    }
    bytes += more
  }
  if (first < rows.length) yield first === 0 ? rows : rows.slice(first)
}
