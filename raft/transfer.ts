/**
 * Handing leadership over without waiting for an election timeout (dissertation §3.10): the leader takes no more proposals,
 * brings one voter up to its own log's end and tells it to campaign at once. Votes in that election are given in spite of the
 * leader's lease, since the leader itself asked for it.
 *
 * Never: makes a leader. The target has to win an ordinary election; if it does not within an election timeout, the leader goes
 * on as if nothing had been.
 */
import { isAmong } from './membership.ts'
import { isFollowing } from './membership-change.ts'
import type { Progress } from './progress.ts'
import type { RaftState } from './state.ts'
import type { NodeId } from './types.ts'

/**
 * Begins a transfer to `to`, or to the best caught-up voter. False: nobody suitable (a learner, a peer in doubt, silent or far
 * behind is not), or one to somebody else is under way.
 */
export function beginTransfer(state: RaftState, to?: NodeId): boolean {
  if (state.role !== 'leader') return false
  if (state.transfer !== undefined) return to === undefined || state.transfer.to.id === to
  const candidates = state.progress.filter((progress) => isSuitable(state, progress))
  const named = to === undefined ? candidates : candidates.filter(({ member }) => member.id === to)
  const target = named.toSorted((a, b) => b.matchIndex - a.matchIndex)[0]
  if (target === undefined) return false
  const deadlineTick = state.ticks + state.tuning.electionTicks
  state.transfer = { to: target.member, deadlineTick, toldTick: Number.NEGATIVE_INFINITY }
  pursueTransfer(state)
  return true
}

/** A voter of the membership to come, which can win. */
function isSuitable(state: RaftState, progress: Progress): boolean {
  const isVoter = state.membership !== undefined && isAmong(state.membership.voters, progress.member)
  return isVoter && isFollowing(state, progress)
}

/** Tells the target to campaign, once it holds all. Asked whenever the target was heard. */
export function pursueTransfer(state: RaftState): void {
  const { transfer, log, ticks } = state
  if (transfer === undefined || ticks - transfer.toldTick < state.tuning.heartbeatTicks) return
  if (state.progressOf(transfer.to)?.matchIndex !== log.lastIndex) return
  state.transfer = { ...transfer, toldTick: ticks }
  state.send(transfer.to, { type: 'timeoutNow' })
}

/** At each tick: gives up what has taken an election timeout. True if it does. */
export function expireTransfer(state: RaftState): boolean {
  if (state.transfer === undefined || state.ticks < state.transfer.deadlineTick) return false
  state.transfer = undefined
  return true
}
