/**
 * Files of segments that were removed and are to become segments again: overwriting blocks that a file has costs less than getting new
 * ones, and giving tens of megabytes back, which many file systems pass on to the disk, costs as much once more.
 *
 * A spare is full of old records. Zeros take their place, durably, while it has a spare's name; only then is it renamed to that
 * of a segment (segment-preparation.ts). So what is named as a segment never holds anything but zeros and what was written for it, and
 * a start need not judge spares: it removes those that it finds.
 *
 * Never: a spare before the manifest says that its segment was removed, or of another size than that of new segments.
 */
import { join } from 'node:path'
import type { Files } from './files.ts'
import { segmentName, spareName } from './segment.ts'

/** While segments come and go in turn, there is hardly ever one more. */
export const SPARES_MAX = 2

export interface SparesOptions {
  readonly files: Files
  readonly directory: string
  /** Size of new segments. */
  readonly segmentBytes: number
}

export class SegmentSpares {
  readonly #options: SparesOptions
  /** Their entries in the directory are synced. */
  readonly #paths: string[] = []

  constructor(options: SparesOptions) {
    this.#options = options
  }

  /** Nobody uses these segments any more, and the manifest says so: their files go, but for those that become spares, of at most `max`. */
  async retire(segments: readonly { readonly sequence: number; readonly bytes: number }[], max: number): Promise<void> {
    const { files, directory, segmentBytes } = this.#options
    const fresh: string[] = []
    for (const { sequence, bytes } of segments) {
      const path = join(directory, segmentName(sequence))
      if (bytes === segmentBytes && this.#paths.length + fresh.length < max) {
        const spare = join(directory, spareName(sequence))
        await files.rename(path, spare)
        fresh.push(spare)
      } else {
        await files.remove(path)
      }
    }
    for (const path of this.#paths.splice(max)) await files.remove(path)
    await files.syncDirectory(directory)
    this.#paths.push(...fresh)
  }

  /** Whoever takes one fills it with zeros. */
  take(): string | undefined {
    return this.#paths.shift()
  }

  /** It is full of zeros, and becomes this segment, durably; the file that has the segment's name so far is empty. */
  async become(spare: string, sequence: number): Promise<void> {
    const { files, directory } = this.#options
    await files.rename(spare, join(directory, segmentName(sequence)))
    await files.syncDirectory(directory)
  }
}
