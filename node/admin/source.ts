/**
 * What a node tells about itself: the answers behind /healthz, /readyz, /status and /metrics. node/server.ts implements
 * `AdminSource`; the CLI and tests read the same shapes.
 *
 * Never: behaviour. All of it is a reading of one moment, copied out of the node.
 */
import type { Role } from '../../raft/index.ts'

export interface Verdict {
  readonly ok: boolean
  /** Why not, for people; absent when ok. */
  readonly reason?: string
}

export interface AdminSource {
  /** Is the process well? False calls for a restart, so a missing leader is no reason. */
  healthy(): Verdict
  /** Does it serve clients: knows an established leader and has caught up with it? */
  ready(): Verdict
  /** The hash walks the whole state: only on request. */
  status(wants?: { readonly stateHash?: boolean }): NodeStatus
  metrics(): MetricsSnapshot
}

export interface NodeStatus {
  readonly node: string
  /** Of the package. */
  readonly version: string
  readonly clusterName: string
  /** Absent until the cluster's first entry is applied. */
  readonly clusterId?: string
  /** Of the data directory's contents. */
  readonly incarnation: string
  /** Of this life of the process. */
  readonly bootId: number
  readonly role: Role
  readonly term: number
  /** Absent while none is known. */
  readonly leader?: string
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly lastIndex: number
  /** Of the replicated state at `appliedIndex`: equal there on every node. Only on request. */
  readonly stateHash?: string
  readonly machineTimeMs: number
  readonly members: readonly MemberStatus[]
  /** Sessions attached to this node. */
  readonly sessions: number
  readonly queues: number
}

/** Another member, or this node itself, as this node sees it. */
export interface MemberStatus {
  readonly id: string
  readonly url: string
  /** Both sockets are open; true of the node itself. */
  readonly connected: boolean
  /** Its process is known to be gone: its socket closed and a redial was refused. */
  readonly down: boolean
}

export interface RaftMetrics {
  readonly group: number
  readonly incarnation: number
  readonly term: number
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly isLeader: boolean
  /** Elections that this node started since its process began. */
  readonly electionsTotal: number
}

export interface QueueMetrics {
  readonly queue: string
  readonly ready: number
  readonly unsettled: number
  readonly consumers: number
}

/** Monotonic counts of the replicated state: equal on every replica, unharmed by a restart. */
export interface MessageTotals {
  readonly published: number
  /** Copies that went into queues; above `published` where one topic feeds several. */
  readonly routedCopies: number
  /** Published where no queue was bound. */
  readonly unroutable: number
  readonly delivered: number
  readonly redelivered: number
  readonly acked: number
  readonly released: number
  readonly rejected: number
}

export interface MetricsSnapshot {
  readonly raft: readonly RaftMetrics[]
  /** Every queue; read once, in any order. */
  readonly queues: Iterable<QueueMetrics>
  readonly totals: MessageTotals
  /** Clients' sockets on this node. */
  readonly connections: number
}
