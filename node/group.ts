/**
 * One Raft group on this node: the driver feeds its machine, the machine's effects go to the gateway, frames go to whoever
 * leads. The tenth part of the way of a message that is not a folder of its own is here: what is wired to what.
 *
 * Never: sockets (peers/, gateway/), files (storage/).
 */
import {
  type Clock,
  decodeMembership,
  type Entry,
  EntryType,
  type GroupId,
  type InstallOffer,
  type LogIndex,
  type LogStorage,
  type Member,
  type Membership,
  type Message,
  RaftDriver,
  type RoleChange,
  type SnapshotMark,
} from '../raft/index.ts'
import { every } from './clock.ts'
import type { NodeConfig } from './config.ts'
import { NodeWatch } from './node-watch.ts'
import { Proposer } from './proposer.ts'
import { type Boot, type Effect, encodeNodeCommand, Machine, type RestoredState } from './queue/index.ts'
import { Router } from './router.ts'

export interface GroupOptions {
  readonly group: GroupId
  readonly config: NodeConfig
  readonly boot: Boot
  readonly incarnation: string
  readonly storage: LogStorage
  /** The state that the start found in a checkpoint. */
  readonly recovered: RecoveredState | undefined
  /** Of the storage: this node may have forgotten synced promises. 0: none. */
  readonly doubt: number
  /** The data directory was part of a cluster before. */
  readonly founded: boolean
  readonly clock: Clock
  readonly wallNow: () => number
  /** In [0, 1). */
  readonly random: () => number
  readonly mintClusterId: () => string
  readonly sendRaft: (message: Message) => void
  readonly forward: (leader: string, frame: Uint8Array) => void
  readonly connected: (node: string) => boolean
  readonly onEffect: (effect: Effect) => void
  /** Every applied entry, in order, after its effects. */
  readonly onApplied: (index: LogIndex, bytes: number) => void
  /** The machine was replaced by a later state: where the sessions of this node stand in it. */
  readonly onRestored: (effects: readonly Effect[]) => void
  /** The disk is nearly full. */
  readonly refusesPublishes: () => boolean
  /** The router holds as much as it may (true), or has room again (false). */
  readonly onFull: (full: boolean) => void
  /** Who leads has changed, or that it can be relied on. */
  readonly onRole: (change: RoleChange) => void
  /** This life of the node is entered in the log: clients may be served. */
  readonly onRegistered: () => void
  /** The log names the cluster; told at each start, once the entry is applied. */
  readonly onFounded: (clusterId: string) => void
  /** What this node is in the cluster, as far as its log is applied, has changed. */
  readonly onMembership: (member: MemberRole) => void
  /** The leader offers a checkpoint for what its log holds no more. */
  readonly onInstall: (offer: InstallOffer) => void
  /** This node's doubt of this number is over. */
  readonly onTrusted: (doubt: number) => void
  readonly onFatal: (error: unknown) => void
}

/** A machine's state as a checkpoint holds it, and the checkpoint's mark. */
export interface RecoveredState {
  readonly mark: SnapshotMark
  readonly restored: RestoredState
}

/** `none`: not added yet, or removed. */
export type MemberRole = 'voter' | 'learner' | 'none'

/** The router's frames are looked through for stalled ones this often, milliseconds. */
const STALL_CHECK_MS = 1_000

export class Group {
  readonly machine: Machine
  readonly router: Router
  readonly driver: RaftDriver
  readonly #options: GroupOptions
  readonly #proposer: Proposer
  readonly #watch: NodeWatch
  readonly #endStallChecks: () => void
  #role: RoleChange = { role: 'follower', term: 0, leader: undefined, established: false }
  #registered = false
  #started = false
  #membership: Membership | undefined
  #membershipIndex: LogIndex = 0
  #member: MemberRole = 'none'

  constructor(options: GroupOptions) {
    this.#options = options
    const { config, boot, group, clock } = options
    this.machine = new Machine(group.id)
    this.#proposer = new Proposer({
      clock,
      wallNow: options.wallNow,
      group: group.id,
      propose: (data) => this.driver.propose(data) !== undefined,
      refusesPublishes: options.refusesPublishes,
    })
    this.router = new Router({
      pendingBytesMax: config.gatewayPendingBytesMax,
      send: (leader, frame) => this.#send(leader, frame),
      onFull: options.onFull,
    })
    this.#watch = new NodeWatch({
      clock,
      machine: this.machine,
      graceMs: config.nodeGraceMs,
      others: Object.keys(config.cluster).filter((id) => id !== boot.node),
      connected: options.connected,
      onLost: (lost) => this.#proposer.push(encodeNodeCommand(group.id, { type: 'nodeLost', ...lost })),
    })
    if (options.recovered !== undefined) this.machine.restore(options.recovered.restored)
    this.driver = new RaftDriver({
      id: boot.node,
      incarnation: options.incarnation,
      memberIds: Object.keys(config.cluster),
      storage: options.storage,
      doubt: options.doubt,
      founded: options.founded,
      ...(options.recovered && { checkpoint: options.recovered.mark }),
      transport: { send: options.sendRaft },
      clock,
      random: options.random,
      mintClusterId: options.mintClusterId,
      tickMs: config.tickMs,
      tuning: {
        heartbeatTicks: Math.round(config.heartbeatMs / config.tickMs),
        electionTicks: Math.round(config.electionTimeoutMs / config.tickMs),
        cacheBytesMax: config.entryCacheBytes,
      },
      machine: {
        apply: (entry) => this.#apply(entry),
        onRoleChange: (change) => this.#changeRole(change),
        onInstall: options.onInstall,
        onTrusted: options.onTrusted,
      },
      onFatal: options.onFatal,
    })
    this.#endStallChecks = every(clock, STALL_CHECK_MS, () => this.router.resendStalled())
  }

  get role(): RoleChange {
    return this.#role
  }

  /** This life of the node is entered in the log, and a leader is known. */
  get ready(): boolean {
    return this.#registered && this.#role.leader !== undefined && this.#member !== 'none'
  }

  /** Nobody else gets the log, as far as it is applied. */
  get isAlone(): boolean {
    const { voters = [], votersOutgoing = [], learners = [] } = this.#membership ?? {}
    return [...voters, ...votersOutgoing, ...learners].every(({ id }) => id === this.#options.boot.node)
  }

  /** The newest membership that is applied here. */
  get membership(): Membership | undefined {
    return this.#membership
  }

  /** Of the entry with that membership; 0 while none is applied. */
  get membershipIndex(): LogIndex {
    return this.#membershipIndex
  }

  /** What this node is in the cluster, as far as its log is applied. */
  get member(): MemberRole {
    return this.#member
  }

  start(): void {
    this.#started = true
    if (this.#options.recovered !== undefined) this.#applyMembership(this.#options.recovered.mark.membership)
    this.driver.start()
    const { group, boot } = this.#options
    this.router.submitCommand('started', encodeNodeCommand(group.id, { type: 'nodeStarted', ...boot }))
  }

  stop(): void {
    this.#endStallChecks()
    this.#watch.stop()
    this.#proposer.end()
    this.driver.stop()
  }

  /** A frame from another node's router. Dropped when this node does not lead: it will be sent again to who does. */
  onForward(frame: Uint8Array): void {
    if (this.#role.role === 'leader') this.#proposer.push(frame)
  }

  /** The path of bulk to `peer` is new: what went to it on the former one may be lost. */
  onRoute(peer: string): void {
    if (peer === this.#role.leader) this.router.lead(peer)
  }

  #send(leader: string, frame: Uint8Array): void {
    if (leader === this.#options.boot.node) this.#proposer.push(frame)
    else this.#options.forward(leader, frame)
  }

  #apply(entry: Entry): void {
    if (entry.type === EntryType.command) {
      for (const effect of this.machine.apply(entry.index, entry.term, entry.data)) {
        this.router.settleEffect(effect)
        this.#options.onEffect(effect)
      }
      if (!this.#registered) this.#register()
      this.#proposer.watchTimers(this.machine.nextTimerMs())
    } else if (entry.type === EntryType.membership) {
      this.#applyMembership(entry)
    }
    this.#proposer.retry()
    this.#options.onApplied(entry.index, entry.data.length)
  }

  /** In place of the entries up to `mark`, which this node will never see. Not to be called while an entry is applied. */
  restore(mark: SnapshotMark, restored: RestoredState): void {
    const { boot, onRestored } = this.#options
    this.machine.restore(restored)
    const effects = [...this.machine.resume(boot.node, boot.bootId)]
    for (const effect of effects) this.router.settleEffect(effect)
    this.#applyMembership(mark.membership)
    onRestored(effects)
    if (!this.#registered) this.#register()
  }

  #applyMembership(entry: Entry): void {
    const { boot, incarnation, onFounded, onMembership } = this.#options
    const membership = decodeMembership(entry.data)
    const { clusterId, voters, votersOutgoing, learners } = membership
    this.#membership = membership
    this.#membershipIndex = entry.index
    const isOwn = (member: Member) => member.id === boot.node && member.incarnation === incarnation
    const isVoter = voters.some(isOwn) || votersOutgoing.some(isOwn)
    this.#member = isVoter ? 'voter' : learners.some(isOwn) ? 'learner' : 'none'
    onFounded(clusterId)
    onMembership(this.#member)
  }

  #register(): void {
    const { boot } = this.#options
    for (const { node, bootId } of this.machine.bootsOf()) {
      if (node !== boot.node || bootId !== boot.bootId) continue
      this.#registered = true
      this.router.done('started')
      this.#options.onRegistered()
    }
  }

  #changeRole(change: RoleChange): void {
    const former = this.#role
    this.#role = change
    if (change.role !== 'leader') this.#proposer.end()
    if (change.leader !== former.leader || change.term !== former.term) this.router.lead(change.leader)
    if (change.established && !former.established) {
      this.#proposer.begin(this.machine)
      this.#proposer.watchTimers(this.machine.nextTimerMs())
      this.#watch.start()
    } else if (!change.established) this.#watch.stop()
    if (this.#started) this.#options.onRole(change)
  }
}
