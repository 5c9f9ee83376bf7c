/**
 * Whether a recovered log and a checkpoint belong together, and what makes them.
 *
 * Normally the log begins at or right behind the checkpoint's mark, or before, and reaches it, since no checkpoint is made ahead of
 * the synced log (trap 26). An installed checkpoint may be ahead: the crash came between the two stores, and the log is reset to
 * it as the install would have done. Everything else means that one of the two lost something.
 *
 * Never: I/O.
 */
import type { LogIndex, RecoveredLog, SnapshotMark, Term } from '../../raft/index.ts'
import type { CheckpointOrigin } from './checkpoints.ts'

export interface Misfit {
  /** The log must go on behind this. */
  readonly base: { readonly index: LogIndex; readonly term: Term }
  /** Synced entries of the log are lost by that. */
  readonly forgets: boolean
  readonly what: string
}

/** undefined: they fit. */
export function findMisfit(
  log: RecoveredLog,
  checkpoint: { readonly mark: SnapshotMark; readonly origin: CheckpointOrigin } | undefined,
): Misfit | undefined {
  const { index, term } = checkpoint?.mark ?? { index: 0, term: 0 }
  const base = { index, term }
  if (log.firstIndex > index + 1) {
    const lead = index === 0 ? 'there is no whole checkpoint' : `the newest whole checkpoint is at ${index}`
    return { base, forgets: true, what: `the log begins at ${log.firstIndex}, but ${lead}` }
  }
  if (checkpoint === undefined) return undefined
  const forgets = checkpoint.origin === 'local'
  if (log.lastIndex < index) {
    return { base, forgets, what: `the log ends at ${log.lastIndex}, but the checkpoint is at ${index}` }
  }
  const found = termAt(log, index)
  if (found === term) return undefined
  return { base, forgets, what: `entry ${index} has term ${found} in the log and ${term} in the checkpoint` }
}

function termAt({ baseTerm, firstIndex, termRuns }: RecoveredLog, index: LogIndex): Term | undefined {
  if (index === firstIndex - 1) return baseTerm
  return termRuns.findLast((run) => run.firstIndex <= index)?.term
}
