/**
 * What the core wants done, and in which order: the contract between the pure core and its driver.
 *
 * Never: behaviour.
 */
import type { Member } from './membership.ts'
import type { Message } from './message.ts'
import type { InstallOffer, RoleChange } from './ports.ts'
import type { Entry, HardState, LogIndex, Term } from './types.ts'

/**
 * Names one write. It tells the node's term at that time and the log's end, so that a completion that arrives after
 * these entries were replaced is not taken for that of their successors (trap 5).
 */
export interface PersistToken {
  readonly term: Term
  readonly lastIndex: LogIndex
  readonly lastTerm: Term
}

/** The answer to readIndex(requestId). */
export interface ReadResult {
  readonly requestId: number
  /** What must be applied before reading; -1: no leader could tell, ask again under a new id. */
  readonly index: LogIndex
}

/** Entries for a lagging peer that are no longer in memory: read them and hand both to loaded(). */
export interface LoadRequest {
  readonly peer: Member
  readonly term: Term
  readonly from: LogIndex
  readonly bytesMax: number
}

/**
 * One batch of work. Readies are numbered by the order in which they were taken; "synced" means that storage has
 * confirmed the write of a ready and of all before it.
 */
export interface Ready {
  /** Empty the stored log first: it goes on behind this entry, which a durable checkpoint reflects (§7). */
  readonly reset: { readonly index: LogIndex; readonly term: Term } | undefined
  /** Write it before `entries`, in the same batch (trap 2). Undefined: unchanged, or not worth a write of its own. */
  readonly hardState: HardState | undefined
  /** Append these; if entries[0].index is at or below the stored end, the stored log is cut there first. */
  readonly entries: readonly Entry[]
  /** Set if there is anything to write; give it to persisted() once this ready is synced. */
  readonly token: PersistToken | undefined
  /** May be sent at once, before the write even begins: the leader's appends go in parallel with its own sync (trap 4). */
  readonly messages: readonly Message[]
  /** Must not be sent before this ready is synced; if it has nothing to write, not before all earlier ones are (trap 1). */
  readonly messagesAfterSync: readonly Message[]
  /**
   * Newly committed indexes: apply them in order, and tell applied(). They need not be synced here: a majority holds them.
   * Those not in memory are in storage.
   */
  readonly committed: { readonly first: LogIndex; readonly last: LogIndex } | undefined
  /** Nothing needs to be synced for these; the reader waits until `index` is applied. */
  readonly reads: readonly ReadResult[]
  /** May be read at any time; storage sees what was appended but not yet synced. */
  readonly loads: readonly LoadRequest[]
  /** Set when it has changed. */
  readonly leadership: RoleChange | undefined
  /** The leader's newest offer of a checkpoint, if it made one. */
  readonly install: InstallOffer | undefined
  /** The number of this node's doubt, if that is over; else 0. */
  readonly trusted: number
}
