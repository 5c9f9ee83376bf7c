/**
 * What one node's log must hold, told from outside: every append that the driver hands to storage passes here, so the model
 * knows what is held, what of it is synced, and what a crash may therefore leave.
 *
 * Never: looks into the storage. It believes the port's own promise, that a resolved append is durable, and holds recovery to it.
 */
import type { Entry, HardState, LogIndex, LogStorage, NodeId, RecoveredLog, Term } from '../../raft/index.ts'
import { Violation } from './violation.ts'

type Batch = Parameters<LogStorage['append']>[0]

/** An append or a reset that storage has not confirmed. */
interface Write {
  readonly batch: Batch
  readonly hashes: readonly number[]
  /** What the log was reset to before: all that is committed up to its base, as a checkpoint reflects it. */
  readonly prefix?: Prefix
}

/** The first rows of a log. */
export interface Prefix {
  readonly terms: readonly Term[]
  readonly hashes: readonly number[]
}

const noHardState: HardState = { term: 0, vote: '', commit: 0 }

/** FNV-1a over type and data. */
export function contentHash(entry: Entry): number {
  let hash = 0x811c9dc5 ^ entry.type
  const { data } = entry
  for (let i = 0; i < data.length; i++) hash = Math.imul(hash ^ (data[i] as number), 0x01000193)
  return hash
}

/** A log and a hard state as plain columns. The entry at `index` is in row `index - 1`. */
export class LogView {
  readonly terms: Term[] = []
  readonly hashes: number[] = []
  hardState: HardState = noHardState

  get lastIndex(): LogIndex {
    return this.terms.length
  }

  /** 0 before the log, undefined beyond it. */
  termAt(index: LogIndex): Term | undefined {
    return index === 0 ? 0 : this.terms[index - 1]
  }

  /** The log goes on behind a checkpoint: what that reflects counts as held, whatever was here. */
  reset({ terms, hashes }: Prefix): void {
    this.terms.splice(0, this.terms.length, ...terms)
    this.hashes.splice(0, this.hashes.length, ...hashes)
  }

  put(entry: Entry, hash: number): void {
    this.terms.length = entry.index - 1
    this.hashes.length = entry.index - 1
    this.terms.push(entry.term)
    this.hashes.push(hash)
  }

  equals(recovered: RecoveredLog): boolean {
    const { hardState, firstIndex, baseTerm, lastIndex, termRuns } = recovered
    if (lastIndex !== this.lastIndex || this.termAt(firstIndex - 1) !== baseTerm) return false
    const { term, vote, commit } = this.hardState
    if (hardState.term !== term || hardState.vote !== vote) return false
    // The log writes down what a checkpoint tells of the commit index, too; whether that is true, the oracle asks elsewhere.
    if (hardState.commit < Math.min(commit, lastIndex) || hardState.commit > lastIndex) return false
    return termRuns.every((run, at) => {
      const end = (termRuns[at + 1]?.firstIndex ?? lastIndex + 1) - 1
      return this.terms[run.firstIndex - 1] === run.term && this.terms[end - 1] === run.term
    })
  }
}

export class LogModel {
  readonly id: NodeId
  /** Everything that was appended, synced or not. */
  held = new LogView()
  /** What storage has said is synced. */
  synced = new LogView()
  /** What was synced by the incarnation before a wipe. Its promises may still be under way, and hold: nobody replaced it. */
  former = new LogView()
  /** Every vote that is synced, by term. */
  readonly syncedVotes = new Map<Term, NodeId>()
  /** The directory was emptied: whoever has it now is not the member that the model was of. */
  isReplaced = false
  /** Entries that crashes took, all of them unsynced. */
  entriesLost = 0
  /** How often entries were cut off. */
  cuts = 0
  readonly #unsynced: Write[] = []

  constructor(id: NodeId) {
    this.id = id
  }

  appended(given: Batch, hashes: readonly number[]): void {
    const batch = this.#asWritten(given)
    this.#unsynced.push({ batch, hashes })
    if (batch.hardState !== undefined) this.held.hardState = batch.hardState
    const first = batch.entries[0]
    if (first !== undefined && first.index <= this.held.lastIndex) this.cuts++
    batch.entries.forEach((entry, at) => {
      this.held.put(entry, hashes[at] as number)
    })
  }

  /** Of entries that replace others the log does not tell yet, in the same write, that they are committed. */
  #asWritten(batch: Batch): Batch {
    const { hardState, entries } = batch
    const first = entries[0]
    if (hardState === undefined || first === undefined || first.index > this.held.lastIndex) return batch
    return { ...batch, hardState: { ...hardState, commit: Math.min(hardState.commit, first.index - 1) } }
  }

  /** The log is emptied and goes on behind `prefix`. */
  reset(prefix: Prefix): void {
    this.#unsynced.push({ batch: { entries: [] }, hashes: [], prefix })
    this.held.reset(prefix)
    this.cuts++
  }

  /** The oldest unsynced write is durable. */
  resolved(): void {
    const { batch, hashes, prefix } = this.#unsynced.shift() as Write
    if (prefix !== undefined) this.synced.reset(prefix)
    if (batch.hardState !== undefined) this.#syncHardState(batch.hardState)
    batch.entries.forEach((entry, at) => {
      this.synced.put(entry, hashes[at] as number)
    })
  }

  /**
   * The process came back and found this. It must be what was synced, followed by a prefix of the records that were not:
   * anything less was promised and lost, anything else was never written.
   */
  recovered(found: RecoveredLog): void {
    if (!this.#matchPrefix(found)) {
      const { hardState, lastIndex } = this.synced
      throw new Violation(
        'recovery keeps what was synced',
        `${this.id} synced ${JSON.stringify(hardState)} and ${lastIndex} entries, ` +
          `found ${JSON.stringify(found.hardState)} and ${found.lastIndex} entries in ${JSON.stringify(found.termRuns)}`,
      )
    }
    this.entriesLost += Math.max(0, this.held.lastIndex - this.synced.lastIndex)
    this.#unsynced.length = 0
    this.held.hardState = this.synced.hardState
    this.held.terms.splice(0, this.held.lastIndex, ...this.synced.terms)
    this.held.hashes.splice(0, this.held.hashes.length, ...this.synced.hashes)
  }

  /** The log was closed in an orderly way. */
  closed(): void {
    if (this.#unsynced.length === 0) return
    throw new Violation(
      'an orderly end loses nothing',
      `${this.id} closed its log with ${this.#unsynced.length} appends open`,
    )
  }

  /** The directory was emptied: whoever comes back is somebody else. */
  wiped(): void {
    this.#unsynced.length = 0
    this.syncedVotes.clear()
    this.former = this.synced
    this.isReplaced = true
    this.held = new LogView()
    this.synced = new LogView()
  }

  /** Moves unsynced records to `synced`, one by one, until it equals what was found. */
  #matchPrefix(found: RecoveredLog): boolean {
    if (this.synced.equals(found)) return true
    for (const { batch, hashes, prefix } of this.#unsynced) {
      if (prefix !== undefined) {
        this.synced.reset(prefix)
        if (this.synced.equals(found)) return true
      }
      if (batch.hardState !== undefined) {
        this.#syncHardState(batch.hardState)
        if (this.synced.equals(found)) return true
      }
      for (const [at, entry] of batch.entries.entries()) {
        this.synced.put(entry, hashes[at] as number)
        if (this.synced.equals(found)) return true
      }
    }
    return false
  }

  #syncHardState(hardState: HardState): void {
    this.synced.hardState = hardState
    if (hardState.vote !== '') this.syncedVotes.set(hardState.term, hardState.vote)
  }
}
