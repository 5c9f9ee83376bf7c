/**
 * What checkpointing needs from the machine, the driver, the log and the store of checkpoints: the few calls it makes, so that
 * each part can be read, and tested, by itself. The real ones fit these shapes as they are.
 *
 * Never: behaviour.
 */
import type { Clock, Entry, GroupId, LogIndex, SnapshotMark } from '../../raft/index.ts'
import type { Logger } from '../logger.ts'

export type { Clock, Entry, GroupId, InstallOffer, LogIndex, SnapshotMark } from '../../raft/index.ts'

/** Indexes of the entries that messages refer to, in rising order. */
export interface LiveEntries {
  has(index: LogIndex): boolean
  readonly size: number
  [Symbol.iterator](): Iterator<LogIndex>
}

/** A captured state. `references` is complete only after the last chunk was taken. */
export interface MachineCheckpoint {
  chunks(): IterableIterator<Uint8Array>
  references(): LiveEntries
}

export interface CheckpointInfo {
  readonly mark: SnapshotMark
  readonly chunks: number
  readonly bytes: number
  readonly origin: 'local' | 'installed'
}

export interface CheckpointWriter {
  put(chunk: Uint8Array): Promise<void>
  commit(): Promise<CheckpointInfo>
  abandon(): Promise<void>
}

/** The store of checkpoints: at most one is current, one may be written. */
export interface CheckpointStore {
  readonly current: CheckpointInfo | undefined
  begin(mark: SnapshotMark, origin: 'local' | 'installed'): CheckpointWriter
  /** Undefined: no such checkpoint any more. Throws DamagedCheckpointError. */
  readChunk(mark: LogIndex, n: number): Promise<Uint8Array | undefined>
  /** Keeps the current checkpoint's chunks when another becomes current; the returned function lets go. */
  pin(mark: LogIndex): () => void
}

/** Which entries this node holds, in its log or kept beside it. */
export interface HeldEntries {
  /** Held entries from `from` on, in order of indexes, leaving out those that are not held or damaged. */
  readHeld(from: LogIndex, bytesMax: number): Promise<Entry[]>
  /**
   * Of the given ones, those that are not held. The log counts up to `committed` alone, since above it may be another leader's; by default
   * up to what it durably knows as committed, since a reset lets go of the rest. Takes a while: they are to be pinned before.
   */
  missing(references: Iterable<LogIndex>, committed?: LogIndex): Promise<LogIndex[]>
  /** Resolves when the entries are synced beside the log. */
  keep(entries: readonly Entry[]): Promise<void>
}

export interface CompactionPlan {
  readonly group: GroupId
  readonly firstIndex: LogIndex
  readonly checkpointIndex: LogIndex
  readonly live: LiveEntries
  readonly pinned?: () => readonly LiveEntries[]
  /** A newer plan waits: what takes long of this one had better end. */
  readonly isSuperseded?: () => boolean
  /** The disk is nearly full: every file that is not needed is given back. */
  readonly isShortOfRoom?: boolean
}

/** What all parts are given. */
export interface CheckpointingBasics {
  readonly clock: Clock
  readonly logger: Logger
  /** The disk failed or an invariant broke: the node stops. */
  readonly onFatal: (error: unknown) => void
}
