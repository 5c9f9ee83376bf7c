/**
 * The vocabulary of the log: what an entry, a term and a hard state are.
 *
 * Never: behaviour, I/O, anything of another folder. Paper: Ongaro & Ousterhout 2014, figure 2.
 */

/** A node's configured name, unique in its cluster. */
export type NodeId = string

/**
 * Names the contents of one data directory. Minted at random when the directory is initialised, never reused: a
 * directory that was emptied comes back under another incarnation, so that its forgotten promises bind nobody (trap 19).
 */
export type Incarnation = string

/** Raft's logical clock; 0 before the first election. */
export type Term = number

/** Position in the log; the first entry is 1, 0 means "before the log". */
export type LogIndex = number

/** What an entry carries. The numbers are on disk and on the wire: never renumber. */
export const EntryType = {
  /** A new leader's no-op, empty data (§8: commits the entries of former terms). */
  noop: 0,
  /** A command for the replicated state machine, opaque to Raft. */
  command: 1,
  /** A membership, as encoded by `membership.ts`. */
  membership: 2,
} as const
export type EntryType = (typeof EntryType)[keyof typeof EntryType]

export interface Entry {
  readonly index: LogIndex
  readonly term: Term
  readonly type: EntryType
  readonly data: Uint8Array
}

/** What must survive a crash beside the log itself. */
export interface HardState {
  /** Latest term this node has seen. Invariant: never falls. */
  readonly term: Term
  /** Who got this node's vote in `term`; '' for nobody. Invariant: once set, constant within a term. */
  readonly vote: NodeId | ''
  /** A lower bound of the commit index, to apply early after a restart. Its loss is harmless. */
  readonly commit: LogIndex
}

/** One Raft group: an instance of the whole state machine. Carried by every record and peer frame. */
export interface GroupId {
  readonly id: number
  /** Rises when a group of the same id is made anew, so that records of the two never mix (trap 27). */
  readonly incarnation: number
}
