/**
 * Where in the log the last so many bytes of entries begin, roughly: a few samples of the applied entries, not one for each. What was
 * applied by a former life of the process is unknown and counts as far away.
 *
 * Bounded: SAMPLES_MAX samples, whatever is applied.
 */
import type { LogIndex } from '../../raft/index.ts'

/** Twice as many as are needed to tell bytesMax to a sixty-fourth. */
const SAMPLES_MAX = 128

export class TrailingLog {
  readonly #sampleBytes: number
  /** At each sample: the bytes that were applied before `index`. Rising in both. */
  #samples: { readonly index: LogIndex; readonly before: number }[] = []
  #total = 0

  /** `bytesMax`: the most that will ever be asked for. */
  constructor(bytesMax: number) {
    this.#sampleBytes = Math.max(1, Math.floor((2 * bytesMax) / SAMPLES_MAX))
  }

  /** Every applied entry, in order. */
  applied(index: LogIndex, bytes: number): void {
    const last = this.#samples[this.#samples.length - 1]
    if (last === undefined || this.#total - last.before >= this.#sampleBytes) this.#sample(index)
    this.#total += bytes
  }

  #sample(index: LogIndex): void {
    this.#samples.push({ index, before: this.#total })
    if (this.#samples.length > SAMPLES_MAX) this.#samples = this.#samples.slice(SAMPLES_MAX / 4)
  }

  /** The log was exchanged for another: nothing before is in it. */
  clear(): void {
    this.#samples = []
  }

  /** A first index such that at most `bytesMax` of entries follow from it on; undefined: nothing is known that near. */
  startOf(bytesMax: number): LogIndex | undefined {
    return this.#samples.find(({ before }) => this.#total - before <= bytesMax)?.index
  }
}
