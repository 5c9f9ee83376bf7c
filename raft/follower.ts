/**
 * What a member does when others lead or want to: it takes entries, hears heartbeats and gives votes (§5.2–5.4).
 * Votes are asked of members of any role; the rules are the same, so they stand here.
 *
 * Never: campaigns (candidate.ts), counts anything.
 */
import { invariant } from './invariant.ts'
import type { RaftLog } from './log.ts'
import { isSameMember, type Member } from './membership.ts'
import type { AppendRequest, Heartbeat, Message, ReadRequest, ReadResponse, VoteRequest } from './message.ts'
import type { RaftState } from './state.ts'
import type { LogIndex, NodeId } from './types.ts'

/** Whom to answer: exactly the incarnation that asked. */
export function senderOf(message: Message): Member {
  return { id: message.from, incarnation: message.fromIncarnation }
}

/** An append of the current term's leader (§5.3). The answer waits for the sync of what it confirms. */
export function handleAppend(state: RaftState, message: AppendRequest): void {
  const { log } = state
  const { prevIndex, entries } = message
  if (!isJoining(log, message)) {
    refuseAppend(state, message)
    return
  }
  takeEntries(state, message)
  const last = Math.max(prevIndex + entries.length, log.baseIndex)
  // Beyond `last` the logs may differ still (figure 2, AppendEntries rule 5).
  log.commitTo(Math.min(message.commit, last))
  tellHeld(state, senderOf(message), last)
}

/**
 * Whether the entries follow what is held. Before the base everything was committed, so the leader's log says the same, and no term is
 * needed to tell (trap 29); a leader that says otherwise of the base itself was elected before that.
 */
function isJoining(log: RaftLog, { prevIndex, prevTerm, entries }: AppendRequest): boolean {
  if (prevIndex >= log.baseIndex) return log.termAt(prevIndex) === prevTerm
  const base = entries[log.baseIndex - prevIndex - 1]
  return base === undefined || base.term === log.termAt(log.baseIndex)
}

/** Tells a leader that this log equals its own up to `index`. It leaves when all that is here now is synced. */
export function tellHeld(state: RaftState, leader: Member, index: LogIndex): void {
  state.send(leader, { type: 'appendResponse', success: true, index, hintIndex: 0, hintTerm: 0, doubt: state.doubt })
}

/** Appends what is not held yet; cuts only at a real conflict, so that a late, shorter append cannot shorten the log. */
function takeEntries(state: RaftState, message: AppendRequest): void {
  const { log } = state
  const held = log.heldOf(message.entries)
  const first = message.entries[held]
  if (first === undefined) return
  if (first.index <= log.lastIndex) state.truncateFrom(first.index)
  state.append(held === 0 ? message.entries : message.entries.slice(held))
}

/** The hint names the greatest index at which the logs could meet, so that the leader skips whole terms (trap 12). */
function refuseAppend(state: RaftState, message: AppendRequest): void {
  const { log } = state
  const hintIndex = log.lastIndexWithTermAtMost(message.prevIndex, message.prevTerm)
  state.send(senderOf(message), {
    type: 'appendResponse',
    success: false,
    index: message.prevIndex,
    hintIndex,
    hintTerm: log.termAt(hintIndex) ?? 0,
    doubt: state.doubt,
  })
}

/** A heartbeat of the current term's leader. Its answer leaves at once: it promises nothing about the disk. */
export function handleHeartbeat(state: RaftState, message: Heartbeat): void {
  if (message.trusted !== 0 && message.trusted === state.doubt) state.endDoubt()
  // The leader goes by what this node has told; in doubt the log may be an older one than that.
  if (state.doubt === 0) state.log.commitTo(message.commit)
  state.send(senderOf(message), { type: 'heartbeatResponse', round: message.round, doubt: state.doubt })
}

/** Whoever does not lead cannot tell. */
export function refuseRead(state: RaftState, message: ReadRequest): void {
  state.send(senderOf(message), { type: 'readResponse', requestId: message.requestId, index: -1 })
}

export function handleReadResponse(state: RaftState, message: ReadResponse): void {
  state.outbox.reads.push({ requestId: message.requestId, index: message.index })
}

/** Asks the leader, or gives up at once if none is known. */
export function askLeader(state: RaftState, requestId: number): void {
  if (state.leaderMember === undefined) state.outbox.reads.push({ requestId, index: -1 })
  else state.send(state.leaderMember, { type: 'readRequest', requestId })
}

/** A request for a vote or a pre-vote, not stale, of a term that was taken over already if it binds (§5.2, §5.4.1). */
export function handleVoteRequest(state: RaftState, message: VoteRequest): void {
  const granted = mayGrant(state, message)
  if (granted && !message.pre) state.grantVote(senderOf(message))
  const letter = { type: 'voteResponse', pre: message.pre, granted, doubt: state.doubt, asked: message.doubt } as const
  // A granted pre-vote speaks of the term that the candidate would have; all else tells this node's own.
  state.send(senderOf(message), letter, granted ? message.term : state.term)
}

function mayGrant(state: RaftState, message: VoteRequest): boolean {
  if (message.bootstrap !== undefined && !isSameBeginning(state, message.bootstrap)) return false
  // Who asks for a vote that it was given has forgotten that, perhaps with a reign: what it sent in that may still be under way.
  if (message.pre && message.term === state.term && state.vote === message.from) return false
  const binds = !message.pre || message.term === state.term
  if (binds && !isVoteFree(state, message)) return false
  return state.log.isUpToDate(message.lastIndex, message.lastTerm)
}

/**
 * A repeated request gets the same vote again, if it comes from the very incarnation that was voted for (trap 19): of a vote that was
 * given in a former life of this process only the id is known, so that one is not given again.
 */
function isVoteFree(state: RaftState, message: VoteRequest): boolean {
  if (state.vote === '') return state.leader === undefined
  return state.votedFor !== undefined && isSameMember(state.votedFor, senderOf(message))
}

/** The first election of a cluster joins only empty logs, of directories that knew no cluster, under one and the same list of members. */
function isSameBeginning(state: RaftState, memberIds: readonly NodeId[]): boolean {
  if (state.log.lastIndex > 0 || state.founded || memberIds.length !== state.memberIds.length) return false
  return memberIds.every((id, at) => id === state.memberIds[at])
}

/** Answers a message of a former term, so that its sender learns of the newer one and can rejoin (trap 8). */
export function answerStale(state: RaftState, message: Message): void {
  invariant(message.term < state.term, 'only stale messages are answered so')
  const { doubt } = state
  if (message.type === 'voteRequest') {
    const { pre, doubt: asked } = message
    state.send(senderOf(message), { type: 'voteResponse', pre, granted: false, doubt, asked })
  } else if (message.type === 'appendRequest' || message.type === 'heartbeat' || message.type === 'installRequest') {
    const isAppend = message.type === 'appendRequest'
    const index: LogIndex = isAppend ? message.prevIndex : 0
    const hintIndex = isAppend ? state.log.lastIndexWithTermAtMost(message.prevIndex, message.prevTerm) : 0
    const hintTerm = state.log.termAt(hintIndex) ?? 0
    state.send(senderOf(message), { type: 'appendResponse', success: false, index, hintIndex, hintTerm, doubt })
  }
}
