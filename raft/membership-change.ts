/**
 * How the members change (§6; dissertation §4.1–4.3). Learners come and go by one entry, since they do not count; voters through
 * a joint membership, in which a quorum is a majority of the former and of the new ones.
 *
 * This is the paper's variant: a membership is in force on each node as soon as its log holds it, committed or not (so there is
 * no "committed but not yet applied" membership to campaign with, trap 16). It is safe because two memberships that could be in
 * force at once are neighbours in the log, whose quorums meet: a change begins only when the former one is committed, and only
 * after the leader has committed an entry of its own term, which shows it all memberships that were committed before (trap 15,
 * Ongaro's raft-dev erratum).
 *
 * Whoever is removed gets the log for a while longer, to learn of it. A leader that is removed leads until that is committed,
 * without counting itself (trap 20).
 *
 * Never: makes anybody a member because it was heard (trap 18).
 */
import { senderOf } from './follower.ts'
import { invariant } from './invariant.ts'
import { allMembers, encodeMembership, isAmong, isVoter, type Member, type Membership } from './membership.ts'
import type { VoteRequest } from './message.ts'
import { Progress } from './progress.ts'
import type { RaftState } from './state.ts'
import { EntryType, type LogIndex, type NodeId } from './types.ts'

export type MembershipChange =
  /** Begins to send the log to this member. Another learner of the same id is replaced. */
  | { readonly type: 'addLearner'; readonly member: Member }
  /** A learner becomes a voter, in place of an older incarnation of its id if there is one. */
  | { readonly type: 'promote'; readonly id: NodeId }
  /** Whoever is listed under this id goes, voter and learner. */
  | { readonly type: 'remove'; readonly id: NodeId }

/**
 * notLeader: ask another node. changePending: another change, or this leader's first entry, is not committed yet, or a hand-over is under way.
 * notCaughtUp: the learner lacks too much of the log, is silent, or in doubt. lastVoter: nobody would be left to decide.
 * quorumAtRisk: too few of the voters that would be left are here and up to date, so that nothing could be committed any more.
 */
export type ChangeRefusal =
  | 'notLeader'
  | 'changePending'
  | 'notCaughtUp'
  | 'unknownMember'
  | 'alreadyMember'
  | 'lastVoter'
  | 'quorumAtRisk'

/** A learner may lack this many committed entries and still become a voter: it has them before it could be missed. */
const PROMOTION_LAG_ENTRIES_MAX = 100

/** How long, in election timeouts, somebody who was removed still gets the log, to learn that it was. */
const FAREWELL_ELECTIONS = 10

/** Removed ones that get the log at the same time. */
const FAREWELLS_MAX = 16

// ---- changes

/** Begins a change. Returns the index of its first entry: the change holds once that is committed, a joint one is then ended. */
export function changeMembership(state: RaftState, change: MembershipChange): LogIndex | ChangeRefusal {
  if (state.role !== 'leader') return 'notLeader'
  if (state.transfer !== undefined) return 'changePending'
  const current = membershipOf(state)
  if (!isSettled(state) || current.votersOutgoing.length > 0) return 'changePending'
  const next = nextMembership(state, current, change)
  if (typeof next === 'string') return next
  if (next.votersOutgoing.length > 0 && !isViable(state, next.voters)) return 'quorumAtRisk'
  return appendMembership(state, next)
}

function nextMembership(state: RaftState, current: Membership, change: MembershipChange): Membership | ChangeRefusal {
  switch (change.type) {
    case 'addLearner':
      return withLearner(current, change.member)
    case 'promote':
      return withPromoted(state, current, change.id)
    case 'remove':
      return without(current, change.id)
  }
}

function withLearner(current: Membership, member: Member): Membership | ChangeRefusal {
  if (isAmong(allMembers(current), member)) return 'alreadyMember'
  return { ...current, learners: [...current.learners.filter(({ id }) => id !== member.id), member] }
}

function withPromoted(state: RaftState, current: Membership, id: NodeId): Membership | ChangeRefusal {
  const learner = current.learners.find((member) => member.id === id)
  if (learner === undefined) return current.voters.some((voter) => voter.id === id) ? 'alreadyMember' : 'unknownMember'
  if (!isCaughtUp(state, learner)) return 'notCaughtUp'
  return {
    ...current,
    voters: [...current.voters.filter((voter) => voter.id !== id), learner],
    votersOutgoing: current.voters,
    learners: current.learners.filter((member) => member !== learner),
  }
}

/** A voter that lags could stall every commit that needs it, so it catches up before it counts (dissertation §4.2.1). */
function isCaughtUp(state: RaftState, member: Member): boolean {
  const progress = state.progressOf(member)
  if (progress === undefined || !isFollowing(state, progress)) return false
  return progress.matchIndex >= state.log.commitIndex - PROMOTION_LAG_ENTRIES_MAX
}

/** Whether a majority of these could commit what comes next. A change that they cannot commit could not be taken back either. */
function isViable(state: RaftState, voters: readonly Member[]): boolean {
  const following = voters.filter((voter) => {
    const progress = state.progressOf(voter)
    return state.isSelf(voter) || (progress !== undefined && isFollowing(state, progress))
  })
  return 2 * following.length > voters.length
}

/** Heard of lately, its log known to follow, its memory beyond doubt. */
export function isFollowing(state: RaftState, { counts, mode, heardTick }: Progress): boolean {
  return counts && mode === 'replicate' && state.ticks - heardTick <= state.tuning.electionTicks
}

function without(current: Membership, id: NodeId): Membership | ChangeRefusal {
  const others = (members: readonly Member[]) => members.filter((member) => member.id !== id)
  const [voters, learners] = [others(current.voters), others(current.learners)]
  if (voters.length === 0) return 'lastVoter'
  const isVoterGone = voters.length < current.voters.length
  if (!isVoterGone && learners.length === current.learners.length) return 'unknownMember'
  return { ...current, voters, votersOutgoing: isVoterGone ? current.voters : [], learners }
}

/** After a commit: ends a joint change that is committed, whoever began it. */
export function concludeChange(state: RaftState): void {
  const current = membershipOf(state)
  if (current.votersOutgoing.length > 0 && isSettled(state)) appendMembership(state, { ...current, votersOutgoing: [] })
}

/** The membership in force and an entry of this leader's term are committed (trap 15). */
function isSettled({ memberships, leadIndex, log }: RaftState): boolean {
  return log.commitIndex >= Math.max(leadIndex, memberships.currentIndex)
}

export function appendMembership(state: RaftState, membership: Membership): LogIndex {
  const index = state.appendOwn(EntryType.membership, encodeMembership(membership))
  enlist(state)
  return index
}

function membershipOf({ membership }: RaftState): Membership {
  invariant(membership !== undefined, 'a leader knows the members')
  return membership
}

// ---- who gets the log and who counts

/** Makes the leader's knowledge follow the membership in force, right after that has changed: a leader's never goes back. */
export function enlist(state: RaftState): void {
  const membership = membershipOf(state)
  const listed = allMembers(membership).filter((member) => !state.isSelf(member))
  const stayed = state.progress.filter(({ member }) => isAmong(listed, member))
  for (const progress of stayed) progress.farewellTick = Number.POSITIVE_INFINITY
  const farewellTick = state.ticks + FAREWELL_ELECTIONS * state.tuning.electionTicks
  const gone = state.progress.filter(({ member }) => !isAmong(listed, member))
  for (const progress of gone) progress.farewellTick = Math.min(progress.farewellTick, farewellTick)
  state.progress = [...stayed, ...gone.slice(-FAREWELLS_MAX)]
  for (const member of listed) if (state.progressOf(member) === undefined) follow(state, member)
  const seat = (member: Member) => (state.isSelf(member) ? undefined : state.progressOf(member))
  state.electorate = {
    voters: membership.voters.map(seat),
    votersOutgoing: membership.votersOutgoing.map(seat),
  }
}

/** Probing begins at the log's end: most members hold nearly all. */
function follow(state: RaftState, member: Member): Progress {
  const progress = new Progress(member, state.log.lastIndex, state.ticks, state.tuning.inflightBytesMax)
  state.progress = [...state.progress, progress]
  return progress
}

// ---- those who leave

/**
 * Somebody asks this leader for a vote. Who is no member, but knows the members by a log, was removed and has not heard of it, or
 * it would be silent: it gets the log for a while. Who asks for a first election was never one (trap 18).
 */
export function remind(state: RaftState, request: VoteRequest): void {
  if (request.bootstrap !== undefined) return
  const asker = senderOf(request)
  const known = state.progressOf(asker)
  if (known === undefined && farewells(state).length >= FAREWELLS_MAX) return
  if (known !== undefined && known.farewellTick === Number.POSITIVE_INFINITY) return
  const progress = known ?? follow(state, asker)
  progress.farewellTick = state.ticks + FAREWELL_ELECTIONS * state.tuning.electionTicks
  state.replicationDue = true
}

function farewells(state: RaftState): readonly Progress[] {
  return state.progress.filter(({ farewellTick }) => farewellTick !== Number.POSITIVE_INFINITY)
}

/** At each tick: forgets those who were told long enough. Nobody is before the change is committed. */
export function endFarewells(state: RaftState): void {
  const isOver = (progress: Progress) => progress.farewellTick <= state.ticks
  if (!isSettled(state) || !state.progress.some(isOver)) return
  state.progress = state.progress.filter((progress) => !isOver(progress))
}

/** A leader whose removal is committed: it has to go (trap 20). */
export function isDismissed(state: RaftState): boolean {
  return isSettled(state) && !isVoter(membershipOf(state), state.self)
}
