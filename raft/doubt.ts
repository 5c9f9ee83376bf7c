/**
 * What a member's answers are worth after its disk may have forgotten what it had promised (trap 22). A member in doubt keeps
 * promises again from the moment it is back, but what it said before is lost: entries that it confirmed, its vote, its term.
 *
 * Elections. Its vote, also for itself, counts only in an election in which every voter grants; the grants bind all of them to
 * the new term. Whatever was committed before is then held by a voter that forgot nothing (each quorum is taken to have one:
 * it granted after it confirmed, so the winner's log has the entry, §5.4.3), and nobody leads or stands in that term or a
 * later one, since it would have refused. That has to be the vote, not the pre-vote: an answer that does not bind may be overtaken by
 * an append or a candidacy.
 *
 * What it sent in a life that it forgot may still be under way. In a reign: so it must not win that term again; whoever voted for it then
 * refuses the pre-vote for it. In a candidacy: a vote for that was given to a log that is lost now; so requests for votes tell the
 * doubt, answers repeat it, and those that tell another one are dropped.
 *
 * Commits, leases, reads. Its answers do not count for a leader, until it holds an entry that was appended after the leader had
 * heard of this doubt and that was committed without it: its log then reaches beyond all that it can have confirmed in this
 * term, and the quorum that committed refuses whomever it may have promised a vote in a later one. A leader that a unanimous vote
 * made counts it at once, and its doubt is over when it holds the first entry of that term and that is committed.
 *
 * Late messages of its former life tell a lesser doubt, and are dropped: of a doubt that is over they may tell 0, but then they
 * confirm less than is known.
 *
 * Never: decides what a disk has forgotten; storage does, and says so by a number that rises with each occasion.
 */
import { isSameMember, type Member } from './membership.ts'
import type { Progress } from './progress.ts'
import type { RaftState, Vote } from './state.ts'
import { EntryType } from './types.ts'

// ---- elections

/** Every voter, of both lists during a change, this one included, has granted. Only then do doubtful votes count. */
function isUnanimous(state: RaftState): boolean {
  return electors(state).every((member) => voteOf(state, member)?.granted === true)
}

/** What a member's answer counts for; undefined: for nothing yet. */
export function countedVote(state: RaftState, member: Member): boolean | undefined {
  const vote = voteOf(state, member)
  if (vote === undefined || vote.doubt === 0 || !vote.granted) return vote?.granted
  if (isUnanimous(state)) return true
  const isRefused = electors(state).some((other) => voteOf(state, other)?.granted === false)
  return isRefused ? false : undefined
}

function voteOf(state: RaftState, member: Member): Vote | undefined {
  return state.votes.find(({ voter }) => isSameMember(voter, member))
}

function electors({ membership }: RaftState): readonly Member[] {
  return membership === undefined ? [] : [...membership.voters, ...membership.votersOutgoing]
}

/** The election is won and the first entry of the term appended: takes over what the voters told of their doubts. */
export function rememberDoubts(state: RaftState): void {
  const counts = isUnanimous(state)
  for (const { voter, doubt } of state.votes) {
    const progress = state.progressOf(voter)
    if (progress !== undefined && doubt !== 0) progress.enterDoubt(doubt, state.leadIndex, counts)
  }
}

// ---- what a leader hears

/**
 * A peer's answer tells this doubt. False: the answer is of a former life, and says nothing about the disk that the peer has
 * now. Asked at each answer of a peer, so the ordinary case comes first.
 */
export function hearDoubt(state: RaftState, progress: Progress, doubt: number): boolean {
  if (doubt === progress.doubt) return true
  if (doubt < progress.doubt) return doubt === 0 && isDoubtOver(state, progress)
  // The entry that will prove the peer; an idle cluster has no other.
  const provingIndex = state.appendOwn(EntryType.noop, NO_DATA)
  progress.enterDoubt(doubt, provingIndex, false)
  return true
}

const NO_DATA = new Uint8Array(0)

/** Whether this leader knows that the doubt of the peer is over. Once true, it stays true until the peer tells a new one. */
function isDoubtOver(state: RaftState, { doubt, matchIndex, provingIndex }: Progress): boolean {
  return doubt !== 0 && matchIndex >= provingIndex && state.log.commitIndex >= provingIndex
}

/** Counts the peer again if its doubt is over. Returns the number of a doubt that is over, to be told to the peer; else 0. */
export function settleDoubt(state: RaftState, progress: Progress): number {
  if (!isDoubtOver(state, progress)) return 0
  progress.counts = true
  return progress.doubt
}

/** A leader in doubt was elected by all: its own doubt is over with the first entry of its term. */
export function settleOwnDoubt(state: RaftState): void {
  const { log, leadIndex } = state
  if (state.doubt !== 0 && log.commitIndex >= leadIndex && log.persistedIndex >= leadIndex) state.endDoubt()
}
