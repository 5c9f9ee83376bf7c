/**
 * What peers say to each other about one group: a closed union of plain values.
 *
 * Never: bytes (node/peers/ encodes them), sockets, behaviour.
 *
 * Every message names the sender's incarnation and the one that the sender expects of the receiver ('' while it does
 * not know it, which is only before entry 1 exists). A receiver of another incarnation drops the message; a sender of an
 * unlisted incarnation is not counted (trap 19).
 */
import type { Entry, Incarnation, LogIndex, NodeId, Term } from './types.ts'

interface Envelope {
  readonly from: NodeId
  readonly to: NodeId
  readonly fromIncarnation: Incarnation
  readonly toIncarnation: Incarnation
  /** The sender's term; in a pre-vote the term it would campaign in (dissertation §9.6). */
  readonly term: Term
}

/** Asks for a vote (§5.2) or, with `pre`, whether a vote would be given, which binds nobody (dissertation §9.6). */
export interface VoteRequest extends Envelope {
  readonly type: 'voteRequest'
  readonly pre: boolean
  readonly lastIndex: LogIndex
  readonly lastTerm: Term
  /**
   * Set in the first election of a new cluster alone: the ids of all listed members, sorted. The receiver grants only if
   * its own log is empty too and it lists the same members.
   */
  readonly bootstrap?: readonly NodeId[]
  /** The leader asked for this election: its lease refuses nothing to it (dissertation §4.2.3). */
  readonly transfer?: true
  /** The candidate's own, as of an Answer; 0: none. The answer repeats it. */
  readonly doubt: number
}

/** What an answer tells of its sender's memory. */
interface Answer extends Envelope {
  /** Not 0: its sender may have forgotten synced promises; this number names the occasion. What that means is told in doubt.ts. */
  readonly doubt: number
}

export interface VoteResponse extends Answer {
  readonly type: 'voteResponse'
  readonly pre: boolean
  readonly granted: boolean
  /** The doubt that the request told: whom the candidate was before it forgot something, the answer does not concern. */
  readonly asked: number
}

/** Replicates entries (§5.3); also tells the commit index. Empty when it probes or carries a commit alone. */
export interface AppendRequest extends Envelope {
  readonly type: 'appendRequest'
  readonly prevIndex: LogIndex
  readonly prevTerm: Term
  readonly entries: readonly Entry[]
  readonly commit: LogIndex
}

export interface AppendResponse extends Answer {
  readonly type: 'appendResponse'
  readonly success: boolean
  /** On success: the last index known to equal the leader's and to be synced here. On failure: the refused prevIndex. */
  readonly index: LogIndex
  /** On failure: where the leader should probe next, with the term found there (trap 12). 0 on success. */
  readonly hintIndex: LogIndex
  readonly hintTerm: Term
}

/** Keeps followers from campaigning and carries ReadIndex rounds (dissertation §6.4). */
export interface Heartbeat extends Envelope {
  readonly type: 'heartbeat'
  /** min(commitIndex, the follower's matchIndex): a follower must not commit what it may not hold (trap 6). */
  readonly commit: LogIndex
  /** Rising number of the leader's confirmation round; echoed by the response. */
  readonly round: number
  /** The receiver's doubt of this number is over; 0: nothing to say. */
  readonly trusted: number
}

export interface HeartbeatResponse extends Answer {
  readonly type: 'heartbeatResponse'
  readonly round: number
}

/** A follower's question for the leader's ReadIndex. */
export interface ReadRequest extends Envelope {
  readonly type: 'readRequest'
  readonly requestId: number
}

export interface ReadResponse extends Envelope {
  readonly type: 'readResponse'
  readonly requestId: number
  /** The index that the asker must have applied before it reads; -1: this leader cannot tell now, ask again. */
  readonly index: LogIndex
}

/**
 * Offers a checkpoint to a peer that needs entries which the leader's log holds no more (§7). What is in it is fetched by the
 * hosts beside Raft. It is repeated until the peer tells by a successful append response that it holds everything up to `index`.
 */
export interface InstallRequest extends Envelope {
  readonly type: 'installRequest'
  /** The last entry that the checkpoint reflects, and its term. */
  readonly index: LogIndex
  readonly lastTerm: Term
  /** The newest membership entry at or below `index`. */
  readonly membership: Entry
}

/** The leader hands over: campaign at once, whatever the timer says (dissertation §3.10). */
export interface TimeoutNow extends Envelope {
  readonly type: 'timeoutNow'
}

export type Message =
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendResponse
  | Heartbeat
  | HeartbeatResponse
  | ReadRequest
  | ReadResponse
  | InstallRequest
  | TimeoutNow
