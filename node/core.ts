/**
 * A node without its surroundings: the group, the clients' gateway, requests and replies, readiness and the report, wired
 * together on what it is given: storage that is open, a mesh, a clock, dice. The process around it is server.ts's; the
 * simulator gives it another one.
 *
 * Never: HTTP, sockets, files, real time.
 */
import type { Clock, GroupId, RoleChange } from '../raft/index.ts'
import { MeshError } from '../wire/errors.ts'
import { Bodies } from './bodies.ts'
import type { NodeConfig } from './config.ts'
import { Gateway } from './gateway/gateway.ts'
import { answerQuery } from './gateway/queries.ts'
import { Group } from './group.ts'
import type { MeshHandlers, MeshPort } from './peers/mesh-port.ts'
import type { Boot, Effect } from './queue/index.ts'
import { NodeReport } from './report.ts'
import type { FrameSocket } from './socket.ts'
import type { NodeStorage } from './storage/open-storage.ts'
import { Volatile } from './volatile.ts'

/** The only group until there are shards; its incarnation rises if it is ever made anew. */
export const GROUP: GroupId = { id: 0, incarnation: 1 }
/** A ReadIndex that a majority does not confirm in this time fails. Milliseconds. */
const BARRIER_MS = 5_000

export interface NodeCoreOptions {
  readonly config: NodeConfig
  readonly storage: NodeStorage
  readonly clock: Clock
  readonly wallNow: () => number
  /** In [0, 1). */
  readonly random: () => number
  readonly mintClusterId: () => string
  /** Called once, from the constructor; the mesh calls its handlers only after `start`. */
  readonly makeMesh: (handlers: MeshHandlers) => MeshPort
  /** Called at most once: the node cannot go on and has to be stopped. */
  readonly onFailed: (failure: Error) => void
}

export class NodeCore {
  readonly report: NodeReport
  readonly gateway: Gateway
  readonly group: Group
  readonly #options: NodeCoreOptions
  readonly #boot: Boot
  readonly #mesh: MeshPort
  readonly #volatile: Volatile
  readonly #waiters: (() => void)[] = []
  #cancelLeaderless: (() => void) | undefined
  #failure: Error | undefined
  #stopped: Promise<void> | undefined

  constructor(options: NodeCoreOptions) {
    const { config, storage, makeMesh } = options
    this.#options = options
    this.#boot = { node: config.id, bootId: storage.bootId }
    this.#mesh = makeMesh(this.#meshHandlers())
    this.group = this.#makeGroup()
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
      failure: () => this.#failure,
    })
  }

  #meshHandlers(): MeshHandlers {
    return {
      onRaft: (message) => this.group.driver.receive(message),
      onForward: (_, frame) => this.group.onForward(frame),
      onRequests: (from, requests) => this.#volatile.onRequests(from, requests),
      onReplies: (_, replies) => this.#volatile.onReplies(replies),
      // Nothing is fetched yet.
      onFetchRequest: () => {},
      onFetchResponse: () => {},
      onRoute: (peer) => this.group.onRoute(peer),
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
      clock,
      wallNow,
      random,
      mintClusterId,
      sendRaft: (message) => this.#mesh.sendRaft(message),
      forward: (leader, frame) => this.#mesh.forward(leader, frame),
      connected: (peer) => this.#mesh.connected(peer),
      onEffect: (effect) => this.#perform(effect),
      onFull: (full) => this.gateway.throttle(full),
      onRole: (change) => this.#roleChanged(change),
      onRegistered: () => this.#readinessChanged(),
      onFounded: (clusterId) => void identity.setClusterId(clusterId).catch(fatal),
      // Nothing compacts the log yet and no doubt is ever recorded, so neither is told.
      onInstall: () => {},
      onTrusted: () => {},
      onFatal: fatal,
    })
  }

  #makeVolatile(): Volatile {
    return new Volatile({
      node: this.#boot.node,
      machine: this.group.machine,
      clock: this.#options.clock,
      barrier: () => this.#barrier(),
      session: (id) => this.gateway.session(id),
      sendRequests: (to, requests) => this.#mesh.sendRequests(to, requests),
      sendReplies: (to, replies) => this.#mesh.sendReplies(to, replies),
    })
  }

  #makeGateway(): Gateway {
    const { driver, machine, router } = this.group
    const { config, clock } = this.#options
    const source = { machine, barrier: () => this.#barrier(), status: () => this.report.status() }
    return new Gateway({
      config,
      clock,
      boot: this.#boot,
      group: GROUP.id,
      router,
      bodies: new Bodies(driver, (error) => this.fail(error)),
      handlers: {
        onRequests: (session, items) => this.#volatile.ask(session, items),
        onReplies: (_, items) => this.#volatile.answer(items),
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
    this.group.start()
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
  }

  #roleChanged({ leader, role, term, established }: RoleChange): void {
    const { config, clock } = this.#options
    config.logger.info('role', { role, term, leader, established })
    if (leader !== undefined) {
      this.#cancelLeaderless?.()
      this.#cancelLeaderless = undefined
    } else if (this.#stopped === undefined) {
      // Counts from the loss of the leader: candidates that come and go in between are none.
      const shut = () => this.gateway.shut('NoQuorum', 'this node has no leader')
      this.#cancelLeaderless ??= clock.setTimer(config.leaderlessCloseMs, shut)
    }
    this.#readinessChanged()
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
    this.#cancelLeaderless?.()
    this.gateway.shut('Connection', 'the node stops')
    // A failed node leads nobody: its peers should not wait for its clients' goodbyes.
    if (this.#failure !== undefined) this.#leaveMesh()
    await this.gateway.stop()
    this.#leaveMesh()
    this.#wake()
  }

  #leaveMesh(): void {
    this.group.stop()
    this.#volatile.stop()
    this.#mesh.stop()
  }
}
