/**
 * What a member tells of itself to operators, metrics and tests. A snapshot: nothing in it changes later.
 *
 * Never: behaviour.
 */
import type { Membership } from './membership.ts'
import type { RoleChange } from './ports.ts'
import type { LogIndex, NodeId } from './types.ts'

export interface PeerStatus {
  readonly id: NodeId
  readonly matchIndex: LogIndex
  readonly mode: 'probe' | 'replicate'
}

export interface RaftStatus extends RoleChange {
  readonly commitIndex: LogIndex
  readonly appliedIndex: LogIndex
  readonly lastIndex: LogIndex
  readonly persistedIndex: LogIndex
  /** Undefined until the cluster is founded and this node holds its first entry. */
  readonly membership: Membership | undefined
  /** False for an emptied directory under a known id, and for learners. */
  readonly isVoter: boolean
  /** Elections this node stood in since it started. */
  readonly elections: number
  /** What a leader knows of its peers; empty on others. */
  readonly peers: readonly PeerStatus[]
}
