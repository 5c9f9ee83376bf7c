/**
 * What a member tells of itself to operators, metrics and tests. A snapshot: nothing in it changes later.
 */
import { allMembers, isAmong, isVoter, type Membership } from './membership.ts'
import type { RoleChange } from './ports.ts'
import type { PeerMode, Progress } from './progress.ts'
import type { RaftState } from './state.ts'
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
  /** Not 0: the peer may have forgotten synced promises, and its answers do not count; the number names the occasion. */
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
  /**
   * Whether the newest membership held lists this node. False before it holds any, while it has not yet come to the entry that
   * added it, and after it was removed: such a node serves nobody.
   */
  readonly isMember: boolean
  /** Elections this node stood in since it started. */
  readonly elections: number
  /** What a leader knows of its peers; empty on others. */
  readonly peers: readonly PeerStatus[]
}

export function statusOf(state: RaftState): RaftStatus {
  const { log, membership } = state
  return {
    role: state.role,
    term: state.term,
    leader: state.leader,
    established: state.isEstablished,
    commitIndex: log.commitIndex,
    appliedIndex: log.appliedIndex,
    lastIndex: log.lastIndex,
    persistedIndex: log.persistedIndex,
    firstIndex: log.baseIndex + 1,
    checkpointIndex: state.checkpointIndex,
    doubt: state.doubt,
    transferee: state.transfer?.to.id,
    membership,
    isVoter: membership !== undefined && isVoter(membership, state.self),
    isMember: membership !== undefined && isAmong(allMembers(membership), state.self),
    elections: state.elections,
    peers: membership === undefined ? [] : peersOf(state, membership),
  }
}

/** The members among those who get the log, not those who still get it after their removal. */
function peersOf({ progress, log }: RaftState, membership: Membership): readonly PeerStatus[] {
  const members = progress.filter(({ member }) => isAmong(allMembers(membership), member))
  return members.map(({ member, matchIndex, mode, counts, doubt }: Progress) => ({
    id: member.id,
    incarnation: member.incarnation,
    role: isVoter(membership, member) ? 'voter' : 'learner',
    matchIndex,
    lagEntries: log.lastIndex - matchIndex,
    mode,
    doubt: counts ? 0 : doubt,
  }))
}
