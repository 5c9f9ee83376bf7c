/**
 * What a cluster as a whole must never do, checked while it runs: two leaders in a term, a committed entry that changes, a term or a
 * commit index that falls, replicas that differ at an equal index.
 *
 * Never: what a single log or a single vote promises; test/sim checks that, with every message and every write in sight.
 */
import type { Machine } from '../../node/queue/index.ts'
import type { Entry, LogIndex, RecoveredLog, Role, Term } from '../../raft/index.ts'
import { contentHash } from '../sim/log-model.ts'
import { Violation } from '../sim/violation.ts'

/** What a node believes at one moment. */
export interface Sighting {
  readonly role: Role
  readonly term: Term
  readonly commitIndex: LogIndex
  readonly appliedIndex: LogIndex
  /** Of the log. */
  readonly firstIndex: LogIndex
}

/** States are compared where the index is a multiple of this: a hash walks all of the state. */
const HASH_EVERY = 16

/** What one node has written, by index. */
export class LogBook {
  readonly #entries = new Map<LogIndex, { readonly term: Term; readonly hash: number }>()
  #lastIndex = 0

  appended(entries: readonly Entry[]): void {
    for (const entry of entries) {
      for (let index = entry.index + 1; index <= this.#lastIndex; index++) this.#entries.delete(index)
      this.#entries.set(entry.index, { term: entry.term, hash: contentHash(entry) })
      this.#lastIndex = entry.index
    }
  }

  /** The process came back: what a crash or a damage took is gone. */
  recovered({ firstIndex, lastIndex }: Pick<RecoveredLog, 'firstIndex' | 'lastIndex'>): void {
    for (const index of this.#entries.keys()) {
      if (index < firstIndex || index > lastIndex) this.#entries.delete(index)
    }
    this.#lastIndex = lastIndex
  }

  /** The log begins anew behind `index`, or the directory was emptied. */
  reset(index: LogIndex): void {
    this.#entries.clear()
    this.#lastIndex = index
  }

  at(index: LogIndex): { readonly term: Term; readonly hash: number } | undefined {
    return this.#entries.get(index)
  }
}

export class Oracle {
  readonly #books = new Map<string, LogBook>()
  readonly #leaders = new Map<Term, string>()
  readonly #committed = new Map<LogIndex, { readonly term: Term; readonly hash: number; readonly by: string }>()
  readonly #states = new Map<LogIndex, { readonly hash: string; readonly by: string }>()
  committedIndex = 0
  statesCompared = 0

  constructor(ids: readonly string[]) {
    for (const id of ids) this.#books.set(id, new LogBook())
  }

  /** How many terms had a leader. */
  get elections(): number {
    return this.#leaders.size
  }

  book(id: string): LogBook {
    return this.#books.get(id)!
  }

  see(id: string, life: number, before: Sighting, now: Sighting, machine: Machine): void {
    const { role, term, commitIndex, appliedIndex, firstIndex } = now
    const fell = term < before.term || commitIndex < before.commitIndex || appliedIndex < before.appliedIndex
    if (fell || appliedIndex > commitIndex) {
      const what = `${id}: ${JSON.stringify(now)} after ${JSON.stringify(before)}`
      throw new Violation('term, commit and applied index never fall', what)
    }
    if (role === 'leader') this.#leads(`${id}/${life}`, term)
    // What is committed may not have been handed to the log yet; what is applied has.
    // What came by a checkpoint was never applied here entry by entry; the states that follow tell.
    for (let index = Math.max(before.appliedIndex + 1, firstIndex); index <= appliedIndex; index++)
      this.#applies(id, index)
    if (appliedIndex > before.appliedIndex && appliedIndex % HASH_EVERY === 0) this.compare(id, machine)
  }

  /** Equal applied index, equal state. */
  compare(id: string, machine: Machine): void {
    const { appliedIndex } = machine
    const hash = machine.stateHash()
    const known = this.#states.get(appliedIndex)
    if (known === undefined) this.#states.set(appliedIndex, { hash, by: id })
    else {
      this.statesCompared++
      if (known.hash !== hash) {
        throw new Violation('equal applied means equal state', `${id} and ${known.by} differ at ${appliedIndex}`)
      }
    }
  }

  #leads(who: string, term: Term): void {
    const known = this.#leaders.get(term)
    if (known === undefined) this.#leaders.set(term, who)
    else if (known !== who) throw new Violation('one leader per term', `${known} and ${who} lead in term ${term}`)
  }

  #applies(id: string, index: LogIndex): void {
    const own = this.book(id).at(index)
    const known = this.#committed.get(index)
    // A crash may undo a reset of the log: what it had before is there again, and not in the book.
    if (own === undefined) return
    if (known === undefined) {
      this.#committed.set(index, { ...own, by: id })
      this.committedIndex = Math.max(this.committedIndex, index)
    } else if (known.term !== own.term || known.hash !== own.hash) {
      const what = `${id} applied entry ${index} of term ${own.term}, ${known.by} one of term ${known.term}`
      throw new Violation('a committed entry never changes', what)
    }
  }
}
