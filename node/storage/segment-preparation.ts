/**
 * Gets the next segment ready while the present one is in use: a file full of synced zeros, because overwriting blocks that
 * exist costs about half of what growing a file costs (docs/adr/0001), and the entry of the file after it in the directory. The zeros
 * go into a spare, if there is one, which then takes the name of the empty file that was made before.
 *
 * Two rules that recovery relies on: a segment's successor exists, and its entry is synced, before the segment takes its first
 * batch (trap 25), so that a lost last file is noticed; and files come into being one after the other, each synced before the
 * next is made, so that a gap in their numbers is never a crash.
 *
 * Never: anything but zeros; a header is the writer's.
 */
import { join } from 'node:path'
import type { File, Files } from './files.ts'
import { segmentName } from './segment.ts'
import type { SegmentSpares } from './segment-spares.ts'

/** One write of zeros; small, so that a batch of the log never waits long behind it on the disk. */
const CHUNK_BYTES = 256 * 1024
const zeros = Buffer.alloc(CHUNK_BYTES)

export interface PreparationOptions {
  readonly files: Files
  readonly directory: string
  readonly segmentBytes: number
  readonly spares: SegmentSpares
  readonly sequence: number
  /** Highest segment whose file exists: `sequence` − 1 or more. */
  readonly highest: number
}

export class SegmentPreparation {
  readonly sequence: number
  /** Resolves with the file when it is ready. */
  readonly ready: Promise<File>
  readonly #options: PreparationOptions
  /** Bytes that may be filled by now. */
  #allowed = 0
  #abandoned = false
  #wake: (() => void) | undefined

  constructor(options: PreparationOptions) {
    this.#options = options
    this.sequence = options.sequence
    this.ready = this.#prepare()
    // Whoever awaits `ready` hears of a failure; until then it must not end the process as unhandled.
    this.ready.catch(() => {})
  }

  /** Lets the filling go on to `bytes`: it keeps pace with the log instead of competing with it at once. */
  allow(bytes: number): void {
    this.#allowed = Math.max(this.#allowed, bytes)
    this.#wake?.()
  }

  /** The segment is needed now: no more pacing. */
  hurry(): Promise<File> {
    this.allow(Number.POSITIVE_INFINITY)
    return this.ready
  }

  /** Stops soon and closes the file, which stays as it is. */
  async abandon(): Promise<void> {
    this.#abandoned = true
    this.#wake?.()
    await this.ready.then(
      (file) => file.close(),
      () => {},
    )
  }

  async #prepare(): Promise<File> {
    const { files, directory, spares, sequence, highest } = this.#options
    if (highest < sequence) await this.#create(sequence)
    if (highest < sequence + 1) await this.#create(sequence + 1)
    const spare = spares.take()
    const file = await files.open(spare ?? join(directory, segmentName(sequence)))
    await this.#fill(file)
    // One that is abandoned holds old records still.
    if (spare !== undefined && !this.#abandoned) await spares.become(spare, sequence)
    return file
  }

  async #create(sequence: number): Promise<void> {
    const { files, directory } = this.#options
    const file = await files.open(join(directory, segmentName(sequence)), { create: true })
    await file.close()
    await files.syncDirectory(directory)
  }

  /** From the start in any case: what an earlier, interrupted use of this file left behind is wiped out. */
  async #fill(file: File): Promise<void> {
    const { segmentBytes } = this.#options
    for (let filled = 0; filled < segmentBytes && !this.#abandoned; ) {
      if (filled >= this.#allowed) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        continue
      }
      const bytes = Math.min(CHUNK_BYTES, segmentBytes - filled)
      await file.writeDurable([zeros.subarray(0, bytes)], filled)
      filled += bytes
    }
  }
}
