/**
 * What one member is told when it is made, and the numbers that tune it.
 *
 * Never: addresses, durations in milliseconds (the core counts ticks; the driver says how long one is).
 */
import type { RecoveredLog, SnapshotMark } from './ports.ts'
import type { Incarnation, NodeId } from './types.ts'

export interface RaftTuning {
  /** A follower campaigns after this many ticks without a leader, or up to twice as many, at random. */
  readonly electionTicks: number
  readonly heartbeatTicks: number
  /** Data in one append; one larger entry goes alone (trap 45). */
  readonly appendBytesMax: number
  /** Unanswered data per peer, beyond which the leader waits (trap 13). */
  readonly inflightBytesMax: number
  /** Entries kept in memory for slow peers and readers; up to twice as much while they are not applied. */
  readonly cacheBytesMax: number
  /** Data of a leader's uncommitted entries, beyond which it refuses proposals (trap 44). */
  readonly uncommittedBytesMax: number
}

/** For a tick of 10 ms: heartbeat 100 ms, election 600–1200 ms. */
export const RAFT_DEFAULTS: RaftTuning = {
  electionTicks: 60,
  heartbeatTicks: 10,
  appendBytesMax: 256 * 1024,
  inflightBytesMax: 4 * 1024 * 1024,
  cacheBytesMax: 64 * 1024 * 1024,
  uncommittedBytesMax: 32 * 1024 * 1024,
}

export interface RaftOptions {
  readonly id: NodeId
  /** Of this node's data directory. */
  readonly incarnation: Incarnation
  /** All configured members, this one included, in any order. Counts only until the log names the members. */
  readonly memberIds: readonly NodeId[]
  readonly recovered: RecoveredLog
  /** The state machine was restored to it, and the log reaches it: commit and apply go on from there. */
  readonly checkpoint?: SnapshotMark
  /** Not 0: this node may have forgotten promises that it had synced; the number names the occasion. */
  readonly doubt?: number
  /** The data directory was part of a cluster: if its log is empty, that was lost, and this node founds no other one. */
  readonly founded?: boolean
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Called once in a cluster's life, by the leader that its first election made. */
  readonly mintClusterId: () => string
  readonly tuning?: Partial<RaftTuning>
}
