/**
 * Raft's promises, checked while a cluster runs: figure 3 of the paper, and what the paper takes for granted of a node
 * that crashes. It hears of every append, message, election, commit, apply and read of every node, and keeps of the whole
 * history just enough to judge the next step in constant time.
 *
 * Never: asks the code under test what it believes; a leader's word about its commit is taken as the claim to be checked.
 */
import {
  decodeMembership,
  type Entry,
  EntryType,
  type LogIndex,
  type LogStorage,
  type Membership,
  type Message,
  type NodeId,
  type Term,
} from '../../raft/index.ts'
import { commandOf } from './commands.ts'
import { contentHash, LogModel } from './log-model.ts'
import { Violation } from './violation.ts'

/** Keys of the maps pack two small numbers; beyond this a run would be endless anyway. */
const termsMax = 1 << 20

function check(holds: boolean, invariant: string, detail: () => string): void {
  if (!holds) throw new Violation(invariant, detail())
}

export class Oracle {
  readonly models = new Map<NodeId, LogModel>()
  /** What is committed, by the word of whoever said so first: row `index - 1`. */
  readonly #committedTerms: Term[] = []
  readonly #committedHashes: number[] = []
  readonly #stateHashes: number[] = []
  /** Command → the index at which it was applied. */
  readonly #commands = new Map<number, LogIndex>()
  /** Every entry that any log ever held: (index, term) → its hash and the term before it. */
  readonly #entries = new Map<number, { readonly hash: number; readonly previousTerm: Term }>()
  /** Term → who led it, as `node/life`. */
  readonly #leaders = new Map<Term, string>()
  /** Votes that were told: `voter/incarnation` → term → candidate. */
  readonly #votes = new Map<string, Map<Term, NodeId>>()
  readonly #majority: number
  /** Who belongs to the cluster, once that is applied somewhere. */
  membership: Membership | undefined

  constructor(ids: readonly NodeId[]) {
    for (const id of ids) this.models.set(id, new LogModel(id))
    this.#majority = Math.floor(ids.length / 2) + 1
  }

  get committedIndex(): LogIndex {
    return this.#committedTerms.length
  }

  /** How many terms had a leader. */
  get elections(): number {
    return this.#leaders.size
  }

  model(id: NodeId): LogModel {
    return this.models.get(id) as LogModel
  }

  /** The driver hands a batch to storage. */
  onAppend(id: NodeId, batch: Parameters<LogStorage['append']>[0]): void {
    const model = this.model(id)
    const { held } = model
    const { hardState, entries } = batch
    if (hardState !== undefined) {
      const before = held.hardState
      check(
        hardState.term >= before.term,
        'the term never falls',
        () => `${id}: ${hardState.term} after ${before.term}`,
      )
      check(
        hardState.term > before.term || before.vote === '' || hardState.vote === before.vote,
        'the vote is constant within a term',
        () => `${id} in term ${hardState.term}: '${hardState.vote}' after '${before.vote}'`,
      )
    }
    const first = entries[0]
    if (first !== undefined) this.#checkCut(model, first.index)
    const hashes = entries.map(contentHash)
    let previousTerm = first === undefined ? 0 : held.termAt(first.index - 1)
    entries.forEach((entry, at) => {
      check(
        previousTerm !== undefined,
        'a log has no gap',
        () => `${id} appends ${entry.index} after ${held.lastIndex}`,
      )
      this.#checkMatching(id, entry, hashes[at] as number, previousTerm as Term)
      previousTerm = entry.term
    })
    model.appended(batch, hashes)
  }

  /** The driver empties a log: it goes on behind a checkpoint's mark, which can only be of what is committed. */
  onReset(id: NodeId, { index, term }: Parameters<LogStorage['reset']>[0]): void {
    const model = this.model(id)
    check(
      term === this.#committedTerms[index - 1],
      'a checkpoint is of what is committed',
      () => `${id} resets its log to ${index} of term ${term}, committed there is ${this.#committedTerms[index - 1]}`,
    )
    this.#checkCut(model, index + 1)
    model.reset({ terms: this.#committedTerms.slice(0, index), hashes: this.#committedHashes.slice(0, index) })
  }

  /** A machine takes over the state of a checkpoint. */
  onRestore(id: NodeId, index: LogIndex, stateHash: number): void {
    check(
      this.#stateHashes[index - 1] === stateHash,
      'equal applied means equal state',
      () => `${id} is restored to another state at ${index}`,
    )
  }

  /** Entries at or above `index` are about to go. */
  #checkCut(model: LogModel, index: LogIndex): void {
    const { held } = model
    const last = Math.min(held.lastIndex, this.committedIndex)
    for (let cut = index; cut <= last; cut++) {
      check(
        held.termAt(cut) !== this.#committedTerms[cut - 1],
        'a committed entry is never cut',
        () => `${model.id} cuts its log at ${index}, and entry ${cut} of term ${held.termAt(cut)} is committed`,
      )
    }
  }

  /** Log matching (§5.3), by induction: an (index, term) names one entry, and one entry before it. */
  #checkMatching(id: NodeId, entry: Entry, hash: number, previousTerm: Term): void {
    const { index, term } = entry
    const key = index * termsMax + term
    const known = this.#entries.get(key)
    if (known === undefined) {
      this.#entries.set(key, { hash, previousTerm })
      return
    }
    check(
      known.hash === hash && known.previousTerm === previousTerm,
      'logs match',
      () => `${id} holds entry ${index} of term ${term} after term ${previousTerm}, others after ${known.previousTerm}`,
    )
  }

  /** What a message promises must be on the sender's disk by now (figure 2: "persistent … before responding"). */
  onSend(message: Message): void {
    const { from, to, term } = message
    const model = this.model(from)
    if (message.type === 'voteResponse' && message.granted && !message.pre) {
      this.#tellVote(from, message.fromIncarnation, term, to)
      // A later term on the disk protects the vote as well: nobody can be voted for in this one any more.
      check(
        model.syncedVotes.get(term) === to || model.synced.hardState.term > term,
        'a vote is synced before it is told',
        () => `${from} told ${to} of its vote in term ${term}, synced is '${model.syncedVotes.get(term) ?? ''}'`,
      )
    } else if (message.type === 'appendResponse' && message.success) {
      const { synced } = model
      // An answer to a deposed leader may be late: its successor may have cut what it speaks of.
      check(
        synced.hardState.term > term || (synced.hardState.term === term && synced.lastIndex >= message.index),
        'entries are synced before they are acknowledged',
        () =>
          `${from} told ${to} of ${message.index} in term ${term}, synced are ${synced.lastIndex} in ${synced.hardState.term}`,
      )
    } else if (message.type === 'appendRequest') {
      this.onCommit(from, message.commit)
    }
  }

  #tellVote(voter: NodeId, incarnation: string, term: Term, candidate: NodeId): void {
    const who = `${voter}/${incarnation}`
    let votes = this.#votes.get(who)
    if (votes === undefined) {
      votes = new Map()
      this.#votes.set(who, votes)
    }
    const before = votes.get(term)
    check(
      before === undefined || before === candidate,
      'a node votes once in a term',
      () => `${voter} voted for ${before} and for ${candidate} in term ${term}`,
    )
    votes.set(term, candidate)
  }

  /** A node leads: election safety (§5.2) and leader completeness (§5.4). */
  onLeader(id: NodeId, incarnation: string, life: number, term: Term): void {
    const who = `${id}/${life}`
    const before = this.#leaders.get(term)
    check(
      before === undefined || before === who,
      'one leader per term',
      () => `${before} and ${who} lead in term ${term}`,
    )
    if (before !== undefined) return
    this.#leaders.set(term, who)
    const { held, syncedVotes } = this.model(id)
    this.#tellVote(id, incarnation, term, id)
    check(syncedVotes.get(term) === id, 'a vote is synced before it is told', () => `${id} leads by its unsynced vote`)
    const last = this.committedIndex
    check(
      last === 0 || held.termAt(last) === this.#committedTerms[last - 1],
      'a leader holds every committed entry',
      () => `${id} leads in term ${term}; committed are ${last} entries, it holds ${held.lastIndex}`,
    )
  }

  /** A node believes that its log is committed up to `index`. */
  onCommit(id: NodeId, index: LogIndex): void {
    const { held } = this.model(id)
    const known = this.committedIndex
    if (index <= known) {
      this.#checkCommitted(id, index, held.termAt(index), held.hashes[index - 1] as number)
      return
    }
    check(index <= held.lastIndex, 'what is committed is held', () => `${id}: ${index} of ${held.lastIndex}`)
    if (known > 0) this.#checkCommitted(id, known, held.termAt(known), held.hashes[known - 1] as number)
    this.#checkSynced(index, held.termAt(index) as Term, () => `${id} committed ${index}`)
    for (const model of this.models.values()) this.#checkElectable(model, index, held.termAt(index) as Term)
    for (let row = known; row < index; row++) {
      this.#committedTerms.push(held.terms[row] as Term)
      this.#committedHashes.push(held.hashes[row] as number)
    }
  }

  #checkCommitted(id: NodeId, index: LogIndex, term: Term | undefined, hash: number): void {
    if (index === 0) return
    check(
      term === this.#committedTerms[index - 1] && hash === this.#committedHashes[index - 1],
      'a committed entry never changes',
      () => `${id} has entry ${index} of term ${term}, committed was one of term ${this.#committedTerms[index - 1]}`,
    )
  }

  #checkSynced(index: LogIndex, term: Term, what: () => string): void {
    let synced = 0
    for (const { synced: now, former } of this.models.values()) {
      if (now.termAt(index) === term || former.termAt(index) === term) synced++
    }
    check(
      synced >= this.#majority,
      'what is committed is synced on a majority',
      () => `${what()} of term ${term}, synced on ${synced} of ${this.models.size}`,
    )
  }

  /**
   * Whoever could be elected now, by the logs alone, holds what was just committed: leader completeness (§5.4.3) for all
   * elections to come, not only for those that this run will see. Figure 8 of the paper is what it rules out.
   */
  #checkElectable(candidate: LogModel, index: LogIndex, term: Term): void {
    if (candidate.held.termAt(index) === term || candidate.isReplaced) return
    const { lastIndex } = candidate.held
    const lastTerm = candidate.held.termAt(lastIndex) as Term
    let voters = 0
    for (const { synced, isReplaced } of this.models.values()) {
      const voterTerm = synced.termAt(synced.lastIndex) as Term
      const isUpToDate = lastTerm > voterTerm || (lastTerm === voterTerm && lastIndex >= synced.lastIndex)
      if (isUpToDate && !isReplaced) voters++
    }
    check(
      voters < this.#majority,
      'what is committed can no longer be lost',
      () => `${candidate.id} could be elected without entry ${index} of term ${term}: it ends in term ${lastTerm}`,
    )
  }

  /** A node has applied an entry; `stateHash` stands for the state after it. State machine safety (§5.4.3). */
  onApply(id: NodeId, entry: Entry, stateHash: number): void {
    const { index, term } = entry
    if (index > this.committedIndex) this.onCommit(id, index)
    this.#checkCommitted(id, index, term, contentHash(entry))
    const known = this.#stateHashes[index - 1]
    if (known === undefined) this.#firstApplied(entry, stateHash)
    else check(known === stateHash, 'equal applied means equal state', () => `${id} differs at ${index}`)
  }

  #firstApplied({ index, type, data }: Entry, stateHash: number): void {
    this.#stateHashes[index - 1] = stateHash
    if (type === EntryType.membership) this.membership = decodeMembership(data)
    if (type !== EntryType.command) return
    const command = commandOf(data)
    const before = this.#commands.get(command)
    check(before === undefined, 'a command is applied once', () => `command ${command} is at ${before} and at ${index}`)
    this.#commands.set(command, index)
  }

  /** Where a command was applied. */
  indexOf(command: number): LogIndex | undefined {
    return this.#commands.get(command)
  }

  /** A client is told that its command is done. */
  onAcknowledge(id: NodeId, index: LogIndex): void {
    this.#checkSynced(index, this.#committedTerms[index - 1] as Term, () => `${id} acknowledged ${index}`)
  }

  /** Storage gives back what the log held when it was asked; `cuts`: how often the log had been cut by then. */
  onRead(id: NodeId, entries: readonly Entry[], cuts: number): void {
    const model = this.model(id)
    const { held } = model
    for (const entry of entries) {
      const { index, term } = entry
      const hash = contentHash(entry)
      const isHeld = held.termAt(index) === term && held.hashes[index - 1] === hash
      check(
        isHeld || (model.cuts > cuts && this.#entries.get(index * termsMax + term)?.hash === hash),
        'the log gives back what it was given',
        () => `${id} read entry ${index} of term ${term}, held is term ${held.termAt(index)}`,
      )
    }
  }

  /** A linearizable read may go on at `applied`; `floor` was committed when it was asked for. */
  onReadIndex(id: NodeId, floor: LogIndex, applied: LogIndex): void {
    check(
      applied >= floor,
      'a read sees what was committed before it began',
      () => `${id} reads at ${applied}, and ${floor} was committed before`,
    )
  }
}
