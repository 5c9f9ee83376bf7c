/**
 * What the log holds for one group, built record by record while the segments are scanned at a start.
 *
 * It applies the one rule that makes truncation need no record of its own: an entry at or below the last index replaces that
 * entry and all behind it (paper §5.3), its memberships included (trap 18).
 *
 * Segments may be gone, on purpose or by damage, and records between whole ones may be bad. So the entries form *chains*: within one
 * each entry meets the one before it, by index and term (record.ts). An entry that meets none begins a chain of its own. Behind damage
 * nobody can tell whether the last entries before it were replaced by what is lost; unless a later entry meets them, only those
 * that were known as committed before stay.
 *
 * Invariants:
 *  1. Chains are disjoint and rise in their indexes; a record at `index` leaves nothing above it in any of them.
 *  2. Entries at or below `#settled` were committed while this log held them.
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
  type Term,
} from '../../raft/index.ts'
import type { PlacedRecord } from './batch.ts'
import { decodeLogEnd, groupStateRecord, type PlainRecord, voteOf } from './group-state.ts'
import { KeptTable } from './kept-table.ts'
import { LogIndexTable } from './log-index.ts'
import { RecordType, termBits } from './record.ts'
import { TermRuns } from './term-runs.ts'

const emptyHardState: HardState = { term: 0, vote: '', commit: 0 }

/** What is missing before the next record: nothing that still counts, or perhaps something. */
export type Hole = 'removed' | 'damaged'

export interface EntryId {
  readonly index: LogIndex
  readonly term: Term
}

/** A run of entries each of which meets the one before it. */
interface Chain {
  readonly index: LogIndexTable
  readonly terms: TermRuns
}

export class GroupHistory {
  readonly group: GroupId
  readonly kept = new KeptTable()
  /** Of this group's newest checkpoint; 0 and 0: there is none. */
  readonly #checkpoint: EntryId
  #chains: Chain[] = [newChain(0, 0)]
  #hardState = emptyHardState
  #memberships: Entry[] = []
  #newestMembership: Entry | undefined
  #settled: LogIndex = 0
  /** Since the last record that told where the log ends, segments were missing or records bad. */
  #hole: Hole | undefined
  /** Nothing above the checkpoint is missing from the last chain, as far as the records tell. */
  #isEndKnown = true
  #isHardStateKnown = true
  #voidsFrom: number | undefined
  #firstUnmet: LogIndex | undefined

  constructor(group: GroupId, checkpoint: EntryId, before: Hole | undefined) {
    this.group = group
    this.#checkpoint = checkpoint
    if (before !== undefined) this.onHole(before)
  }

  /** Records of this group may be missing before the next one. */
  onHole(hole: Hole): void {
    if (this.#hole !== 'damaged') this.#hole = hole
    if (hole === 'removed') return
    this.#isEndKnown = false
    this.#isHardStateKnown = false
  }

  /** Takes the next record of this group. Returns what is wrong with it, or undefined. */
  accept({ header, offset, body }: PlacedRecord, segment: number): string | undefined {
    const { type, index, term } = header
    if (header.isKept) {
      if (body !== undefined) this.kept.put(index, segment, offset, header.bodyBytes)
      return undefined
    }
    switch (type) {
      case RecordType.hardState:
        return this.#acceptHardState(term, index, body)
      case RecordType.groupState:
        return this.#acceptGroupState(term, index, body)
      case RecordType.base:
        this.#acceptBase(index, term)
        return undefined
      default:
        return this.#acceptEntry(
          { index, term, type: type as EntryType },
          header.previousTerm,
          { segment, offset },
          body,
        )
    }
  }

  /** The lowest segment in which records became void since the last call; undefined when none did. */
  takeVoidsFrom(): number | undefined {
    const from = this.#voidsFrom
    this.#voidsFrom = undefined
    return from
  }

  /**
   * All records were taken: chooses the chain that is the log. Returns whether all that the group has promised is there, as far as the
   * records tell.
   */
  finish(): boolean {
    const { index: checkpoint, term } = this.#checkpoint
    const reaching = this.#chains.findLastIndex((chain) => chain.index.firstIndex - 1 <= checkpoint)
    const chosen = Math.max(0, reaching)
    const unmet = reaching === -1 ? this.#chains[0] : this.#chains[chosen + 1]
    this.#firstUnmet = unmet?.index.firstIndex
    const lower = this.#chains.slice(0, chosen)
    this.#chains = [this.#chains[chosen] as Chain]
    const isComplete = unmet === undefined && this.#isEndKnown
    this.#settled = Math.min(this.#settled, this.index.lastIndex)
    if (this.#chainWith(checkpoint, term) !== undefined) this.#settle(checkpoint)
    for (const chain of lower) this.#keepUpTo(chain, Math.min(this.#settled, chain.index.lastIndex))
    // Behind damage the commit index may speak of entries that replaced these.
    const commit = Math.min(this.#hardState.commit, isComplete ? this.index.lastIndex : this.#settled)
    this.#hardState = { ...this.#hardState, commit }
    this.#memberships = this.#memberships.filter(({ index }) => this.index.has(index))
    return isComplete && this.#isHardStateKnown
  }

  // ---- after `finish`

  get index(): LogIndexTable {
    return (this.#chains[0] as Chain).index
  }

  get terms(): TermRuns {
    return (this.#chains[0] as Chain).terms
  }

  /** The first entry that is there but does not meet the log, or the log's own first one if that does not meet the checkpoint. */
  get firstUnmet(): LogIndex | undefined {
    return this.#firstUnmet
  }

  /** Entries at or below this are committed. */
  get settled(): LogIndex {
    return this.#settled
  }

  /** The newest membership entry that was seen, whether it is still part of the log or not. */
  get newestMembership(): Entry | undefined {
    return this.#memberships.at(-1) ?? this.#newestMembership
  }

  /** What a start tells later ones, when it has found that something is missing. */
  stateRecord(): PlainRecord {
    const { term, commit, vote } = this.#hardState
    const end = { lastIndex: this.index.lastIndex, lastTerm: this.terms.lastTerm }
    return groupStateRecord(term, commit, Buffer.from(vote), end)
  }

  recovered(): RecoveredLog {
    return {
      hardState: this.#hardState,
      firstIndex: this.index.firstIndex,
      baseTerm: this.terms.baseTerm,
      lastIndex: this.index.lastIndex,
      termRuns: [...this.terms.runs],
      memberships: this.#memberships,
    }
  }

  // ---- records

  #acceptHardState(term: Term, commit: LogIndex, body: Buffer | undefined): string | undefined {
    if (body === undefined) {
      this.#isHardStateKnown = false
      return undefined
    }
    const before = this.#hardState.term
    if (term < before) return `the term falls from ${before} to ${term} in ${this.#name}`
    this.#hardState = { term, vote: body.toString(), commit }
    this.#isHardStateKnown = true
    if (this.#hole !== 'damaged') this.#settle(commit)
    return undefined
  }

  #acceptGroupState(term: Term, commit: LogIndex, body: Buffer | undefined): string | undefined {
    if (body === undefined) {
      this.#isHardStateKnown = false
      return undefined
    }
    const { lastIndex, lastTerm } = decodeLogEnd(body)
    const chain = this.#chainWith(lastIndex, lastTerm)
    if (chain !== undefined) this.#meet(chain, lastIndex)
    else if (this.#hole === undefined && this.#reachesBackTo(lastIndex))
      return `the log ends at entry ${lastIndex} of term ${lastTerm} in ${this.#name}`
    else this.#beginChain(lastIndex, lastTerm)
    return this.#acceptHardState(term, commit, voteOf(body))
  }

  #acceptBase(index: LogIndex, term: Term): void {
    this.#voidFrom(this.#settled + 1)
    for (const chain of this.#chains) this.#keepUpTo(chain, chain.index.lastIndex)
    this.#chains = [newChain(index, term)]
    this.#settled = Math.min(this.#settled, index)
    this.#memberships = []
    this.#hole = undefined
    this.#isEndKnown = true
  }

  #acceptEntry(
    entry: Omit<Entry, 'data'>,
    previousTerm: Term,
    { segment, offset }: { readonly segment: number; readonly offset: number },
    body: Buffer | undefined,
  ): string | undefined {
    const { index, term, type } = entry
    let chain = this.#chainWith(index - 1, previousTerm)
    if (chain !== undefined) this.#meet(chain, index - 1)
    else if (this.#hole === undefined && this.#reachesBackTo(index - 1))
      return `entry ${index} does not meet the entry before it in ${this.#name}`
    else chain = this.#beginChain(index - 1, previousTerm)
    if (term < chain.terms.lastTerm)
      return `entry ${index} has term ${term} behind ${chain.terms.lastTerm} in ${this.#name}`
    if (body === undefined) {
      // There was this entry, but the log cannot go on through it.
      this.#chains.push(newChain(index, term))
      return undefined
    }
    chain.index.push(segment, offset, body.length)
    chain.terms.push(index, term)
    // A hard state never speaks of entries that a later record replaces (group-log.ts): the one before this entry may speak of this one.
    this.#settle(this.#hardState.commit)
    if (type === EntryType.membership) {
      // A copy: the body is a view of the whole segment.
      this.#newestMembership = { index, term, type, data: Uint8Array.from(body) }
      this.#memberships.push(this.#newestMembership)
    }
    return undefined
  }

  // ---- chains

  /** The chain that holds the entry of this index and term, or begins right behind it. */
  #chainWith(index: LogIndex, term: Term): Chain | undefined {
    return this.#chains.findLast(
      (chain) =>
        index >= chain.index.firstIndex - 1 &&
        index <= chain.index.lastIndex &&
        termBits(chain.terms.termAt(index)) === termBits(term),
    )
  }

  /** What is missing does not hide what stands at this index. */
  #reachesBackTo(index: LogIndex): boolean {
    return index >= (this.#chains.at(-1) as Chain).index.firstIndex - 1
  }

  /** The log ended with this entry of the chain: an entry of one index and term has one history (paper §5.3). */
  #meet(chain: Chain, lastIndex: LogIndex): void {
    if (chain !== this.#chains.at(-1) || lastIndex < chain.index.lastIndex) {
      this.#voidFrom(lastIndex + 1)
      this.#chains.length = this.#chains.indexOf(chain) + 1
    }
    this.#hole = undefined
    this.#isEndKnown = true
  }

  /** The log ended with an entry that is not here. */
  #beginChain(lastIndex: LogIndex, lastTerm: Term): Chain {
    this.#voidFrom(this.#hole === 'damaged' ? Math.min(this.#settled, lastIndex) + 1 : lastIndex + 1)
    const chain = newChain(lastIndex, lastTerm)
    this.#chains = [...this.#chains.filter(({ index }) => index.firstIndex <= lastIndex), chain]
    this.#hole = undefined
    this.#isEndKnown = lastIndex <= this.#checkpoint.index
    return chain
  }

  /** Forgets all entries from `index` on. */
  #voidFrom(index: LogIndex): void {
    for (const chain of this.#chains) {
      if (index > chain.index.lastIndex) continue
      const first = Math.max(index, chain.index.firstIndex)
      this.#noteVoid(chain, first)
      chain.index.truncate(first)
      chain.terms.truncate(first)
    }
    this.#settled = Math.min(this.#settled, index - 1)
    if ((this.#memberships.at(-1)?.index ?? 0) >= index) {
      this.#memberships = this.#memberships.filter((entry) => entry.index < index)
    }
  }

  #noteVoid(chain: Chain, first: LogIndex): void {
    if (!chain.index.has(first)) return
    const sequence = chain.index.sequenceOf(first)
    this.#voidsFrom = Math.min(this.#voidsFrom ?? sequence, sequence)
  }

  /** The entries stay readable though they are no part of the log any more. */
  #keepUpTo({ index: table }: Chain, last: LogIndex): void {
    this.kept.takeOver(table, table.firstIndex, Math.min(last, table.lastIndex))
  }

  #settle(commit: LogIndex): void {
    const last = (this.#chains.at(-1) as Chain).index.lastIndex
    this.#settled = Math.max(this.#settled, Math.min(commit, last))
  }

  get #name(): string {
    return `group ${this.group.id} incarnation ${this.group.incarnation}`
  }
}

function newChain(lastIndex: LogIndex, lastTerm: Term): Chain {
  return { index: new LogIndexTable(lastIndex + 1), terms: new TermRuns(lastTerm) }
}
