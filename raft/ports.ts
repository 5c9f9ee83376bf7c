/**
 * What the driver needs from outside: a log, a transport, a clock and the state machine that it feeds. Production
 * gives it the write-ahead log, the peer links and Node's timers; the simulator gives it twins of all four.
 *
 * Never: implementations.
 */
import type { Member } from './membership.ts'
import type { Message } from './message.ts'
import type { Entry, HardState, LogIndex, NodeId, Term } from './types.ts'

/** Names a checkpoint: the machine's state after the entry (index, term), and who the members were then. */
export interface SnapshotMark {
  readonly index: LogIndex
  readonly term: Term
  /** The newest membership entry at or below `index`. */
  readonly membership: Entry
}

/** What a group's log held when it was opened. */
export interface RecoveredLog {
  readonly hardState: HardState
  /** Index of the first entry held; those before it are forgotten, and a checkpoint reflects them. */
  readonly firstIndex: LogIndex
  /** Term of the entry before `firstIndex`; 0 when that is 1. */
  readonly baseTerm: Term
  /** firstIndex - 1 when there are no entries. */
  readonly lastIndex: LogIndex
  /** The first index of each run of equal terms, rising in both; covers firstIndex..lastIndex. */
  readonly termRuns: readonly { readonly firstIndex: LogIndex; readonly term: Term }[]
  /** Every membership entry of the log, in order: the core takes the last one (§6 of the paper: used as soon as held). */
  readonly memberships: readonly Entry[]
}

/**
 * One group's durable log. All promises reject only when the disk failed, after which the node must stop (trap 21).
 */
export interface LogStorage {
  recovered(): RecoveredLog
  /**
   * Writes hard state and entries, in this order in one batch (trap 2). Calls may overlap; they take effect, and their
   * promises resolve, in the order of the calls. If `entries[0].index` is at or below the last index, the log is cut there first.
   * Resolves when everything up to and including this batch is synced.
   */
  append(batch: { readonly hardState?: HardState; readonly entries: readonly Entry[] }): Promise<void>
  /**
   * Consecutive entries from `from` on, at least one, stopping before `bytesMax` of data is passed. Sees unsynced appends too.
   * Resolves [] when the log does not hold `from`: perhaps not any more.
   */
  read(from: LogIndex, bytesMax: number): Promise<Entry[]>
  /**
   * The log is empty from now on and goes on behind `base`. Takes effect, and resolves, in the order of the calls of this and
   * of append(); the hard state stays.
   */
  reset(base: { readonly index: LogIndex; readonly term: Term }): Promise<void>
}

/** Sends to peers; may drop, delay, reorder and repeat. Never throws, never blocks. */
export interface Transport {
  send(message: Message): void
}

export interface Clock {
  /** Monotonic milliseconds. */
  now(): number
  /** Calls back once after `ms`; the returned function cancels. */
  setTimer(ms: number, callback: () => void): () => void
  /** Calls back once, soon, after the I/O that is at hand: work of one turn is gathered this way. */
  defer(callback: () => void): void
}

export type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader'

/** What the driver tells about the group's leadership, each time that it changes. */
export interface RoleChange {
  readonly role: Role
  readonly term: Term
  /** Who leads in `term`, as far as this node knows. */
  readonly leader: NodeId | undefined
  /**
   * True once this leader has applied its own no-op: the state machine then reflects every entry that was committed before, and
   * ReadIndex may answer (dissertation §6.4). Always false on others.
   */
  readonly established: boolean
}

/** A leader has forgotten entries that this log lacks, and offers its checkpoint instead (§7). */
export interface InstallOffer {
  /** The leader, of whom it can be fetched. */
  readonly from: Member
  /** The leader's. */
  readonly term: Term
  readonly mark: SnapshotMark
}

/** The replicated state machine and its host. Called in log order, each committed entry once in a process's life. */
export interface StateMachine {
  apply(entry: Entry): void
  onRoleChange(change: RoleChange): void
  /**
   * Fetch this checkpoint, and call RaftDriver.installed() once all of it, bodies included, is here and synced. The same offer
   * is repeated about as often as heartbeats until then, and the mark may be a newer one each time.
   */
  onInstall(offer: InstallOffer): void
  /** This node's doubt of this number is over: the durable mark of it may be removed. */
  onTrusted(doubt: number): void
}
