/**
 * How fast a compaction copies. In quiet it leaves the disk to the appends for most of the time. Beside traffic that will not do: what is
 * copied slowly lies thinly among what comes in, and is soon to be copied again, while the log grows. So for each byte that comes in
 * COPY_SHARE are copied, if the disk keeps up, and no newer plan ends it before that is done.
 *
 * Why that bounds the log: what is rewritten was needed to less than SPARSE_SHARE (compaction.ts), so each byte copied sets more than
 * 1 / SPARSE_SHARE = 2.5 free, which is more than the copy and what came in meanwhile take; and of what is written then at
 * least half is needed for a while. So once it has gone through, the log takes at most 2.5 times what is needed, and what came since.
 *
 * Never: clocks of its own.
 */

/** Read and written at a time; more, as much as is owed, when each write of the log is large. */
const PIECE_BYTES = 256 * 1024
const PIECE_BYTES_MAX = 4 * 1024 * 1024
/** A pause takes as many times as long as the piece before it, */
const PAUSE_SHARE = 4
const PAUSE_MS_MAX = 500
/** unless so much comes in: bytes that are copied for each byte of that. */
const COPY_SHARE = 1

/** The log that is copied within. */
export interface PacedLog {
  /** Bytes of all that was written and synced since it was opened, what was copied included. */
  readonly written: number
  /** Resolves after so many milliseconds, when that much was written meanwhile, or when the log is being closed. */
  pause(ms: number, bytes: number): Promise<void>
}

export class CompactionPace {
  readonly #log: PacedLog
  /** What was written up to here has been taken into account. */
  #seen: number
  /** Bytes to copy before the next pause. */
  #owed = 0
  #isEnding = false

  constructor(log: PacedLog) {
    this.#log = log
    this.#seen = log.written
  }

  /** How much is to be copied at a time now. */
  get pieceBytes(): number {
    return Math.min(PIECE_BYTES_MAX, Math.max(PIECE_BYTES, this.#owed))
  }

  /** A piece was copied, which took so long. Resolves when it is time for the next. */
  async copied(bytes: number, tookMs: number): Promise<void> {
    this.#count(bytes)
    this.#owed = Math.max(0, this.#owed - bytes)
    if (this.#owed > 0) return
    await this.#log.pause(Math.min(PAUSE_MS_MAX, PAUSE_SHARE * tookMs), PIECE_BYTES / COPY_SHARE)
    this.#count(0)
  }

  /** A newer plan waits. Returns whether as much was copied as came in until this was first told. */
  mayEnd(): boolean {
    this.#count(0)
    this.#isEnding = true
    return this.#owed === 0
  }

  #count(ownBytes: number): void {
    const { written } = this.#log
    const came = written - this.#seen - ownBytes
    this.#seen = written
    if (!this.#isEnding) this.#owed += COPY_SHARE * Math.max(0, came)
  }
}
