/**
 * What the leader does: replicates, counts, commits, keeps its lease and answers ReadIndex (§5.3, §5.4; dissertation
 * §6.2, §6.4, §10.2.1).
 *
 * Never: waits for its own disk before it sends (trap 4), commits by counting what is not of its term (trap 3), or tells
 * a peer of commits that this peer may not hold (trap 6).
 */
import { hearDoubt, rememberDoubts, settleDoubt, settleOwnDoubt } from './doubt.ts'
import { senderOf } from './follower.ts'
import { offerCheckpoint } from './install.ts'
import { invariant } from './invariant.ts'
import { entryBytes } from './log.ts'
import type { Member, Membership } from './membership.ts'
import { appendMembership, concludeChange, endFarewells, enlist, isDismissed } from './membership-change.ts'
import type { AppendResponse, HeartbeatResponse, ReadRequest } from './message.ts'
import type { Progress } from './progress.ts'
import { reachedByQuorum } from './quorum.ts'
import type { LoadRequest } from './ready.ts'
import type { RaftState } from './state.ts'
import { beginTransfer, expireTransfer, pursueTransfer } from './transfer.ts'
import type { Entry, LogIndex } from './types.ts'
import { EntryType } from './types.ts'

const NO_DATA = new Uint8Array(0)

/** The election is won: append an entry of the own term, a no-op or, in a new cluster, entry 1 (§8, trap 3). */
export function lead(state: RaftState): void {
  const founding = state.membership === undefined ? foundingMembership(state) : undefined
  state.becomeLeader()
  state.heartbeatElapsedTicks = 0
  state.uncommittedBytes = 0
  state.leadIndex = state.log.lastIndex + 1
  if (founding === undefined) {
    state.appendOwn(EntryType.noop, NO_DATA)
    enlist(state)
  } else appendMembership(state, founding)
  rememberDoubts(state)
}

/** What entry 1 records: the unanimous voters of the founding election as they answered. */
function foundingMembership(state: RaftState): Membership {
  const voters = state.memberIds.map((id) => state.votes.find(({ voter }) => voter.id === id)!.voter)
  return { clusterId: state.mintClusterId(), voters, votersOutgoing: [], learners: [] }
}

/** One tick: keeps the lease and the heartbeat. A leader that was removed hands over, or goes without that (trap 20). */
export function tickLeader(state: RaftState): void {
  // CheckQuorum (trap 8): proposals end with the lease as well, since a follower takes none (trap 9).
  const heard = quorumOf(state, state.ticks, (progress) => progress.heardTick)
  if (state.ticks - heard > state.tuning.electionTicks) {
    state.becomeFollower(state.term)
    return
  }
  const isTransferOver = expireTransfer(state)
  if (isDismissed(state) && (isTransferOver || !beginTransfer(state))) {
    state.becomeFollower(state.term)
    return
  }
  endFarewells(state)
  if (++state.heartbeatElapsedTicks >= state.tuning.heartbeatTicks) sendHeartbeats(state)
}

function sendHeartbeats(state: RaftState): void {
  state.heartbeatElapsedTicks = 0
  const { commitIndex } = state.log
  for (const progress of state.progress) {
    const commit = Math.min(progress.matchIndex, commitIndex)
    progress.commitTold = Math.max(progress.commitTold, commit)
    const trusted = settleDoubt(state, progress)
    state.send(progress.member, { type: 'heartbeat', commit, round: state.reads.lastRound, trusted })
  }
}

/** The greatest value that a quorum has reached, with `own` as this node's, if it is a voter. A peer in doubt has reached nothing. */
function quorumOf(state: RaftState, own: number, reachedBy: (progress: Progress) => number): number {
  return reachedByQuorum(state.electorate, (progress) => {
    if (progress === undefined) return own
    return progress.counts ? reachedBy(progress) : Number.NEGATIVE_INFINITY
  })
}

// ---- proposals and commits

/**
 * The new entry's index; undefined while leadership is handed over, when too much is uncommitted already, or when the own disk
 * is so far behind the others that the unsynced fill the memory (trap 44). An entry is let in, whatever its size, when nothing else is uncommitted.
 */
export function proposeCommand(state: RaftState, data: Uint8Array): LogIndex | undefined {
  const { uncommittedBytes, log } = state
  const { uncommittedBytesMax, cacheBytesMax } = state.tuning
  if (state.transfer !== undefined) return undefined
  if (uncommittedBytes > 0 && uncommittedBytes + data.length > uncommittedBytesMax) return undefined
  if (log.memoryBytes > 2 * cacheBytesMax + uncommittedBytesMax) return undefined
  return state.appendOwn(EntryType.command, data)
}

/** Commits what a quorum holds. The own log counts as far as it is synced (trap 4), older terms only through ours (trap 3). */
function advanceCommit(state: RaftState): void {
  const { log } = state
  const index = quorumOf(state, log.persistedIndex, (progress) => progress.matchIndex)
  if (index <= log.commitIndex || index < state.leadIndex) return
  const firstOwn = Math.max(log.commitIndex + 1, state.leadIndex)
  for (let at = firstOwn; at <= index; at++) state.uncommittedBytes -= entryBytes(log.entry(at)!)
  log.commitTo(index)
  state.replicationDue = true
  settleOwnDoubt(state)
  concludeChange(state)
}

/** The own log is synced further. The others may have committed before that what ends this node's doubt. */
export function noticeSynced(state: RaftState): void {
  advanceCommit(state)
  settleOwnDoubt(state)
}

// ---- replication

/** Sends to each peer what it may get now. Called once a turn, so that entries of one turn share an append. */
export function replicate(state: RaftState): void {
  state.replicationDue = false
  for (const progress of state.progress) replicateTo(state, progress)
}

function replicateTo(state: RaftState, progress: Progress): void {
  const { log, tuning } = state
  if (progress.nextIndex <= Math.max(log.baseIndex, progress.unreadableIndex)) {
    offerCheckpoint(state, progress)
    return
  }
  while (progress.maySend && progress.nextIndex <= log.lastIndex) {
    const entries = log.entriesFrom(progress.nextIndex, tuning.appendBytesMax)
    if (entries !== undefined) sendAppend(state, progress, entries)
    else if (progress.mode === 'probe') sendAppend(state, progress, [])
    else requestLoad(state, progress)
  }
  if (progress.mode === 'probe') {
    if (progress.maySend) sendAppend(state, progress, [])
  } else if (Math.min(log.commitIndex, progress.nextIndex - 1) > progress.commitTold) {
    // Nothing carried the new commit index, and this peer's clients wait for it: tell it alone.
    sendAppend(state, progress, [])
  }
}

function requestLoad(state: RaftState, progress: Progress): void {
  progress.loading = true
  state.outbox.loads.push({
    peer: progress.member,
    term: state.term,
    from: progress.nextIndex,
    bytesMax: state.tuning.appendBytesMax,
  })
}

/** The driver has read what requestLoad() asked for. */
export function handleLoaded(state: RaftState, request: LoadRequest, entries: readonly Entry[]): void {
  const progress = state.progressOf(request.peer)
  if (progress === undefined || state.term !== request.term) return
  progress.loading = false
  state.replicationDue = true
  // The peer may have been restarted or heard meanwhile: then the next turn begins where it stands now. Or the log has forgotten
  // these entries, read or not, and with them the term that an append would have to name.
  if (progress.nextIndex !== request.from || !progress.maySend || request.from <= state.log.baseIndex) return
  // Rot of what a checkpoint reflects is no reason to stop; of what none reflects storage would have said so (trap 22).
  if (entries.length === 0 && request.from <= state.checkpointIndex) {
    progress.lack(request.from)
    return
  }
  invariant(entries[0]?.index === request.from, () => `storage read ${entries[0]?.index} for ${request.from}`)
  sendAppend(state, progress, entries)
}

function sendAppend(state: RaftState, progress: Progress, entries: readonly Entry[]): void {
  const { log } = state
  const prevIndex = progress.nextIndex - 1
  const prevTerm = log.termAt(prevIndex)
  invariant(
    prevTerm !== undefined,
    () => `next is ${progress.nextIndex}, the log has ${log.baseIndex} to ${log.lastIndex}`,
  )
  const commit = log.commitIndex
  let bytes = 0
  for (const entry of entries) bytes += entryBytes(entry)
  progress.sent(prevIndex + entries.length, bytes)
  progress.commitTold = commit
  state.send(progress.member, { type: 'appendRequest', prevIndex, prevTerm, entries, commit })
}

/**
 * Any answer of the current term proves the peer alive. Undefined: not a member, another incarnation (trap 19), or said in a life
 * whose promises the peer may have forgotten.
 */
function hear(state: RaftState, message: AppendResponse | HeartbeatResponse): Progress | undefined {
  const progress = state.progressOf(senderOf(message))
  if (progress === undefined || !hearDoubt(state, progress, message.doubt)) return undefined
  progress.heardTick = state.ticks
  return progress
}

export function handleAppendResponse(state: RaftState, message: AppendResponse): void {
  const progress = hear(state, message)
  if (progress === undefined) return
  state.replicationDue = true
  if (message.success) {
    invariant(
      message.index <= state.log.lastIndex,
      () => `${message.from} holds ${message.index} of this leader's term`,
    )
    if (!progress.accepted(message.index, state.log.baseIndex)) return
    settleDoubt(state, progress)
    advanceCommit(state)
    pursueTransfer(state)
  } else {
    const next = state.log.lastIndexWithTermAtMost(message.hintIndex, message.hintTerm) + 1
    progress.refused(message.index, next, state.log.baseIndex)
  }
}

export function handleHeartbeatResponse(state: RaftState, message: HeartbeatResponse): void {
  const progress = hear(state, message)
  if (progress === undefined) return
  state.replicationDue = true
  progress.probeSent = false
  // If everything in the window was lost nobody would ever say so: an empty append at its end finds out (trap 14).
  const isEndKnown = progress.nextIndex > state.log.baseIndex
  const isWaiting = progress.mode === 'replicate' && progress.matchIndex < progress.nextIndex - 1
  if (isWaiting && isEndKnown) sendAppend(state, progress, [])
  progress.confirmedRound = Math.max(progress.confirmedRound, message.round)
  confirmReads(state)
  pursueTransfer(state)
}

/** The link to a peer was lost or is new: what was under way may not have arrived. */
export function restartPeer(state: RaftState, peer: Member['id']): void {
  for (const progress of state.progress) if (progress.member.id === peer) progress.restart()
  if (state.transfer?.to.id === peer) state.transfer = undefined
  state.replicationDue = true
}

// ---- ReadIndex

export function handleReadRequest(state: RaftState, message: ReadRequest): void {
  askRead(state, message.requestId, senderOf(message))
}

/** `from` undefined: this node itself. */
export function askRead(state: RaftState, requestId: number, from: Member | undefined): void {
  const ask = { requestId, from }
  if (!state.reads.ask(ask)) state.answerRead(ask, -1)
}

/** Whether a round should begin: somebody waits, and the commit index is known to be current (trap 10). */
export function isReadRoundDue(state: RaftState): boolean {
  return state.reads.hasWaiting && state.log.commitIndex >= state.leadIndex
}

/** One round for all questions of this turn; its heartbeats go out now rather than with the next beat. */
export function beginReadRound(state: RaftState): void {
  state.reads.beginRound(state.log.commitIndex)
  sendHeartbeats(state)
  confirmReads(state)
}

function confirmReads(state: RaftState): void {
  const round = quorumOf(state, state.reads.lastRound, (progress) => progress.confirmedRound)
  state.reads.confirm(round, (ask, index) => state.answerRead(ask, index))
}
