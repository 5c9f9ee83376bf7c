/**
 * How a member becomes leader: pre-vote, vote, and the one election that founds a cluster (§5.2; dissertation §9.6).
 *
 * A cluster's first election must be unanimous: every configured member answers, with an empty log and the same list.
 * So no two halves can found two clusters, and whoever wins knows everybody's incarnation for entry 1.
 *
 * Never: leads. Functions return true when the election is won, and raft.ts goes on from there.
 */
import type { Member } from './membership.ts'
import type { VoteResponse } from './message.ts'
import { type VoteResult, voteResult } from './quorum.ts'
import type { RaftState } from './state.ts'

/** The election timer ran out, or the leader is known to be gone. */
export function campaign(state: RaftState): void {
  if (!state.mayCampaign) {
    // It cannot replace the leader, but it must not hold on to it either: others need its vote.
    state.becomeFollower(state.term)
    state.timer.calm()
    return
  }
  state.becomePreCandidate()
  // A pre-vote for oneself promises nothing, so it needs no sync.
  voteForSelf(state)
  requestVotes(state, true)
  concludePreVote(state)
}

/** A vote or a refusal of the current term, or of a pre-vote that is under way. True if it wins the election. */
export function handleVoteResponse(state: RaftState, message: VoteResponse): boolean {
  if (state.role !== (message.pre ? 'preCandidate' : 'candidate')) return false
  const isOfFormerRound = message.pre && message.granted && message.term !== state.term + 1
  if (isOfFormerRound) return false
  state.votes.set(message.from, { granted: message.granted, incarnation: message.fromIncarnation })
  if (!message.pre) return isElected(state)
  concludePreVote(state)
  return false
}

/** This node's vote for itself is synced, so it counts (trap 4 holds for votes too). True if it wins the election. */
export function countOwnVote(state: RaftState): boolean {
  voteForSelf(state)
  return isElected(state)
}

function voteForSelf(state: RaftState): void {
  const { id, incarnation } = state.self
  state.votes.set(id, { granted: true, incarnation })
}

function concludePreVote(state: RaftState): void {
  const result = tally(state)
  if (result === 'lost') state.becomeFollower(state.term)
  if (result !== 'won') return
  state.becomeCandidate()
  requestVotes(state, false)
}

function isElected(state: RaftState): boolean {
  const result = tally(state)
  if (result === 'lost') state.becomeFollower(state.term)
  return result === 'won'
}

function tally(state: RaftState): VoteResult {
  const { votes, membership } = state
  if (membership !== undefined) {
    return voteResult(membership, (member) => {
      const vote = votes.get(member.id)
      return vote?.incarnation === member.incarnation ? vote.granted : undefined
    })
  }
  const answers = state.memberIds.map((id) => votes.get(id)?.granted)
  if (answers.includes(false)) return 'lost'
  return answers.includes(undefined) ? 'pending' : 'won'
}

function requestVotes(state: RaftState, pre: boolean): void {
  const { membership, log } = state
  const request = { type: 'voteRequest', pre, lastIndex: log.lastIndex, lastTerm: log.lastTerm } as const
  const letter = membership === undefined ? { ...request, bootstrap: state.memberIds } : request
  // A pre-vote asks in the name of the term that its winner would have.
  const term = pre ? state.term + 1 : state.term
  for (const member of electors(state)) if (!state.isSelf(member)) state.send(member, letter, term)
}

function electors(state: RaftState): readonly Member[] {
  const { membership } = state
  if (membership === undefined) {
    return state.memberIds.map((id) => (id === state.self.id ? state.self : { id, incarnation: '' }))
  }
  return [...membership.voters, ...membership.votersOutgoing]
}
