/**
 * An append that waits for its batch: the meeting point of the groups, which make them, and the log, which writes them.
 */
import type { Entry, HardState, LogIndex, NodeId, Term } from '../../raft/index.ts'
import type { GroupState, PlainRecord } from './group-state.ts'
import { RecordType } from './record.ts'

/** Told, in log order, where each entry of a synced batch lies. */
export interface PlacementSink {
  /** `offset`: of the record's header. */
  onPlaced(entry: Entry, segment: number, offset: number): void
}

export interface PendingAppend {
  /** Of the group that it is for; brought up to date when it is synced. */
  readonly state: GroupState
  readonly sink: PlacementSink | undefined
  /** Goes before the entries. */
  readonly head: PlainRecord | undefined
  readonly entries: readonly Entry[]
  /** The entries are kept entries, no part of the log. */
  readonly isKept: boolean
  /** Of the entry before the first one, unless they are kept. */
  readonly previousTerm: Term
  /**
   * The lowest segment that may hold records which this append makes void; undefined when there are none. The segment that takes
   * the append must then outlive those from there on: without it their records would count again.
   */
  readonly voidsFrom: number | undefined
  resolve(): void
  reject(error: Error): void
}

export function encodeHardState({ term, vote, commit }: HardState): PlainRecord {
  return { type: RecordType.hardState, term, index: commit, body: voteBytes(vote) }
}

export function encodeBase(base: { readonly index: LogIndex; readonly term: Term }): PlainRecord {
  return { type: RecordType.base, term: base.term, index: base.index, body: Buffer.alloc(0) }
}

function voteBytes(vote: NodeId): Buffer {
  return Buffer.from(vote)
}
