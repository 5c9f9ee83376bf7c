/**
 * How a member becomes leader: pre-vote, vote, and the one election that founds a cluster (§5.2; dissertation §9.6).
 *
 * A vote of a member in doubt counts only if all voters grant (doubt.ts). A leader that hands over skips the pre-vote: its word
 * is better evidence (dissertation §3.10).
 *
 * A cluster's first election must be unanimous: every configured member answers, with an empty log and the same list.
 * So no two halves can found two clusters, and whoever wins knows everybody's incarnation for entry 1.
 *
 * Never: leads. Functions return true when the election is won, and raft.ts goes on from there.
 */
import { countedVote } from './doubt.ts'
import { senderOf } from './follower.ts'
import { isSameMember, isVoter, type Member } from './membership.ts'
import type { VoteResponse } from './message.ts'
import { type VoteResult, voteResult } from './quorum.ts'
import type { RaftState, Vote } from './state.ts'

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
  requestVotes(state, { isPre: true })
  concludePreVote(state)
}

/** The leader hands over to this member: it stands at once, unless it cannot win or does not follow that leader any more. */
export function takeOver(state: RaftState, leader: Member): void {
  const { doubt, mayCampaign, role } = state
  if (role !== 'follower' || !mayCampaign || doubt !== 0 || state.leader !== leader.id) return
  state.becomePreCandidate()
  state.becomeCandidate()
  requestVotes(state, { isTransfer: true })
}

/**
 * A vote or a refusal of the current term, or of a pre-vote that is under way. What answers a request of a life before this node's doubt
 * counts for nothing (doubt.ts). True if it wins the election.
 */
export function handleVoteResponse(state: RaftState, message: VoteResponse): boolean {
  if (state.role !== (message.pre ? 'preCandidate' : 'candidate')) return false
  // Granted to a longer log, it may be, which is lost by now.
  if (message.asked !== state.doubt) return false
  const isOfFormerRound = message.pre && message.granted && message.term !== state.term + 1
  if (isOfFormerRound) return false
  const { granted, doubt } = message
  recordVote(state, { voter: senderOf(message), granted, doubt })
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
  recordVote(state, { voter: state.self, granted: true, doubt: state.doubt })
}

/** A later answer of the same voter replaces the former; in a first election the id tells who that is. Others are no voters. */
function recordVote(state: RaftState, vote: Vote): void {
  const { membership } = state
  if (membership !== undefined && !isVoter(membership, vote.voter)) return
  const isOfOther = ({ voter }: Vote) =>
    membership === undefined ? voter.id !== vote.voter.id : !isSameMember(voter, vote.voter)
  state.votes = [...state.votes.filter(isOfOther), vote]
}

function concludePreVote(state: RaftState): void {
  const result = tally(state)
  if (result === 'lost') state.becomeFollower(state.term)
  if (result !== 'won') return
  state.becomeCandidate()
  requestVotes(state, {})
}

function isElected(state: RaftState): boolean {
  const result = tally(state)
  if (result === 'lost') state.becomeFollower(state.term)
  return result === 'won'
}

function tally(state: RaftState): VoteResult {
  const { votes, membership } = state
  if (membership !== undefined) {
    return voteResult(membership, (member) => countedVote(state, member))
  }
  const answers = state.memberIds.map((id) => votes.find(({ voter }) => voter.id === id)?.granted)
  if (answers.includes(false)) return 'lost'
  return answers.includes(undefined) ? 'pending' : 'won'
}

interface Campaign {
  readonly isPre?: boolean
  readonly isTransfer?: boolean
}

function requestVotes(state: RaftState, { isPre = false, isTransfer = false }: Campaign): void {
  const { membership, log } = state
  const letter = {
    type: 'voteRequest',
    pre: isPre,
    lastIndex: log.lastIndex,
    lastTerm: log.lastTerm,
    doubt: state.doubt,
    ...(membership === undefined && { bootstrap: state.memberIds }),
    ...(isTransfer && { transfer: true as const }),
  } as const
  // A pre-vote asks in the name of the term that its winner would have.
  const term = isPre ? state.term + 1 : state.term
  for (const member of electors(state)) if (!state.isSelf(member)) state.send(member, letter, term)
}

function electors(state: RaftState): readonly Member[] {
  const { membership } = state
  if (membership === undefined) {
    return state.memberIds.map((id) => (id === state.self.id ? state.self : { id, incarnation: '' }))
  }
  return [...membership.voters, ...membership.votersOutgoing]
}
