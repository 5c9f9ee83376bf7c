/**
 * The only door of raft/: a Raft member as a pure core (Raft) and as a running thing on ports (RaftDriver).
 */
export { RaftDriver, type RaftDriverOptions } from './driver.ts'
export { InvariantError, invariant } from './invariant.ts'
export { decodeMembership, encodeMembership, type Member, type Membership } from './membership.ts'
export type { ChangeRefusal, MembershipChange } from './membership-change.ts'
export type {
  AppendRequest,
  AppendResponse,
  Heartbeat,
  HeartbeatResponse,
  InstallRequest,
  Message,
  ReadRequest,
  ReadResponse,
  TimeoutNow,
  VoteRequest,
  VoteResponse,
} from './message.ts'
export type { RaftOptions, RaftTuning } from './options.ts'
export type {
  Clock,
  InstallOffer,
  LogStorage,
  RecoveredLog,
  Role,
  RoleChange,
  SnapshotMark,
  StateMachine,
  Transport,
} from './ports.ts'
export { type Electorate, reachedByQuorum } from './quorum.ts'
export { type Proposed, Raft } from './raft.ts'
export { ReadUnavailable } from './readers.ts'
export type { LoadRequest, PersistToken, ReadResult, Ready } from './ready.ts'
export type { PeerStatus, RaftStatus } from './status.ts'
export {
  type Entry,
  EntryType,
  type GroupId,
  type HardState,
  type Incarnation,
  type LogIndex,
  type NodeId,
  type Term,
} from './types.ts'
