/**
 * A node without its surroundings: the group, the clients' gateway, requests and replies, readiness and the report, wired
 * together on what it is given: storage that is open, a mesh, a clock, dice. The process around it is server.ts's; the
 * simulator gives it another one.
 *
 * Never: HTTP, sockets, files, real time.
 */
import type { GroupId, RoleChange } from '../raft/index.ts'
import { MeshError } from '../wire/errors.ts'
import { Bodies } from './bodies.ts'
import { Checkpointing } from './checkpointing/checkpointing.ts'
import type { NodeCoreOptions } from './core-options.ts'
import { Gateway } from './gateway/gateway.ts'
import { answerQuery } from './gateway/queries.ts'
import { Group, type MemberRole } from './group.ts'
import { MembershipKeeper } from './membership-keeper.ts'
import { MembershipOperations } from './membership-operations.ts'
import type { MeshHandlers, MeshPort } from './peers/mesh-port.ts'
import type { Replacement } from './peers/replaced-codec.ts'
import type { Boot, Effect } from './queue/index.ts'
import { NodeReport } from './report.ts'
import { Room } from './room.ts'
import type { FrameSocket } from './socket.ts'
import { Volatile } from './volatile.ts'

/** The only group until there are shards; its incarnation rises if it is ever made anew. */
export const GROUP: GroupId = { id: 0, incarnation: 1 }
/** A ReadIndex that a majority does not confirm in this time fails. Milliseconds. */
const BARRIER_MS = 5_000
/** Between two looks at who leads, while this node hands over. Milliseconds. */
const HANDOVER_LOOK_MS = 5

export class NodeCore {
  readonly report: NodeReport
  readonly gateway: Gateway
  readonly group: Group
  readonly operations: MembershipOperations
  readonly #options: NodeCoreOptions
  readonly #boot: Boot
  readonly #mesh: MeshPort
  readonly #volatile: Volatile
  readonly #room: Room
  readonly #checkpointing: Checkpointing
  readonly #keeper: MembershipKeeper
  readonly #waiters: (() => void)[] = []
  #cancelLeaderless: (() => void) | undefined
  #failure: Error | undefined
  #stopped: Promise<void> | undefined

  constructor(options: NodeCoreOptions) {
    const { config, storage, makeMesh } = options
    this.#options = options
    this.#boot = { node: config.id, bootId: storage.bootId }
    this.#mesh = makeMesh(this.#meshHandlers())
    this.#room = this.#makeRoom()
    this.group = this.#makeGroup()
    this.#checkpointing = this.#makeCheckpointing()
    this.operations = this.#makeOperations()
    this.#keeper = this.#makeKeeper()
    this.#volatile = this.#makeVolatile()
    this.gateway = this.#makeGateway()
    this.report = new NodeReport({
      config,
      boot: this.#boot,
      incarnation: storage.identity.incarnation,
      groupId: GROUP,
      group: this.group,
      gateway: this.gateway,
      mesh: this.#mesh,
      room: this.#room,
      checkpointing: () => this.#checkpointing.status,
      segments: () => storage.wal.stats.segments,
      failure: () => this.#failure,
    })
  }

  #meshHandlers(): MeshHandlers {
    return {
      onRaft: (message) => this.group.driver.receive(message),
      onForward: (_, frame) => this.group.onForward(frame),
      onRequests: (from, requests) => this.#volatile.onRequests(from, requests),
      onReplies: (_, replies) => this.#volatile.onReplies(replies),
      onNotes: (from, notes) => {
        for (const note of notes) if (note.type === 'disk') this.#room.peers.heard(from, note.isFull)
        this.#volatile.onNotes(from, notes)
      },
      onReplaced: (_, notice) => this.#replaced(notice),
      onFetchRequest: (from, request) => this.#checkpointing.onFetchRequest(from, request),
      onFetchResponse: (from, response) => this.#checkpointing.onFetchResponse(from, response),
      onRoute: (peer) => {
        // What it heard on the former path may have changed since.
        this.#tellRoom(peer, this.#room.disk.isFull)
        this.group.onRoute(peer)
        this.#checkpointing.onRoute()
      },
      onLost: (peer) => this.#volatile.onLost(peer),
      onEvidence: (peer, down) => {
        if (down) this.group.driver.peerDown(peer)
        else this.group.driver.peerUp(peer)
      },
    }
  }

  #makeGroup(): Group {
    const { config, storage, clock, wallNow, random, mintClusterId } = this.#options
    const { identity, wal } = storage
    const fatal = (error: unknown) => this.fail(error)
    return new Group({
      group: GROUP,
      config,
      boot: this.#boot,
      incarnation: identity.incarnation,
      storage: wal.group(GROUP),
      recovered: this.#options.recovered,
      doubt: storage.doubt?.number ?? 0,
      founded: identity.founded,
      clock,
      wallNow,
      random,
      mintClusterId,
      sendRaft: (message) => this.#mesh.sendRaft(message),
      forward: (leader, frame) => this.#mesh.forward(leader, frame),
      connected: (peer) => this.#mesh.connected(peer),
      onEffect: (effect) => this.#perform(effect),
      onApplied: (index, bytes) => this.#checkpointing.applied(index, bytes),
      onRestored: (effects) => {
        this.gateway.resync(effects)
        this.#volatile.resync()
      },
      refusesPublishes: () => this.#room.isShort,
      onFull: (full) => this.gateway.throttle(full),
      onRole: (change) => this.#roleChanged(change),
      onRegistered: () => this.#readinessChanged(),
      onFounded: (clusterId) => void identity.setClusterId(clusterId).then(() => this.#mesh.clusterKnown(), fatal),
      onMembership: (member) => this.#memberChanged(member),
      onInstall: (offer) => this.#checkpointing.onInstall(offer),
      onTrusted: (doubt) => {
        config.logger.info('this node counts again: the cluster has made sure of what it may have forgotten', { doubt })
        storage.clearDoubt(doubt).catch(fatal)
      },
      onFatal: fatal,
    })
  }

  #makeRoom(): Room {
    const { clock, config, storage } = this.#options
    return new Room({
      clock,
      config,
      electorate: () => this.group.membership,
      freeBytes: () => storage.freeBytes(),
      writtenBytes: () => storage.writtenBytes(),
      checkpointBytes: () => storage.checkpoints.current?.bytes,
      onFull: () => this.#checkpointing.makeRoom(),
      tell: (isFull) => {
        for (const peer of this.#peers()) this.#tellRoom(peer, isFull)
      },
    })
  }

  #tellRoom(peer: string, isFull: boolean): void {
    this.#mesh.sendNotes(peer, [{ type: 'disk', isFull }])
  }

  #makeCheckpointing(): Checkpointing {
    const { clock, config, random, recovered, storage } = this.#options
    const { checkpoints, wal } = storage
    const { driver, machine } = this.group
    const log = wal.group(GROUP)
    const checkpointing = new Checkpointing({
      clock,
      random,
      logger: config.logger,
      onFatal: (error) => this.fail(error),
      group: GROUP,
      checkpointBytes: config.checkpointBytes,
      trailingLogBytesMax: config.trailingLogBytesMax,
      checkpoints,
      log,
      compact: (plan) => wal.compact(plan),
      machine,
      driver,
      restore: (mark, restored) => this.group.restore(mark, restored),
      references: recovered?.restored.references(),
      peers: this.#peers(),
      isAlone: () => this.group.isAlone,
      mesh: this.#mesh,
    })
    log.onDamaged = (index) => checkpointing.damaged(index)
    return checkpointing
  }

  #peers(): string[] {
    return Object.keys(this.#options.config.cluster).filter((id) => id !== this.#boot.node)
  }

  #membershipBasics() {
    const { clock, config } = this.#options
    const { logger } = config
    return { clock, logger, own: this.#boot.node, configured: Object.keys(config.cluster), driver: this.group.driver }
  }

  #makeOperations(): MembershipOperations {
    const peer = (id: string) => this.#mesh.identities(id)[0]
    return new MembershipOperations({ ...this.#membershipBasics(), applied: () => this.group.membership, peer })
  }

  #makeKeeper(): MembershipKeeper {
    return new MembershipKeeper({ ...this.#membershipBasics(), applied: this.group, mesh: this.#mesh })
  }

  #makeVolatile(): Volatile {
    return new Volatile({
      node: this.#boot.node,
      machine: this.group.machine,
      clock: this.#options.clock,
      mintNonce: this.#options.mintNonce,
      barrier: () => this.#barrier(),
      ready: () => this.group.ready,
      session: (id) => this.gateway.session(id),
      sendRequests: (to, requests) => this.#mesh.sendRequests(to, requests),
      sendReplies: (to, replies) => this.#mesh.sendReplies(to, replies),
      sendNotes: (to, notes) => this.#mesh.sendNotes(to, notes),
    })
  }

  #makeGateway(): Gateway {
    const { machine, router } = this.group
    const { config, clock } = this.#options
    const source = { machine, barrier: () => this.#barrier(), status: () => this.report.status() }
    return new Gateway({
      config,
      clock,
      boot: this.#boot,
      group: GROUP.id,
      router,
      bodies: new Bodies(this.#checkpointing.entries, (error) => this.fail(error)),
      owed: (session) => machine.owed(session),
      handlers: {
        onRequests: (session, items) => this.#volatile.ask(session, items),
        onReplies: (_, items) => this.#volatile.answer(items),
        onUnseen: (items) => this.#volatile.unseen(items),
        onQuery: (session, query) => answerQuery(source, session, query),
      },
    })
  }

  /** Resolves when this node's machine holds all that was committed anywhere at the call. */
  #barrier(): Promise<number> {
    return this.group.driver.readIndex(BARRIER_MS)
  }

  /** Joins the mesh and the group; clients are let in once this node has caught up. */
  start(): void {
    this.gateway.shut('NoQuorum', 'the node has not joined its cluster yet')
    this.#room.start()
    this.group.start()
    this.#checkpointing.start()
    this.#keeper.start()
    this.#mesh.start()
    this.#roleChanged(this.group.role)
  }

  /** Resolves when the node serves clients: it knows a leader and has caught up with it. Rejects when it fails or stops first. */
  async ready(): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      if (this.#stopped !== undefined) throw new MeshError('Closed', 'the node is stopped')
      if (this.group.ready) return
      await new Promise<void>((resolve) => this.#waiters.push(resolve))
    }
  }

  /** Takes a client's socket that has just opened. */
  adopt(socket: FrameSocket): void {
    this.gateway.adopt(socket)
  }

  /** Sends clients elsewhere, then leaves the mesh; resolves when both are done and storage may be closed. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#leave()
    return this.#stopped
  }

  /** Something broke that nobody can mend: a failed disk, damage, a broken invariant. */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return
    const failure = error instanceof Error ? error : new Error(String(error))
    this.#options.config.logger.error('the node stops itself', { error: failure })
    // What fails while it stops, a read of a closed log for one, makes it no more stopped.
    if (this.#stopped !== undefined) return
    this.#failure = failure
    this.#options.onFailed(failure)
  }

  #perform(effect: Effect): void {
    if (effect.type === 'bootRefused' && effect.node === this.#boot.node && effect.bootId === this.#boot.bootId) {
      const message = `another process runs node '${effect.node}' with a newer boot id`
      this.fail(new MeshError('Precondition', message))
      return
    }
    this.gateway.perform(effect)
    if (effect.type === 'attached') this.#volatile.attached(effect.to)
  }

  #roleChanged({ leader, role, term, established }: RoleChange): void {
    const { config, clock } = this.#options
    config.logger.info('role', { role, term, leader, established })
    this.#checkpointing.leaderChanged(leader)
    if (leader !== undefined) {
      this.#cancelLeaderless?.()
      this.#cancelLeaderless = undefined
    } else {
      // Counts from the loss of the leader: candidates that come and go in between are none.
      const shut = () => this.gateway.shut('NoQuorum', 'this node has no leader')
      // A cluster that stops as a whole has no log any more in which clients could move.
      const [ms, act] =
        this.#stopped === undefined
          ? [config.leaderlessCloseMs, shut]
          : [2 * config.electionTimeoutMs, () => this.gateway.endDrain()]
      this.#cancelLeaderless ??= clock.setTimer(ms, act)
    }
    this.#readinessChanged()
  }

  #memberChanged(member: MemberRole): void {
    // Removed; or not added yet, as far as its log is applied, and then nobody was let in before.
    if (member === 'none') return this.gateway.shut('Connection', 'this node is no member of the cluster')
    this.#options.storage.identity.markJoined().catch((error: unknown) => this.fail(error))
    this.#readinessChanged()
  }

  /** The leader says that another directory has the place of this one. */
  #replaced({ index, by }: Replacement): void {
    // What a leader of former days knows may have been overtaken by what this log holds.
    if (index < this.group.membershipIndex) return
    const what = `this data directory was replaced: to its cluster, node '${this.#boot.node}' is the directory ${by} now`
    this.fail(new MeshError('Precondition', `${what}; remove or empty this one to have it taken in anew`))
  }

  #readinessChanged(): void {
    if (!this.group.ready || this.#stopped !== undefined) return
    this.gateway.open()
    this.#wake()
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter()
  }

  async #leave(): Promise<void> {
    this.#keeper.stop()
    if (this.#failure === undefined && this.group.ready) await this.#takeLeave()
    this.#cancelLeaderless?.()
    this.#room.stop()
    this.gateway.shut('Connection', 'the node stops')
    // A failed node leads nobody: its peers should not wait for its clients' goodbyes.
    if (this.#failure !== undefined) this.#leaveMesh()
    await this.gateway.stop()
    if (this.#failure === undefined) await this.#checkpointing.finish()
    this.#leaveMesh()
    this.#wake()
  }

  /** A leader that stops in good order does not leave the others to find out: it hands over to whoever has caught up. */
  async #handOver(): Promise<void> {
    const { clock, config } = this.#options
    const { driver } = this.group
    if (this.group.role.role !== 'leader' || !driver.transferLeadership()) return
    const deadlineMs = clock.now() + config.electionTimeoutMs
    const isOver = () => this.group.role.role !== 'leader' && this.group.role.leader !== undefined
    while (!isOver() && clock.now() < deadlineMs) {
      await new Promise<void>((resolve) => void clock.setTimer(HANDOVER_LOOK_MS, resolve))
    }
  }

  /**
   * So that no client's call fails: leadership first, since publishes go on under the new leader while clients move; then the clients,
   * whose attachments elsewhere need a leader; then the requests and replies that others may still send here.
   */
  async #takeLeave(): Promise<void> {
    const { clock, config } = this.#options
    const untilMs = clock.now() + config.drainMs
    await this.#handOver()
    await this.gateway.drain(Math.max(0, untilMs - clock.now()))
    await this.#volatile.leave(Object.keys(config.cluster).filter((id) => this.#mesh.connected(id)))
  }

  #leaveMesh(): void {
    this.#checkpointing.stop()
    this.group.stop()
    this.#volatile.stop()
    this.#mesh.stop()
  }
}
