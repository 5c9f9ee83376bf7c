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
  /** What an operator should look at though the node serves, for people. */
  readonly warnings?: readonly string[]
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
  /** The first entry that the log still holds. */
  readonly firstIndex: number
  /** Of the newest checkpoint; 0: there is none. */
  readonly checkpointIndex: number
  /** What this node is in the cluster, as far as its log is applied. `none`: not added yet, or removed. */
  readonly member: 'voter' | 'learner' | 'none'
  /** Not 0: this node may have forgotten what it promised, and counts for nothing until the cluster has made sure. */
  readonly doubt: number
  /** To whom this leader hands its leadership over. */
  readonly transferee?: string
  /** The checkpoint that this node fetches from the leader is of this index. */
  readonly installing?: number
  /** Bodies that this node lacks and no peer has given yet. */
  readonly missingBodies: number
  readonly diskFull: boolean
  /** Absent until it is known. */
  readonly diskFreeBytes?: number
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
  /** Absent where this node's `--cluster` does not name it: it cannot be dialed from here. */
  readonly url?: string
  /** Both sockets are open; true of the node itself. */
  readonly connected: boolean
  /** Its process is known to be gone: its socket closed and a redial was refused. */
  readonly down: boolean
  /** By its id, in the membership that is applied here. `none`: it has an address here, and is no member. */
  readonly role: 'voter' | 'learner' | 'none'
  /** What the leader knows of it; absent where another node is asked, and of itself. */
  readonly progress?: MemberProgress
}

export interface MemberProgress {
  /** Up to here its synced log is known to equal the leader's. */
  readonly matchIndex: number
  readonly lagEntries: number
  readonly mode: 'probe' | 'replicate' | 'install'
  readonly doubt: number
}

export interface RaftMetrics {
  readonly group: number
  readonly incarnation: number
  readonly term: number
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly isLeader: boolean
  readonly isVoter: boolean
  readonly firstIndex: number
  readonly checkpointIndex: number
  readonly doubt: number
  /** What a leader knows of its peers; empty on others. */
  readonly peers: readonly { readonly id: string; readonly lagEntries: number }[]
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

/** Checkpoints, installs and the disk. */
export interface StorageMetrics {
  readonly segments: number
  readonly checkpointBytes: number
  readonly checkpointsTotal: number
  readonly installsTotal: number
  readonly missingBodies: number
  readonly repairedBodiesTotal: number
  /** Undefined until it is known. */
  readonly diskFreeBytes: number | undefined
  readonly diskFull: boolean
}

export interface MetricsSnapshot {
  readonly raft: readonly RaftMetrics[]
  readonly storage: StorageMetrics
  /** Every queue; read once, in any order. */
  readonly queues: Iterable<QueueMetrics>
  readonly totals: MessageTotals
  /** Clients' sockets on this node. */
  readonly connections: number
}
