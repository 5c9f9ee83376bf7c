/**
 * All mutable state of one member (figure 2 of the paper), and the transitions that every role shares.
 *
 * Never: decides by role what to do (raft.ts), does I/O, looks at a clock. Randomness comes in as a function.
 */
import { ElectionTimer } from './election-timer.ts'
import { invariant } from './invariant.ts'
import { entryBytes, RaftLog } from './log.ts'
import { isAmong, isSameMember, isVoter, type Member, type Membership, MembershipHistory } from './membership.ts'
import { RAFT_DEFAULTS, type RaftOptions, type RaftTuning } from './options.ts'
import { type Letter, Outbox } from './outbox.ts'
import type { Role, SnapshotMark } from './ports.ts'
import type { Progress } from './progress.ts'
import type { Electorate } from './quorum.ts'
import { type ReadAsk, ReadBook } from './reads.ts'
import { type Entry, EntryType, type HardState, type LogIndex, type NodeId, type Term } from './types.ts'

/** How somebody answered the running campaign. */
export interface Vote {
  readonly voter: Member
  readonly granted: boolean
  /** What the voter told of its memory. */
  readonly doubt: number
}

/** A hand-over of leadership that is under way. */
interface Transfer {
  readonly to: Member
  /** When it is given up. */
  readonly deadlineTick: number
  /** When the target was told last; it is told again now and then, since messages are lost. */
  readonly toldTick: number
}

/**
 * 1. The term never falls.
 * 2. A vote, once given, is constant within its term.
 * 3. At most one leader is accepted in a term (§5.2, election safety as seen from here).
 * 4. Only a leader appends without having been told to; it never cuts its own log (§5.3).
 */
export class RaftState {
  readonly self: Member
  /** The configured members, sorted: counts only for the first election of a new cluster. */
  readonly memberIds: readonly NodeId[]
  readonly tuning: RaftTuning
  readonly mintClusterId: () => string
  /** Of the data directory, whatever is left in the log. */
  readonly founded: boolean
  readonly log: RaftLog
  readonly memberships = new MembershipHistory()
  readonly timer: ElectionTimer
  readonly outbox = new Outbox()

  /** Invariant 1. */
  #term: Term
  /** '' for nobody. Invariant 2. */
  #vote: NodeId | ''
  /** The very member, if the vote was given in this process's life. */
  #votedFor: Member | undefined
  #role: Role = 'follower'
  /** Who is believed to lead now. */
  #leader: Member | undefined
  /** Who was accepted as leader in the current term, believed alive or not. Invariant 3. */
  #leaderOfTerm: NodeId | undefined
  /** The newest durable checkpoint of the state machine. Invariant: the log begins behind it or earlier. */
  checkpoint: SnapshotMark | undefined
  /** Not 0: this node may have forgotten promises that it had synced (doubt.ts). */
  #doubt: number
  /** Ticks since this process began. */
  ticks = 0
  /** Elections this node has stood in, pre-votes not counted: tells tests and metrics that something happened. */
  elections = 0
  /** Answers to the running campaign, and how the last one that was won was answered. */
  votes: readonly Vote[] = []

  /** The leader's: what it knows of each peer that gets the log. Empty on others. */
  progress: readonly Progress[] = []
  /** The leader's: those who count, by what it knows of them; undefined stands for itself. Invariant: follows the membership. */
  electorate: Electorate<Progress | undefined> = { voters: [], votersOutgoing: [] }
  /** The leader's: to whom it is handing over. */
  transfer: Transfer | undefined
  readonly reads = new ReadBook()
  /** The leader's: the first entry of its term. Before it is committed nothing is counted and no read answered. */
  leadIndex: LogIndex = 0
  /** The leader's: bytes of its own uncommitted entries (trap 44). */
  uncommittedBytes = 0
  heartbeatElapsedTicks = 0
  /** The leader's: there may be appends to send. */
  replicationDue = false

  constructor(options: RaftOptions) {
    const { checkpoint } = options
    const { hardState, memberships } = options.recovered
    this.self = { id: options.id, incarnation: options.incarnation }
    this.memberIds = [...options.memberIds].sort()
    this.tuning = { ...RAFT_DEFAULTS, ...options.tuning }
    this.mintClusterId = options.mintClusterId
    this.founded = options.founded === true
    this.timer = new ElectionTimer(this.tuning.electionTicks, options.random)
    // A node in doubt may have an older version of entries that were replaced: what is said to be committed may be of the newer.
    this.#doubt = options.doubt ?? 0
    const commit = this.#doubt === 0 ? hardState.commit : 0
    const recovered = { ...options.recovered, hardState: { ...hardState, commit } }
    this.log = new RaftLog(recovered, this.tuning.cacheBytesMax, checkpoint)
    this.checkpoint = checkpoint
    // An installed checkpoint lies in another store than the hard state, and may have been synced before that told its term.
    // And a node in doubt may have lost the record of the term of its last entries.
    const termSeen = this.#doubt === 0 ? (checkpoint?.term ?? 0) : this.log.lastTerm
    this.#term = Math.max(hardState.term, termSeen)
    this.#vote = termSeen > hardState.term ? '' : hardState.vote
    if (checkpoint !== undefined) this.memberships.adopt(checkpoint.membership)
    const known = checkpoint?.membership.index ?? 0
    for (const entry of memberships) if (entry.index > known) this.memberships.adopt(entry)
    const { lastIndex, lastTerm } = this.log
    invariant(
      lastTerm <= this.#term,
      () => `the log ends in term ${lastTerm}, the hard state in ${this.#term} (trap 2)`,
    )
    invariant(lastIndex === 0 || this.membership !== undefined, 'a log without a membership was recovered')
    if (this.#isAlone) this.timer.expire()
  }

  get term(): Term {
    return this.#term
  }

  get votedFor(): Member | undefined {
    return this.#votedFor
  }

  get vote(): NodeId | '' {
    return this.#vote
  }

  get role(): Role {
    return this.#role
  }

  get leader(): NodeId | undefined {
    return this.#leader?.id
  }

  /** The leader as it was heard: it may be a member that the log held here does not list yet. */
  get leaderMember(): Member | undefined {
    return this.#leader
  }

  get doubt(): number {
    return this.#doubt
  }

  /** What this node may have forgotten counts no more. */
  endDoubt(): void {
    this.outbox.trusted = this.#doubt
    this.#doubt = 0
  }

  get hardState(): HardState {
    return { term: this.#term, vote: this.#vote, commit: this.log.commitIndex }
  }

  /** Undefined until entry 1 is held; then the cluster's first election is over, or nearly so. */
  get membership(): Membership | undefined {
    return this.memberships.current
  }

  get checkpointIndex(): LogIndex {
    return this.checkpoint?.index ?? 0
  }

  /**
   * Whether this node may stand for election: a voter, or nobody knows the voters yet, unless the log was lost with them. Also one
   * whose removal is not known to be committed, without a vote of its own: its log may be the only one that can win, while the
   * membership of before needs its vote (dissertation §4.2.2).
   */
  get mayCampaign(): boolean {
    const { membership, memberships } = this
    if (membership === undefined) return !this.founded
    if (isVoter(membership, this.self)) return true
    if (isAmong(membership.learners, this.self)) return false
    const isPending = memberships.currentIndex > this.log.commitIndex && this.#doubt === 0
    return isPending && memberships.former !== undefined && isVoter(memberships.former, this.self)
  }

  /** A leader that has applied an entry of its own term: its state machine reflects all that was committed before. */
  get isEstablished(): boolean {
    return this.#role === 'leader' && this.log.appliedIndex >= this.leadIndex
  }

  /** Whether a leader is, as far as is known here, alive and followed: then nobody gets a vote (dissertation §4.2.3). */
  get inLease(): boolean {
    if (this.#role === 'leader') return true
    return this.#leader !== undefined && this.timer.elapsedTicks < this.tuning.electionTicks
  }

  /** Nobody else could be disturbed by an election, so there is nothing to wait for. */
  get #isAlone(): boolean {
    const { membership } = this
    if (membership === undefined) return this.memberIds.length === 1
    return membership.voters.length === 1 && membership.votersOutgoing.length === 0
  }

  isSelf(member: Member): boolean {
    return isSameMember(member, this.self)
  }

  /** The leader's knowledge of exactly this incarnation: an answer of another one counts for nobody (trap 19). */
  progressOf(member: Member): Progress | undefined {
    return this.progress.find((progress) => isSameMember(progress.member, member))
  }

  // ---- terms and roles

  /** To a follower of `term`, whose leader is not known yet. */
  becomeFollower(term: Term): void {
    invariant(term >= this.#term, () => `invariant 1: term ${term} after ${this.#term}`)
    if (term > this.#term) {
      this.#term = term
      this.#vote = ''
      this.#votedFor = undefined
      this.#leaderOfTerm = undefined
    }
    if (this.#role === 'leader') this.#leaveLeadership()
    this.#role = 'follower'
    this.#leader = undefined
  }

  #leaveLeadership(): void {
    for (const ask of this.reads.abandon()) this.answerRead(ask, -1)
    this.progress = []
    this.electorate = { voters: [], votersOutgoing: [] }
    this.transfer = undefined
    this.outbox.loads = []
    this.replicationDue = false
    this.timer.calm()
  }

  /** A message of the current term's leader has come. */
  followLeader(leader: Member): void {
    const known = this.#leaderOfTerm ?? leader.id
    invariant(known === leader.id, () => `invariant 3: ${known} and ${leader.id} lead in term ${this.#term}`)
    this.becomeFollower(this.#term)
    this.#leaderOfTerm = leader.id
    this.#leader = leader
    this.timer.calm()
  }

  /** The leader's process is gone: wait for its lease no longer, nor hold others to it. */
  forgetLeader(): void {
    invariant(this.#role !== 'leader', 'a leader does not forget itself')
    this.#leader = undefined
    this.timer.hasten()
  }

  /** Asks whether an election could be won, without disturbing anybody's term (dissertation §9.6). */
  becomePreCandidate(): void {
    invariant(this.#role !== 'leader', 'a leader does not campaign')
    this.#role = 'preCandidate'
    this.#leader = undefined
    this.votes = []
    this.timer.campaign()
  }

  /** Votes for itself in a new term; that counts once it is synced. */
  becomeCandidate(): void {
    invariant(this.#role === 'preCandidate', 'a candidate has won a pre-vote')
    this.#role = 'candidate'
    this.#term++
    this.#vote = this.self.id
    this.#votedFor = this.self
    this.#leaderOfTerm = undefined
    this.votes = []
    this.elections++
  }

  /** The role alone; leader.ts sets up the rest. */
  becomeLeader(): void {
    const known = this.#leaderOfTerm
    invariant(this.#role === 'candidate', 'a leader was elected')
    invariant(known === undefined, () => `invariant 3: elected in term ${this.#term}, where ${known} leads`)
    this.#role = 'leader'
    this.#leader = this.self
    this.#leaderOfTerm = this.self.id
  }

  /** Gives this term's vote. It counts once it is synced: the answer that tells it waits for that (trap 1). */
  grantVote(candidate: Member): void {
    const given = this.#vote === '' ? candidate.id : this.#vote
    invariant(given === candidate.id, () => `invariant 2: voted for ${given} and ${candidate.id} in term ${this.#term}`)
    this.#vote = candidate.id
    this.#votedFor = candidate
    this.timer.calm()
  }

  // ---- log

  append(entries: readonly Entry[]): void {
    this.log.append(entries)
    for (const entry of entries) if (entry.type === EntryType.membership) this.memberships.adopt(entry)
  }

  truncateFrom(index: LogIndex): void {
    invariant(this.#role !== 'leader', 'invariant 4: a leader never cuts its log')
    this.log.truncateFrom(index)
    this.memberships.truncateFrom(index)
  }

  /** A leader's own entry. */
  appendOwn(type: EntryType, data: Uint8Array): LogIndex {
    invariant(this.#role === 'leader', 'invariant 4: only a leader appends of itself')
    const entry: Entry = { index: this.log.lastIndex + 1, term: this.#term, type, data }
    this.append([entry])
    this.uncommittedBytes += entryBytes(entry)
    this.replicationDue = true
    return entry.index
  }

  // ---- outbox

  send(to: Member, letter: Letter, term = this.#term): void {
    const from = this.self
    const envelope = {
      from: from.id,
      to: to.id,
      fromIncarnation: from.incarnation,
      toIncarnation: to.incarnation,
      term,
    }
    this.outbox.post({ ...envelope, ...letter })
  }

  /** -1: this node cannot tell. */
  answerRead(ask: ReadAsk, index: LogIndex): void {
    const { requestId, from } = ask
    if (from === undefined) this.outbox.reads.push({ requestId, index })
    else this.send(from, { type: 'readResponse', requestId, index })
  }
}
