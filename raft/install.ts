/**
 * The life of a log that forgets: checkpoints are reported here, the log is cut at its front behind them, and a peer that needs
 * what is gone gets the leader's checkpoint instead (§7; dissertation §5).
 *
 * Raft itself moves nothing but the offer: what the checkpoint holds is fetched by the hosts beside it, which may take long. The
 * one that installs is an ordinary member with its old log until all of it is there; then its log changes in one step.
 *
 * Never: forgets what no durable checkpoint reflects, or replaces by a checkpoint what is committed here already.
 */
import { senderOf, tellHeld } from './follower.ts'
import { invariant } from './invariant.ts'
import type { InstallRequest } from './message.ts'
import type { SnapshotMark } from './ports.ts'
import type { Progress } from './progress.ts'
import type { RaftState } from './state.ts'
import type { LogIndex } from './types.ts'

/** Names the state after the applied entry `index`, which the log must still know. */
export function markOf(state: RaftState, index: LogIndex): SnapshotMark {
  const { log } = state
  const term = log.termAt(index)
  const membership = state.memberships.entryAt(index)
  invariant(index <= log.appliedIndex, () => `a mark at ${index}, applied is ${log.appliedIndex}`)
  invariant(
    term !== undefined && membership !== undefined,
    () => `a mark at ${index}, the log is behind ${log.baseIndex}`,
  )
  return { index, term, membership }
}

/** This checkpoint is durable. From now on it is the one that is offered, unless a newer one is. */
export function takeCheckpoint(state: RaftState, mark: SnapshotMark): void {
  const { log } = state
  if (mark.index <= state.checkpointIndex) return
  invariant(
    mark.index <= log.appliedIndex && mark.index <= log.persistedIndex,
    () => `a checkpoint at ${mark.index}, applied is ${log.appliedIndex}, persisted ${log.persistedIndex}`,
  )
  invariant(
    log.termAt(mark.index) === mark.term,
    () => `a checkpoint of term ${mark.term} at ${mark.index}, where the log has ${log.termAt(mark.index)}`,
  )
  state.checkpoint = mark
}

/** Forgets the log up to `index`, which a checkpoint must reflect. */
export function compact(state: RaftState, index: LogIndex): void {
  invariant(
    index <= state.checkpointIndex,
    () => `the log would forget up to ${index}, checkpointed is ${state.checkpointIndex}`,
  )
  state.log.compact(index)
  state.memberships.compact(index)
}

// ---- leader

/** The peer needs what is gone. The offer is made now and, however often this is called, repeated with the heartbeats. */
export function offerCheckpoint(state: RaftState, progress: Progress): void {
  const mark = state.checkpoint
  invariant(
    mark !== undefined && mark.index >= state.log.baseIndex,
    () => `the log begins behind ${state.log.baseIndex}, the checkpoint is at ${state.checkpointIndex}`,
  )
  progress.install()
  if (!progress.takeOffer(state.ticks, state.tuning.heartbeatTicks)) return
  const { index, term: lastTerm, membership } = mark
  state.send(progress.member, { type: 'installRequest', index, lastTerm, membership })
}

// ---- follower

/**
 * An offer of the current term's leader. Whoever holds the entry says so, and gets the rest as entries. Each other offer goes to
 * the host, repeated ones too: one that has given up on a former offer begins again, one that is at work takes no notice.
 */
export function handleInstall(state: RaftState, message: InstallRequest): void {
  const { index, lastTerm: term, membership } = message
  if (state.log.holdsCommitted(index, term)) {
    state.log.commitTo(index)
    tellHeld(state, senderOf(message), index)
    return
  }
  state.outbox.install = { from: senderOf(message), term: message.term, mark: { index, term, membership } }
}

/**
 * The checkpoint is here, durable and whole: the log goes on behind it. False, with the log as it was, if that holds this entry
 * already or has passed it: then a leader has sent as entries what was to be installed. An uncommitted end that differs is lost,
 * as it would be to the leader's entries: all of it is older than the mark, since later leaders hold the mark's entry.
 */
export function install(state: RaftState, mark: SnapshotMark): boolean {
  const { log } = state
  if (log.holdsCommitted(mark.index, mark.term)) {
    log.commitTo(mark.index)
    // It has replaced the former one in the store all the same, so it is the one that can be offered.
    if (mark.index > state.checkpointIndex) state.checkpoint = mark
    return false
  }
  invariant(state.role !== 'leader', () => `a leader lacks the committed entry ${mark.index} of term ${mark.term}`)
  invariant(mark.term <= state.term, () => `a checkpoint of term ${mark.term} before term ${state.term}`)
  // A campaign was for the former log and its members; a follower waits on for whom it follows.
  if (state.role !== 'follower') state.becomeFollower(state.term)
  log.reset(mark)
  state.memberships.reset(mark.membership)
  state.checkpoint = mark
  state.outbox.install = undefined
  if (state.leaderMember !== undefined) tellHeld(state, state.leaderMember, mark.index)
  return true
}
