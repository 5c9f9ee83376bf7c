/**
 * What must be known of a group before its next record: its hard state, and where its log ends.
 *
 * Every segment's first batch begins with this for every group (a `groupState` record each), so that any segments before it may be
 * removed, and a start that lost some to damage still knows what the group has promised and whether it holds the log up to its end.
 *
 *     header: term and commit of the hard state    body: u64 last index, u64 last term, vote
 *
 * Never: I/O.
 */
import type { Entry, GroupId, LogIndex, Term } from '../../raft/index.ts'
import { RECORD_HEADER_BYTES, RecordType } from './record.ts'
import { readUint64, writeUint64 } from './uint64.ts'

const VOTE_AT = 16
const noVote = Buffer.alloc(0)

/** A record that is not an entry. */
export interface PlainRecord {
  readonly type: RecordType
  readonly term: number
  readonly index: number
  readonly body: Buffer
}

export interface LogEndMark {
  readonly lastIndex: LogIndex
  readonly lastTerm: Term
}

export class GroupState {
  readonly group: GroupId
  /** The log holds a record of this group. */
  isWritten = false
  #term: Term = 0
  #commit: LogIndex = 0
  #vote: Buffer = noVote
  #lastIndex: LogIndex = 0
  #lastTerm: Term = 0

  constructor(group: GroupId) {
    this.group = group
  }

  /** Bytes of its record. */
  get bytes(): number {
    return RECORD_HEADER_BYTES + VOTE_AT + this.#vote.length
  }

  /** The log holds this record of the group by now. */
  applyRecord({ type, term, index, body }: PlainRecord): void {
    this.isWritten = true
    if (type === RecordType.hardState) {
      this.#term = term
      this.#commit = index
      this.#vote = body
    } else if (type === RecordType.base) {
      this.#lastIndex = index
      this.#lastTerm = term
    } else if (type === RecordType.groupState) {
      this.#term = term
      this.#commit = index
      this.#vote = voteOf(body)
      const { lastIndex, lastTerm } = decodeLogEnd(body)
      this.#lastIndex = lastIndex
      this.#lastTerm = lastTerm
    }
  }

  /** The log ends with this entry by now. */
  applyEntry({ index, term }: Entry): void {
    this.isWritten = true
    this.#lastIndex = index
    this.#lastTerm = term
  }

  toRecord(): PlainRecord {
    const { lastIndex, lastTerm } = { lastIndex: this.#lastIndex, lastTerm: this.#lastTerm }
    return groupStateRecord(this.#term, this.#commit, this.#vote, { lastIndex, lastTerm })
  }
}

export function groupStateRecord(term: Term, commit: LogIndex, vote: Buffer, end: LogEndMark): PlainRecord {
  const body = Buffer.alloc(VOTE_AT + vote.length)
  writeUint64(body, 0, end.lastIndex)
  writeUint64(body, 8, end.lastTerm)
  vote.copy(body, VOTE_AT)
  return { type: RecordType.groupState, term, index: commit, body }
}

/** Of the body of a groupState record. */
export function decodeLogEnd(body: Buffer): LogEndMark {
  return { lastIndex: readUint64(body, 0), lastTerm: readUint64(body, 8) }
}

/** Of the body of a groupState record. */
export function voteOf(body: Buffer): Buffer {
  return body.subarray(VOTE_AT)
}
