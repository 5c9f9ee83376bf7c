/**
 * What a start found in the log that is not as it was written, in values: for the decision what to do about it (open-storage.ts),
 * for the node's log, and for people.
 */
import type { Entry } from '../../raft/index.ts'

/** Bytes that were cut off, because nobody can tell whether they had been synced. */
export interface Leftover {
  readonly file: string
  readonly offset: number
  readonly bytes: number
}

/** Synced data that is gone or altered. */
export interface LogDamage {
  readonly file: string
  /** Bytes from the start of the file. */
  readonly offset: number
  readonly what: string
}

export interface RecoveryReport {
  readonly torn?: Leftover
  /** Those that no earlier start has told and gone on from; at most `damagesMax`. */
  readonly damages: readonly LogDamage[]
  /** Entries above the checkpoint, or a hard state, may be lost. */
  readonly forgets: boolean
  /** The newest membership entry that was seen anywhere in the group's log. */
  readonly membership?: Entry
}

/** A file of garbage would give one for every sector. */
export const damagesMax = 64
