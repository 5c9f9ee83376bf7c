/**
 * All mutable state of one member (figure 2 of the paper), its outbox, and the transitions that every role shares.
 *
 * Never: decides by role what to do (raft.ts), does I/O, looks at a clock. Randomness comes in as a function.
 */
import { invariant } from './invariant.ts'
import { entryBytes, RaftLog } from './log.ts'
import { incarnationOf, isVoter, type Member, type Membership, MembershipHistory } from './membership.ts'
import type { Message } from './message.ts'
import type { RaftOptions, RaftTuning } from './options.ts'
import { RAFT_DEFAULTS } from './options.ts'
import type { Role } from './ports.ts'
import type { Progress } from './progress.ts'
import { type ReadAsk, ReadBook } from './reads.ts'
import type { LoadRequest, ReadResult } from './ready.ts'
import type { Entry, HardState, Incarnation, LogIndex, NodeId, Term } from './types.ts'
import { EntryType } from './types.ts'

/** How often a member that saw its leader's process die tries again soon, before it waits as for any other election. */
const FAST_ATTEMPTS_MAX = 4
/** Ticks before the first fast attempt: 1 to 5. A tie is likely enough that the next ones spread wider: 5 to 14. */
const FAST_PAUSE_TICKS = { least: 1, spread: 5 }
const FAST_RETRY_TICKS = { least: 5, spread: 10 }

export interface Vote {
  readonly granted: boolean
  readonly incarnation: Incarnation
}

/** A message as a role writes it: state.ts adds the envelope. */
type Unaddressed<M> = M extends Message ? Omit<M, 'from' | 'to' | 'fromIncarnation' | 'toIncarnation' | 'term'> : never
export type Letter = Unaddressed<Message>

/**
 * 1. The term never falls.
 * 2. A vote, once given, is constant within its term.
 * 3. At most one leader is accepted in a term (§5.2, election safety as seen from here).
 * 4. Only a leader appends without having been told to; it never cuts its own log (§5.3).
 */
export class RaftState {
  readonly id: NodeId
  readonly incarnation: Incarnation
  /** The configured members, sorted: counts only for the first election of a new cluster. */
  readonly memberIds: readonly NodeId[]
  readonly tuning: RaftTuning
  readonly mintClusterId: () => string
  readonly #random: () => number

  readonly log: RaftLog
  readonly memberships = new MembershipHistory()
  #term: Term
  #vote: NodeId | ''
  role: Role = 'follower'
  /** Who is believed to lead now. */
  leader: NodeId | undefined
  /** Who was accepted as leader in the current term, believed alive or not. Only for invariant 3. */
  #leaderOfTerm: NodeId | undefined

  /** Ticks since this process began. */
  ticks = 0
  /** Ticks since a leader was heard, a vote given or a campaign begun. */
  electionElapsed = 0
  electionTimeout = 0
  #fastAttempts = 0
  /** Elections this node has stood in (pre-votes not counted): tells tests and metrics that something happened. */
  elections = 0
  /** Answers to the running campaign. */
  readonly votes = new Map<NodeId, Vote>()

  /** The leader's: what it knows of each peer. Empty on others. */
  readonly progress = new Map<NodeId, Progress>()
  readonly reads = new ReadBook()
  /** The leader's: the first entry of its term; before it is committed nothing is counted and no read answered. */
  leadIndex: LogIndex = 0
  /** Bytes of this leadership's uncommitted entries (trap 44). */
  uncommittedBytes = 0
  heartbeatElapsed = 0
  /** There may be appends to send. */
  replicationDue = false

  messages: Message[] = []
  messagesAfterSync: Message[] = []
  readResults: ReadResult[] = []
  loads: LoadRequest[] = []

  constructor(options: RaftOptions) {
    this.id = options.id
    this.incarnation = options.incarnation
    this.memberIds = [...options.memberIds].sort()
    this.tuning = { ...RAFT_DEFAULTS, ...options.tuning }
    this.mintClusterId = options.mintClusterId
    this.#random = options.random
    const { hardState, memberships } = options.recovered
    this.#term = hardState.term
    this.#vote = hardState.vote
    this.log = new RaftLog(options.recovered, this.tuning.cacheBytesMax)
    invariant(
      this.log.lastTerm <= this.#term,
      () => `the log is of term ${this.log.lastTerm}, the hard state of ${this.#term}`,
    )
    for (const entry of memberships) this.memberships.adopt(entry)
    invariant(this.log.lastIndex === 0 || this.membership !== undefined, 'a log without a membership was recovered')
    this.resetElectionTimer()
  }

  get term(): Term {
    return this.#term
  }

  get vote(): NodeId | '' {
    return this.#vote
  }

  get hardState(): HardState {
    return { term: this.#term, vote: this.#vote, commit: this.log.commitIndex }
  }

  /** Undefined until entry 1 is held; then the cluster's first election is over, or nearly so. */
  get membership(): Membership | undefined {
    return this.memberships.current
  }

  get self(): Member {
    return { id: this.id, incarnation: this.incarnation }
  }

  /** Whether this node may stand for election: a voter, or nobody knows the voters yet. */
  get mayCampaign(): boolean {
    return this.membership === undefined || isVoter(this.membership, this.self)
  }

  isSelf(member: Member): boolean {
    return member.id === this.id && member.incarnation === this.incarnation
  }

  /** The leader's knowledge of exactly this incarnation: an answer of another one counts for nobody (trap 19). */
  progressOf(member: Member): Progress | undefined {
    const progress = this.progress.get(member.id)
    return progress?.member.incarnation === member.incarnation ? progress : undefined
  }

  /** A leader that has applied an entry of its own term: its state machine then reflects all that was committed before. */
  get isEstablished(): boolean {
    return this.role === 'leader' && this.log.appliedIndex >= this.leadIndex
  }

  /** Whether a leader is, as far as is known here, alive and followed: then nobody gets a vote (dissertation §4.2.3). */
  get inLease(): boolean {
    if (this.role === 'leader') return true
    return this.leader !== undefined && this.electionElapsed < this.tuning.electionTicks
  }

  // ---- terms and roles

  /** To a follower of `term`, whose leader is not known yet. */
  becomeFollower(term: Term): void {
    invariant(term >= this.#term, () => `invariant 1: term ${term} after ${this.#term}`)
    if (term > this.#term) {
      this.#term = term
      this.#vote = ''
      this.#leaderOfTerm = undefined
    }
    if (this.role === 'leader') this.#leaveLeadership()
    this.role = 'follower'
    this.leader = undefined
    this.votes.clear()
  }

  #leaveLeadership(): void {
    for (const ask of this.reads.abandon()) this.answerRead(ask, -1)
    this.progress.clear()
    this.loads = []
    this.replicationDue = false
    this.resetElectionTimer()
  }

  /** A message of the current term's leader has come. */
  followLeader(leader: NodeId): void {
    invariant(
      this.#leaderOfTerm === undefined || this.#leaderOfTerm === leader,
      () => `invariant 3: ${leader} leads in term ${this.#term}, so did ${this.#leaderOfTerm}`,
    )
    this.#leaderOfTerm = leader
    if (this.role !== 'follower') this.becomeFollower(this.#term)
    this.leader = leader
    this.#fastAttempts = 0
    this.resetElectionTimer()
  }

  /** Asks whether an election could be won, without disturbing anybody's term (dissertation §9.6). */
  becomePreCandidate(): void {
    invariant(this.role !== 'leader', 'a leader does not campaign')
    this.role = 'preCandidate'
    this.leader = undefined
    this.votes.clear()
    this.resetElectionTimer()
  }

  becomeCandidate(): void {
    invariant(this.role === 'preCandidate', 'a candidate has won a pre-vote')
    this.role = 'candidate'
    this.#term++
    this.#vote = this.id
    this.#leaderOfTerm = undefined
    this.votes.clear()
    this.elections++
    this.resetElectionTimer()
  }

  /** The role alone; leader.ts sets up the rest. */
  becomeLeader(): void {
    invariant(this.role === 'candidate', 'a leader was elected')
    invariant(this.#leaderOfTerm === undefined, () => `invariant 3: ${this.#leaderOfTerm} leads in term ${this.#term}`)
    this.role = 'leader'
    this.leader = this.id
    this.#leaderOfTerm = this.id
  }

  /** Gives this term's vote. It counts once it is synced: the answer that tells it waits for that (trap 1). */
  grantVote(candidate: NodeId): void {
    invariant(
      this.#vote === '' || this.#vote === candidate,
      () => `invariant 2: vote for ${candidate} in term ${this.#term} after ${this.#vote}`,
    )
    this.#vote = candidate
    this.#fastAttempts = 0
    this.resetElectionTimer()
  }

  // ---- election timer

  resetElectionTimer(): void {
    this.electionElapsed = 0
    if (this.#fastAttempts > 0) {
      this.#fastAttempts--
      this.electionTimeout = this.#ticksIn(FAST_RETRY_TICKS)
    } else {
      const { electionTicks } = this.tuning
      this.electionTimeout = this.#isAlone ? 1 : this.#ticksIn({ least: electionTicks, spread: electionTicks })
    }
  }

  /** The leader's process is gone: do not wait for its lease to run out. The pause keeps peers from campaigning at once. */
  hastenElection(): void {
    this.leader = undefined
    this.#fastAttempts = FAST_ATTEMPTS_MAX
    this.electionElapsed = 0
    this.electionTimeout = this.#ticksIn(FAST_PAUSE_TICKS)
  }

  /** Nobody else could be disturbed, so there is nothing to wait for. */
  get #isAlone(): boolean {
    const { membership } = this
    if (membership === undefined) return this.memberIds.length === 1
    return membership.voters.length === 1 && membership.votersOutgoing.length === 0
  }

  #ticksIn(range: { readonly least: number; readonly spread: number }): number {
    return range.least + Math.floor(this.#random() * range.spread)
  }

  // ---- log

  append(entries: readonly Entry[]): void {
    this.log.append(entries)
    for (const entry of entries) if (entry.type === EntryType.membership) this.memberships.adopt(entry)
  }

  truncateFrom(index: LogIndex): void {
    invariant(this.role !== 'leader', 'invariant 4: a leader never cuts its log')
    this.log.truncateFrom(index)
    this.memberships.truncateFrom(index)
  }

  /** A leader's own entry. */
  appendOwn(type: EntryType, data: Uint8Array): LogIndex {
    invariant(this.role === 'leader', 'invariant 4: only a leader appends of itself')
    const entry: Entry = { index: this.log.lastIndex + 1, term: this.#term, type, data }
    this.append([entry])
    this.uncommittedBytes += entryBytes(entry)
    this.replicationDue = true
    return entry.index
  }

  commitTo(index: LogIndex): void {
    if (this.role === 'leader') {
      for (let at = Math.max(this.log.commitIndex + 1, this.leadIndex); at <= index; at++) {
        this.uncommittedBytes -= entryBytes(this.log.entry(at)!)
      }
    }
    this.log.commitTo(index)
  }

  // ---- outbox

  /**
   * To whom messages of one's own accord go: the incarnation that the membership names. '' before there is one: only
   * the vote requests of a first election are sent so.
   */
  address(id: NodeId): Member {
    const { membership } = this
    return { id, incarnation: (membership && incarnationOf(membership, id)) ?? '' }
  }

  /**
   * Votes, requests for them and answers to appends speak of what is on the disk, so they wait for it (trap 1); refusals
   * too, since they tell a term. A real vote request waits because it tells a log end: a candidate that lost its end in a
   * crash could otherwise use votes that were given to a longer log. The rest promises nothing.
   */
  send(to: Member, letter: Letter, term = this.#term): void {
    const envelope = {
      from: this.id,
      to: to.id,
      fromIncarnation: this.incarnation,
      toIncarnation: to.incarnation,
      term,
    }
    const message: Message = { ...envelope, ...letter }
    const { type } = letter
    const promises = type === 'voteResponse' || type === 'appendResponse' || (type === 'voteRequest' && !letter.pre)
    if (promises) this.messagesAfterSync.push(message)
    else this.messages.push(message)
  }

  answerRead(ask: ReadAsk, index: LogIndex): void {
    const { requestId, from, fromIncarnation } = ask
    if (from === undefined) this.readResults.push({ requestId, index })
    else this.send({ id: from, incarnation: fromIncarnation }, { type: 'readResponse', requestId, index })
  }
}
