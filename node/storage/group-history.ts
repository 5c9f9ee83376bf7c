/**
 * What the log holds for one group, built record by record while the segments are scanned at a start.
 *
 * It applies the one rule that makes truncation need no record of its own: an entry at or below the last index replaces that
 * entry and all behind it (paper §5.3), its memberships included (trap 18).
 *
 * Never: I/O.
 */
import {
  type Entry,
  EntryType,
  type GroupId,
  type HardState,
  type LogIndex,
  type RecoveredLog,
} from '../../raft/index.ts'
import type { PlacedRecord } from './batch.ts'
import { LogIndexTable } from './log-index.ts'
import { RecordType } from './record.ts'
import { TermRuns } from './term-runs.ts'

const emptyHardState: HardState = { term: 0, vote: '', commit: 0 }

export class GroupHistory {
  readonly group: GroupId
  readonly index = new LogIndexTable()
  readonly terms = new TermRuns()
  #hardState = emptyHardState
  #memberships: Entry[] = []

  constructor(group: GroupId) {
    this.group = group
  }

  /** Takes the next record of this group. Returns what is wrong with it, or undefined. */
  accept(record: PlacedRecord, segment: number): string | undefined {
    const { header } = record
    if (header.type === RecordType.hardState) {
      if (header.term < this.#hardState.term) {
        return `the term falls from ${this.#hardState.term} to ${header.term} in ${this.#name}`
      }
      this.#hardState = { term: header.term, vote: record.body.toString(), commit: header.index }
      return undefined
    }
    const { index, term } = header
    const { firstIndex, lastIndex } = this.index
    if (index < firstIndex || index > lastIndex + 1) {
      return `entry ${index} follows entry ${lastIndex} in ${this.#name}`
    }
    if (index <= lastIndex) this.#truncate(index)
    if (term < this.terms.lastTerm)
      return `entry ${index} has term ${term} behind ${this.terms.lastTerm} in ${this.#name}`
    this.index.push(segment, record.offset, header.bodyBytes)
    this.terms.push(index, term)
    if (header.type === EntryType.membership) {
      // A copy: the body is a view of the whole segment.
      this.#memberships.push({ index, term, type: EntryType.membership, data: Uint8Array.from(record.body) })
    }
    return undefined
  }

  recovered(): RecoveredLog {
    return {
      hardState: this.#hardState,
      firstIndex: this.index.firstIndex,
      baseTerm: 0,
      lastIndex: this.index.lastIndex,
      termRuns: [...this.terms.runs],
      memberships: this.#memberships,
    }
  }

  #truncate(index: LogIndex): void {
    this.index.truncate(index)
    this.terms.truncate(index)
    this.#memberships = this.#memberships.filter((entry) => entry.index < index)
  }

  get #name(): string {
    return `group ${this.group.id} incarnation ${this.group.incarnation}`
  }
}
