/**
 * An append that waits for its batch: the meeting point of the groups, which make them, and the log, which writes them.
 */
import type { Entry, GroupId, HardState, LogIndex, NodeId, Term } from '../../raft/index.ts'

/** Told, in log order, where each entry of a synced batch lies. */
export interface PlacementSink {
  /** `offset`: of the record's header. */
  onPlaced(entry: Entry, segment: number, offset: number): void
}

export interface PendingAppend {
  readonly group: GroupId
  readonly sink: PlacementSink
  readonly hardState: { readonly term: Term; readonly commit: LogIndex; readonly vote: Buffer } | undefined
  readonly entries: readonly Entry[]
  resolve(): void
  reject(error: Error): void
}

export function encodeHardState({ term, vote, commit }: HardState): PendingAppend['hardState'] {
  return { term, commit, vote: voteBytes(vote) }
}

function voteBytes(vote: NodeId): Buffer {
  return Buffer.from(vote)
}
