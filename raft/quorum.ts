/**
 * Arithmetic of majorities, plain and joint (§6 of the paper): whatever "a majority of the cluster" decides, it is
 * decided here: commit index, elections, the leader's lease, ReadIndex rounds.
 *
 * Never: knows what is counted. Values come from a function, so members may be ids or (id, incarnation) pairs.
 */

/** Those who count. In a joint configuration both lists are non-empty, and a quorum is a majority of each. */
export interface Electorate<M> {
  readonly voters: readonly M[]
  /** The voters that a joint change is leaving behind; empty outside of one. */
  readonly votersOutgoing: readonly M[]
}

export type VoteResult = 'won' | 'lost' | 'pending'

/**
 * The greatest value that a quorum has reached, e.g. the greatest index that a majority holds. Infinity for an electorate
 * without any voter, which no caller has.
 */
export function reachedByQuorum<M>(electorate: Electorate<M>, reachedBy: (member: M) => number): number {
  return Math.min(
    reachedByMajority(electorate.voters, reachedBy),
    reachedByMajority(electorate.votersOutgoing, reachedBy),
  )
}

/**
 * By comparing each with each: a leader asks this at every answer of a peer, and for the few members that a cluster has it is
 * cheaper than to sort them, and leaves nothing to collect.
 */
function reachedByMajority<M>(members: readonly M[], reachedBy: (member: M) => number): number {
  if (members.length === 0) return Number.POSITIVE_INFINITY
  const half = members.length / 2
  let reached = Number.NEGATIVE_INFINITY
  for (const member of members) {
    const value = reachedBy(member)
    if (value <= reached) continue
    let count = 0
    for (const other of members) if (reachedBy(other) >= value) count++
    if (count > half) reached = value
  }
  return reached
}

/** How an election stands; `voteOf` is undefined for a member that has not answered. */
export function voteResult<M>(electorate: Electorate<M>, voteOf: (member: M) => boolean | undefined): VoteResult {
  const incoming = majorityVote(electorate.voters, voteOf)
  const outgoing = majorityVote(electorate.votersOutgoing, voteOf)
  if (incoming === 'lost' || outgoing === 'lost') return 'lost'
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending'
}

function majorityVote<M>(members: readonly M[], voteOf: (member: M) => boolean | undefined): VoteResult {
  if (members.length === 0) return 'won'
  const majority = Math.floor(members.length / 2) + 1
  let granted = 0
  let refused = 0
  for (const member of members) {
    const vote = voteOf(member)
    if (vote === true) granted++
    else if (vote === false) refused++
  }
  if (granted >= majority) return 'won'
  return members.length - refused < majority ? 'lost' : 'pending'
}
