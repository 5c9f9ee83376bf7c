/**
 * What a member tells of itself to operators, metrics and tests. A snapshot: nothing in it changes later.
 *
 * Never: behaviour.
 */
import type { Membership } from './membership.ts'
import type { RoleChange } from './ports.ts'
import type { PeerMode } from './progress.ts'
import type { Incarnation, LogIndex, NodeId } from './types.ts'

export interface PeerStatus {
  readonly id: NodeId
  readonly incarnation: Incarnation
  readonly role: 'voter' | 'learner'
  /** Up to here its synced log is known to equal the leader's. */
  readonly matchIndex: LogIndex
  /** Entries of the leader's log that it is not known to hold. */
  readonly lagEntries: number
  readonly mode: PeerMode
  /** Not 0: the peer may have forgotten synced promises; the number names the occasion. */
  readonly doubt: number
}

export interface RaftStatus extends RoleChange {
  readonly commitIndex: LogIndex
  readonly appliedIndex: LogIndex
  readonly lastIndex: LogIndex
  readonly persistedIndex: LogIndex
  /** The first entry that the log still holds; one more than lastIndex when it holds none. */
  readonly firstIndex: LogIndex
  /** Of the newest durable checkpoint; 0 when there is none. */
  readonly checkpointIndex: LogIndex
  /** Not 0: this node may have forgotten synced promises; the number names the occasion. */
  readonly doubt: number
  /** Whom this leader is handing its leadership to. */
  readonly transferee: NodeId | undefined
  /** Undefined until the cluster is founded and this node holds its first entry. */
  readonly membership: Membership | undefined
  /** False for an emptied directory under a known id, and for learners. */
  readonly isVoter: boolean
  /** Elections this node stood in since it started. */
  readonly elections: number
  /** What a leader knows of its peers; empty on others. */
  readonly peers: readonly PeerStatus[]
}
