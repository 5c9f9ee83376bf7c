/**
 * Which segments of the log were removed on purpose. It is written before a file goes, so that a file that is gone without being
 * listed here is damage and never a crash (trap 30: nothing is judged superfluous later).
 *
 * Compact: compaction removes mostly from the log's start, so that one number stands for nearly all.
 */
import { DamagedValueError, type Store } from './store.ts'
import { readRecord, recordPut } from './store-record.ts'

const KEY = 'segments'
const FORMAT = 1

export interface RemovedSegments {
  /** All segments with a lower sequence. */
  readonly removedBelow: number
  /** And these, rising, all above it. */
  readonly removed: readonly number[]
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
export function isRemoved({ removedBelow, removed }: RemovedSegments, sequence: number): boolean {
  return sequence < removedBelow || removed.includes(sequence)
}

/** With these too, in the shortest form. */
export function withRemoved(value: RemovedSegments, sequences: readonly number[]): RemovedSegments {
  const rest = new Set([...value.removed, ...sequences])
  let { removedBelow } = value
  while (rest.has(removedBelow)) removedBelow++
  return { removedBelow, removed: [...rest].filter((sequence) => sequence >= removedBelow).sort((a, b) => a - b) }
}
