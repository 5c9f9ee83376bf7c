/**
 * Which segments of the log were removed on purpose. It is written before a file goes, so that a file that is gone without being
 * listed here is damage and never a crash (trap 30: nothing is judged superfluous later).
 *
 * It stays small however much is removed: neighbours are one range, so there are never more ranges than segments that are left or
 * were lost. One segment that stays for years costs one range, not a number for each that is removed behind it.
 */
import { DamagedValueError, type Store } from './store.ts'
import { readRecord, recordPut } from './store-record.ts'

const KEY = 'segments'
const FORMAT = 2

/** Sequences of segments: `from` and up to, but not including, `to`. */
export interface SegmentRange {
  readonly from: number
  readonly to: number
}

export interface RemovedSegments {
  /** All segments with a lower sequence. */
  readonly removedBelow: number
  /** And these: rising, all above it, never empty, and none meets the next one. */
  readonly removed: readonly SegmentRange[]
}

export interface SegmentManifest {
  readonly value: RemovedSegments
  /** Durable when it resolves; only then may the files go. */
  remove(sequences: readonly number[]): Promise<void>
}

/** Nothing was removed yet. */
export const nothingRemoved: RemovedSegments = { removedBelow: 1, removed: [] }

/** A damaged manifest lists nothing: what is missing from the log's start then counts as damage once more. */
export async function openSegmentManifest(store: Store): Promise<SegmentManifest> {
  const value = await readRecord<RemovedSegments>(store, KEY, FORMAT).catch((error: unknown) => {
    if (error instanceof DamagedValueError) return nothingRemoved
    throw error
  })
  return new StoredSegmentManifest(store, value ?? nothingRemoved)
}

class StoredSegmentManifest implements SegmentManifest {
  readonly #store: Store
  #value: RemovedSegments
  /** Of the value that the latest write holds, which may still be under way. */
  #latest: RemovedSegments

  constructor(store: Store, value: RemovedSegments) {
    this.#store = store
    this.#value = value
    this.#latest = value
  }

  get value(): RemovedSegments {
    return this.#value
  }

  async remove(sequences: readonly number[]): Promise<void> {
    const value = withRemoved(this.#latest, sequences)
    this.#latest = value
    // The store writes in the order of the calls.
    await this.#store.write({ puts: [recordPut(KEY, FORMAT, value)] })
    this.#value = value
  }
}

/** Whether a segment's absence is as it should be. */
export function isRemoved(value: RemovedSegments, sequence: number): boolean {
  return endOfRemoved(value, sequence) > sequence
}

/** The first segment from this one on that was not removed: itself, or what follows the range in which it lies. */
export function endOfRemoved({ removedBelow, removed }: RemovedSegments, sequence: number): number {
  if (sequence < removedBelow) return removedBelow
  let low = 0
  let high = removed.length
  // Those before `low` begin at or below it, those from `high` on above it.
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((removed[middle] as SegmentRange).from <= sequence) low = middle + 1
    else high = middle
  }
  return Math.max(sequence, removed[low - 1]?.to ?? 0)
}

/** The highest segment that was removed; 0 when none was. */
export function lastRemoved({ removedBelow, removed }: RemovedSegments): number {
  return (removed.at(-1)?.to ?? removedBelow) - 1
}

/** With these too, in the shortest form. */
export function withRemoved(value: RemovedSegments, sequences: readonly number[]): RemovedSegments {
  const ranges = [...value.removed, ...sequences.map((sequence) => ({ from: sequence, to: sequence + 1 }))]
  const below = { from: 0, to: value.removedBelow }
  const removed: SegmentRange[] = []
  let last = below
  for (const { from, to } of ranges.sort((a, b) => a.from - b.from)) {
    if (from <= last.to) {
      last.to = Math.max(last.to, to)
    } else {
      last = { from, to }
      removed.push(last)
    }
  }
  return { removedBelow: below.to, removed }
}
