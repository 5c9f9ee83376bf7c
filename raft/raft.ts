/**
 * The pure core of one Raft member: messages and ticks go in, a Ready comes out (Ongaro & Ousterhout 2014; Ongaro's
 * dissertation for PreVote, CheckQuorum and ReadIndex).
 *
 * The only file that decides by role who handles what. Same state and same input give the same output.
 *
 * Never: clock, dice, disk, sockets, promises.
 */
import { campaign, countOwnVote, handleVoteResponse, takeOver } from './candidate.ts'
import * as follower from './follower.ts'
import * as install from './install.ts'
import * as leader from './leader.ts'
import { isImpostor } from './membership.ts'
import { type ChangeRefusal, changeMembership, type MembershipChange, remind } from './membership-change.ts'
import type { Message } from './message.ts'
import type { RaftOptions } from './options.ts'
import type { RoleChange, SnapshotMark } from './ports.ts'
import type { LoadRequest, PersistToken, Ready } from './ready.ts'
import { RaftState } from './state.ts'
import { type RaftStatus, statusOf } from './status.ts'
import { beginTransfer } from './transfer.ts'
import type { Entry, HardState, LogIndex, NodeId, Term } from './types.ts'

/** Where a proposal was put. It is committed if an entry of this index *and* this term is applied (trap 47). */
export interface Proposed {
  readonly term: Term
  readonly index: LogIndex
}

export class Raft {
  readonly #state: RaftState
  /** What storage was given last. */
  #savedHardState: HardState
  /** Up to here `committed` was handed out. */
  #handedCommit: LogIndex
  #toldRole: RoleChange

  constructor(options: RaftOptions) {
    const { id, memberIds } = options
    if (!memberIds.includes(id)) throw new TypeError(`member ${id} is not in its own list of members`)
    if (new Set(memberIds).size < memberIds.length) throw new TypeError('a member is listed twice')
    this.#state = new RaftState(options)
    this.#savedHardState = options.recovered.hardState
    this.#handedCommit = this.#state.checkpointIndex
    this.#toldRole = this.#roleNow()
  }

  // ---- input

  /** Takes a message, whoever it is for: what is not for this incarnation, or not from a member's, is dropped. */
  step(message: Message): void {
    const state = this.#state
    if (!this.#isForUs(message) || this.#isFromImpostor(message)) return
    if (message.type === 'voteRequest' && state.role === 'leader') remind(state, message)
    if (message.term > state.term && !this.#takeTerm(message)) return
    // A read request is answered whatever its term: it asks about now.
    if (message.term < state.term && message.type !== 'readRequest') follower.answerStale(state, message)
    else this.#handle(message)
  }

  /** '' is accepted only from those who cannot know better: candidates of a cluster's first election. */
  #isForUs(message: Message): boolean {
    const { id, incarnation } = this.#state.self
    if (message.to !== id || message.from === id) return false
    if (message.toIncarnation === incarnation) return true
    return message.toIncarnation === '' && message.type === 'voteRequest' && message.bootstrap !== undefined
  }

  /** A leader is believed without that: a majority elected it, perhaps under a membership that is not held here yet. */
  #isFromImpostor(message: Message): boolean {
    if (message.type === 'appendRequest' || message.type === 'heartbeat' || message.type === 'installRequest')
      return false
    // Votes are judged by logs and terms, whoever asks: this node may not know the newest members (dissertation §4.2.2).
    if (message.type === 'voteRequest' && message.bootstrap === undefined) return false
    const { membership } = this.#state
    return membership !== undefined && isImpostor(membership, follower.senderOf(message))
  }

  /** A message of a later term is here (§5.1). False if it is to be ignored. */
  #takeTerm(message: Message): boolean {
    const state = this.#state
    if (message.type === 'voteRequest') {
      // Whoever hears a leader helps nobody to replace it, nor lets itself be disturbed (trap 8), unless the leader asked for it.
      if (state.inLease && message.transfer === undefined) return false
      if (message.pre) return true
    }
    // A granted pre-vote tells the term that the vote would be for; nobody is there yet.
    const isPromise = message.type === 'voteResponse' && message.pre && message.granted
    if (!isPromise) state.becomeFollower(message.term)
    return true
  }

  #handle(message: Message): void {
    const state = this.#state
    const isLeader = state.role === 'leader'
    switch (message.type) {
      case 'voteRequest':
        return follower.handleVoteRequest(state, message)
      case 'voteResponse':
        if (handleVoteResponse(state, message)) leader.lead(state)
        return
      case 'appendRequest':
        state.followLeader(follower.senderOf(message))
        return follower.handleAppend(state, message)
      case 'heartbeat':
        state.followLeader(follower.senderOf(message))
        return follower.handleHeartbeat(state, message)
      case 'appendResponse':
        if (isLeader) leader.handleAppendResponse(state, message)
        return
      case 'heartbeatResponse':
        if (isLeader) leader.handleHeartbeatResponse(state, message)
        return
      case 'readRequest':
        if (isLeader) return leader.handleReadRequest(state, message)
        return follower.refuseRead(state, message)
      case 'readResponse':
        return follower.handleReadResponse(state, message)
      case 'installRequest':
        state.followLeader(follower.senderOf(message))
        return install.handleInstall(state, message)
      case 'timeoutNow':
        return takeOver(state, follower.senderOf(message))
    }
  }

  /** A tick of time has passed. After a stall the driver calls once, however long it was (trap 46). */
  tick(): void {
    const state = this.#state
    state.ticks++
    if (state.role === 'leader') leader.tickLeader(state)
    else if (state.timer.tick()) campaign(state)
  }

  /** Undefined: refused without effect, since this node does not lead or too much is uncommitted. Keeps `data`. */
  propose(data: Uint8Array): Proposed | undefined {
    const state = this.#state
    if (state.role !== 'leader') return undefined
    const index = leader.proposeCommand(state, data)
    return index === undefined ? undefined : { term: state.term, index }
  }

  /** See changeMembership() in membership-change.ts. The change is done when the newest membership is committed and not joint. */
  changeMembership(change: MembershipChange): Proposed | ChangeRefusal {
    const index = changeMembership(this.#state, change)
    return typeof index === 'string' ? index : { term: this.#state.term, index }
  }

  /** Begins to hand leadership over, see transfer.ts. False: not begun. Whether it worked, the change of leadership tells. */
  transferLeadership(to?: NodeId): boolean {
    return beginTransfer(this.#state, to)
  }

  /**
   * Asks how far must be applied before a linearizable read. Some Ready's `reads` will answer, or never, if messages are
   * lost. Ids must not repeat, not even across restarts: a late answer would be taken for a new one's (trap 10).
   */
  readIndex(requestId: number): void {
    if (this.#state.role === 'leader') leader.askRead(this.#state, requestId, undefined)
    else follower.askLeader(this.#state, requestId)
  }

  /**
   * Evidence that a peer's process is gone: no link to it is open and its port refuses. May be repeated. A follower of it
   * forgets it, so that it neither waits for its lease to end nor refuses others its vote.
   */
  peerDown(id: NodeId): void {
    const state = this.#state
    if (state.role === 'leader') leader.restartPeer(state, id)
    else if (state.leader === id) state.forgetLeader()
  }

  /** A link to the peer is open (again): what was sent before may not have arrived. */
  peerUp(id: NodeId): void {
    if (this.#state.role === 'leader') leader.restartPeer(this.#state, id)
  }

  /** The ready that carried this token, and all before it, are synced. */
  persisted(token: PersistToken): void {
    const state = this.#state
    // A ready of the newer term is on its way to the disk and will tell more than this one (trap 5).
    if (token.term !== state.term) return
    state.log.persistedTo(token.lastIndex, token.lastTerm)
    if (state.role === 'leader') leader.noticeSynced(state)
    else if (state.role === 'candidate' && countOwnVote(state)) leader.lead(state)
  }

  /** The state machine has applied everything up to `index`. */
  applied(index: LogIndex): void {
    this.#state.log.appliedTo(index)
  }

  /** Storage has read what a Ready's `loads` asked for. */
  loaded(request: LoadRequest, entries: readonly Entry[]): void {
    leader.handleLoaded(this.#state, request, entries)
  }

  // ---- checkpoints

  /** Names the state machine's state after the applied entry `index`, which the log must not have forgotten. */
  mark(index: LogIndex): SnapshotMark {
    return install.markOf(this.#state, index)
  }

  /** A checkpoint of this state machine is durable; its log is synced that far. Peers that need one are offered this. */
  checkpointed(mark: SnapshotMark): void {
    install.takeCheckpoint(this.#state, mark)
  }

  /** Forgets the log up to `index`, at or below that of the newest checkpoint. */
  compact(index: LogIndex): void {
    install.compact(this.#state, index)
  }

  /**
   * The checkpoint that a leader offered is durable here. True: the log goes on behind it; replace the state machine now. False:
   * the log holds that entry or has passed it, and nothing is to be replaced.
   */
  installed(mark: SnapshotMark): boolean {
    if (!install.install(this.#state, mark)) return false
    this.#handedCommit = mark.index
    return true
  }

  // ---- output

  hasReady(): boolean {
    const state = this.#state
    const { log } = state
    return (
      !state.outbox.isEmpty ||
      log.handedIndex < log.lastIndex ||
      log.isResetUnhanded ||
      log.commitIndex > this.#handedCommit ||
      this.#isVoteUnsaved ||
      this.#isRoleUntold ||
      (state.role === 'leader' && (state.replicationDue || leader.isReadRoundDue(state)))
    )
  }

  /** Takes what is to be done; it counts as begun. Readies are to be carried out in the order in which they were taken. */
  ready(): Ready {
    const state = this.#state
    if (state.role === 'leader') {
      if (leader.isReadRoundDue(state)) leader.beginReadRound(state)
      if (state.replicationDue) leader.replicate(state)
    }
    const reset = state.log.takeReset()
    const entries = state.log.takeUnhanded()
    const hardState = this.#takeHardState(entries.length > 0)
    const { term, log } = state
    const hasWrite = reset !== undefined || hardState !== undefined || entries.length > 0
    return {
      reset,
      hardState,
      entries,
      token: hasWrite ? { term, lastIndex: log.lastIndex, lastTerm: log.lastTerm } : undefined,
      ...state.outbox.take(),
      committed: this.#takeCommitted(),
      leadership: this.#takeRole(),
    }
  }

  get #isVoteUnsaved(): boolean {
    return this.#savedHardState.term !== this.#state.term || this.#savedHardState.vote !== this.#state.vote
  }

  /** The commit index alone is not worth a sync: it rides with the next write. */
  #takeHardState(hasEntries: boolean): HardState | undefined {
    const { hardState } = this.#state
    const isCommitUnsaved = hardState.commit > this.#savedHardState.commit
    if (!this.#isVoteUnsaved && !(hasEntries && isCommitUnsaved)) return undefined
    this.#savedHardState = hardState
    return hardState
  }

  #takeCommitted(): Ready['committed'] {
    const last = this.#state.log.commitIndex
    if (last === this.#handedCommit) return undefined
    const first = this.#handedCommit + 1
    this.#handedCommit = last
    return { first, last }
  }

  #roleNow(): RoleChange {
    const { role, term, leader, isEstablished: established } = this.#state
    return { role, term, leader, established }
  }

  get #isRoleUntold(): boolean {
    const { role, term, leader, isEstablished } = this.#state
    const told = this.#toldRole
    return told.role !== role || told.term !== term || told.leader !== leader || told.established !== isEstablished
  }

  #takeRole(): RoleChange | undefined {
    if (!this.#isRoleUntold) return undefined
    this.#toldRole = this.#roleNow()
    return this.#toldRole
  }

  // ---- questions

  get commitIndex(): LogIndex {
    return this.#state.log.commitIndex
  }

  get appliedIndex(): LogIndex {
    return this.#state.log.appliedIndex
  }

  /** From memory; undefined for an entry that only storage still holds, or nobody. */
  entry(index: LogIndex): Entry | undefined {
    return this.#state.log.entry(index)
  }

  /** Consecutive entries from memory, at least one, stopping before `bytesMax` is passed; undefined if not in memory. */
  entriesFrom(from: LogIndex, bytesMax: number): Entry[] | undefined {
    return this.#state.log.entriesFrom(from, bytesMax)
  }

  status(): RaftStatus {
    return statusOf(this.#state)
  }
}
