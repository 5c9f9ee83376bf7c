/**
 * What a simulated process holds in memory from its start to its death. Whoever comes back with a `Life` that is not the present one
 * speaks for the dead.
 *
 * Never: survives a crash.
 */
import type { Wal } from '../../node/storage/wal.ts'
import type { LogIndex, RaftDriver, RoleChange, Term } from '../../raft/index.ts'
import type { Checkpointing } from './checkpointing.ts'
import type { NodeClock } from './node-clock.ts'

export interface Life {
  readonly number: number
  readonly clock: NodeClock
  wal: Wal | undefined
  driver: RaftDriver | undefined
  checkpointing: Checkpointing | undefined
  role: RoleChange | undefined
  applied: LogIndex
  stateHash: number
  /** The last term in which this node was the first to know of a commit. */
  committedInTerm: Term
  /** What `checkProgress` saw last. */
  seen: { readonly turns: number; readonly term: Term; readonly commitIndex: LogIndex }
  /** Own proposals by log index, until something is applied there. */
  readonly proposals: Map<LogIndex, { readonly term: number; readonly command: number }>
}

export function newLife(number: number, clock: NodeClock): Life {
  return {
    number,
    clock,
    wal: undefined,
    driver: undefined,
    checkpointing: undefined,
    role: undefined,
    applied: 0,
    stateHash: 0,
    committedInTerm: 0,
    seen: { turns: 0, term: 0, commitIndex: 0 },
    proposals: new Map(),
  }
}
