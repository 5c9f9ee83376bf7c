/**
 * A node: opens its storage, joins its group, listens, and takes all of it down again. The one place where everything
 * is wired together; nothing but the doors (index.ts, cli/) imports it.
 */

import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { nanoid } from 'nanoid'
import type { GroupId, RoleChange } from '../raft/index.ts'
import { MeshError } from '../wire/errors.ts'
import { formatHostPort, type HostPort } from './address.ts'
import { createAdminHandler, NodeMetrics, type NodeStatus } from './admin/index.ts'
import { Bodies } from './bodies.ts'
import { systemClock } from './clock.ts'
import { type NodeConfig, type NodeOptions, parseNodeOptions } from './config.ts'
import { Gateway } from './gateway/gateway.ts'
import { answerQuery } from './gateway/queries.ts'
import { Group } from './group.ts'
import { Mesh } from './peers/mesh.ts'
import type { Boot, Effect } from './queue/index.ts'
import { NodeReport } from './report.ts'
import { type FrameSocket, refuseUpgrade } from './socket.ts'
import { nodeFiles } from './storage/node-files.ts'
import { type NodeStorage, openStorage } from './storage/open-storage.ts'
import { Volatile } from './volatile.ts'

/** The only group until there are shards; its incarnation rises if it is ever made anew. */
const GROUP: GroupId = { id: 0, incarnation: 1 }
/** A link to a peer that was silent for so long is pinged; after as long again it is closed. Milliseconds. */
const PEER_PING_MS = 2_000
/** A ReadIndex that a majority does not confirm in this time fails. Milliseconds. */
const BARRIER_MS = 5_000

export class Node {
  readonly config: NodeConfig
  /**
   * Rejects when the node met a failed disk, damage or a broken invariant and has stopped itself: what it acknowledged is safe,
   * but it cannot go on. Where nobody handles the rejection it ends the process, as it should. Never resolves.
   */
  readonly failed: Promise<never>
  readonly #rejectFailed: (error: Error) => void
  readonly #boot: Boot
  readonly #storage: NodeStorage
  readonly #server: Server
  readonly #mesh: Mesh
  readonly #group: Group
  readonly #gateway: Gateway
  readonly #volatile: Volatile
  readonly #report: NodeReport
  readonly #waiters: (() => void)[] = []
  /** Sockets that left HTTP behind: the server does not close them. */
  readonly #upgraded = new Set<Duplex>()
  #leaderless: NodeJS.Timeout | undefined
  #failure: Error | undefined
  #stopped: Promise<void> | undefined

  /** Resolves once the node listens. Rejects with MeshError when the options, the directory or the port will not do. */
  static async start(options: NodeOptions): Promise<Node> {
    const config = parseNodeOptions(options)
    const metrics = new NodeMetrics()
    let node: Node | undefined
    const storage = await openStorage({
      files: nodeFiles,
      dataDir: config.dataDir,
      nodeId: config.id,
      mintIncarnation: nanoid,
      wallNow: Date.now,
      clock: systemClock,
      onSync: (durationMs) => metrics.observeSync(durationMs / 1000),
      onFailure: (error) => {
        if (node !== undefined) node.#fail(error)
      },
    })
    const { doubt } = storage.wal
    if (doubt !== undefined) config.logger.warn('cut an unfinished batch off the log: a crash tore it', { ...doubt })
    try {
      node = new Node(config, storage, metrics)
      await node.#listen()
    } catch (error) {
      await (node?.stop() ?? storage.close())
      throw error
    }
    node.#begin()
    return node
  }

  private constructor(config: NodeConfig, storage: NodeStorage, metrics: NodeMetrics) {
    this.config = config
    let rejectFailed: (error: Error) => void = () => {}
    this.failed = new Promise<never>((_, reject) => {
      rejectFailed = reject
    })
    this.#rejectFailed = rejectFailed
    this.#storage = storage
    this.#boot = { node: config.id, bootId: storage.bootId }
    this.#mesh = this.#makeMesh()
    this.#group = this.#makeGroup()
    this.#volatile = this.#makeVolatile()
    this.#gateway = this.#makeGateway()
    this.#report = new NodeReport({
      config,
      boot: this.#boot,
      incarnation: storage.identity.incarnation,
      groupId: GROUP,
      group: this.#group,
      gateway: this.#gateway,
      mesh: this.#mesh,
      failure: () => this.#failure,
    })
    this.#server = createServer(
      { headersTimeout: config.handshakeTimeoutMs, connectionsCheckingInterval: 1_000 },
      createAdminHandler(this.#report, { metrics, tokens: config.tokens }),
    )
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
  }

  #makeMesh(): Mesh {
    const { id, cluster, clusterName, secret, logger, peerBufferBytesMax, handshakeTimeoutMs } = this.config
    const options = {
      cluster: clusterName,
      secret,
      self: { ...this.#boot, incarnation: this.#storage.identity.incarnation },
      group: GROUP,
      peers: new Map(Object.entries(cluster).filter(([peer]) => peer !== id)),
      logger,
      bufferBytesMax: peerBufferBytesMax,
      handshakeTimeoutMs,
      pingIntervalMs: PEER_PING_MS,
    }
    return new Mesh(options, {
      onRaft: (message) => this.#group.driver.receive(message),
      onForward: (_, frame) => this.#group.onForward(frame),
      onRequests: (from, requests) => this.#volatile.onRequests(from, requests),
      onReplies: (_, replies) => this.#volatile.onReplies(replies),
      onRoute: (peer) => this.#group.onRoute(peer),
      onLost: (peer) => this.#volatile.onLost(peer),
      onEvidence: (peer, down) => {
        if (down) this.#group.driver.peerDown(peer)
        else this.#group.driver.peerUp(peer)
      },
    })
  }

  #makeGroup(): Group {
    const { identity, wal } = this.#storage
    const fatal = (error: unknown) => this.#fail(error)
    return new Group({
      group: GROUP,
      config: this.config,
      boot: this.#boot,
      incarnation: identity.incarnation,
      storage: wal.group(GROUP),
      clock: systemClock,
      wallNow: Date.now,
      mintClusterId: nanoid,
      sendRaft: (message) => this.#mesh.sendRaft(message),
      forward: (leader, frame) => this.#mesh.forward(leader, frame),
      connected: (peer) => this.#mesh.connected(peer),
      onEffect: (effect) => this.#perform(effect),
      onFull: (full) => this.#gateway.throttle(full),
      onRole: (change) => this.#roleChanged(change),
      onRegistered: () => this.#readinessChanged(),
      onFounded: (clusterId) => void identity.setClusterId(clusterId).catch(fatal),
      onFatal: fatal,
    })
  }

  #makeVolatile(): Volatile {
    return new Volatile({
      node: this.config.id,
      machine: this.#group.machine,
      clock: systemClock,
      barrier: () => this.#barrier(),
      session: (id) => this.#gateway.session(id),
      sendRequests: (to, requests) => this.#mesh.sendRequests(to, requests),
      sendReplies: (to, replies) => this.#mesh.sendReplies(to, replies),
    })
  }

  #makeGateway(): Gateway {
    const { driver, machine, router } = this.#group
    const source = { machine, barrier: () => this.#barrier(), status: () => this.status() }
    return new Gateway({
      config: this.config,
      boot: this.#boot,
      group: GROUP.id,
      router,
      bodies: new Bodies(driver, (error) => this.#fail(error)),
      handlers: {
        onRequests: (session, items) => this.#volatile.ask(session, items),
        onReplies: (_, items) => this.#volatile.answer(items),
        onQuery: (session, query) => answerQuery(source, session, query),
      },
    })
  }

  /** Resolves when this node's machine holds all that was committed anywhere at the call. */
  #barrier(): Promise<number> {
    return this.#group.driver.readIndex(BARRIER_MS)
  }

  /** Where it listens, with the port that it got. */
  get address(): HostPort {
    const { port } = this.#server.address() as AddressInfo
    return { host: this.config.listen.host, port }
  }

  status(wants?: { readonly stateHash?: boolean }): NodeStatus {
    return this.#report.status(wants)
  }

  /** Resolves when the node serves clients: it knows a leader and has caught up with it. Rejects when it fails or stops first. */
  async ready(): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      if (this.#stopped !== undefined) throw new MeshError('Closed', 'the node is stopped')
      if (this.#group.ready) return
      await new Promise<void>((resolve) => this.#waiters.push(resolve))
    }
  }

  /** Serves a client at the other end of a socket within the process. */
  adopt(socket: FrameSocket): void {
    this.#gateway.adopt(socket)
  }

  /** Sends clients elsewhere, leaves the mesh, closes the log. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#close()
    return this.#stopped
  }

  async #listen(): Promise<void> {
    const { host, port } = this.config.listen
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        const why = error.code === 'EADDRINUSE' ? `${formatHostPort({ host, port })} is in use` : error.message
        reject(new MeshError('Precondition', why, { cause: error }))
      })
      this.#server.listen(port, host, resolve)
    })
    // Of accepting: the process is out of descriptors, say. Those who are connected go on.
    this.#server.on('error', (error) => this.config.logger.error('cannot accept connections', { error }))
  }

  #begin(): void {
    this.#gateway.shut('NoQuorum', 'the node has not joined its cluster yet')
    this.#group.start()
    this.#mesh.start()
    this.#roleChanged(this.#group.role)
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => {})
    this.#upgraded.add(socket)
    socket.once('close', () => this.#upgraded.delete(socket))
    const path = request.url?.split('?', 1)[0]
    if (path === '/client') this.#gateway.upgrade(request, socket, head)
    else if (path === '/peer') this.#mesh.upgrade(request, socket, head)
    else refuseUpgrade(socket, '404 Not Found')
  }

  #perform(effect: Effect): void {
    if (effect.type === 'bootRefused' && effect.node === this.#boot.node && effect.bootId === this.#boot.bootId) {
      const message = `another process runs node '${effect.node}' with a newer boot id`
      this.#fail(new MeshError('Precondition', message))
      return
    }
    this.#gateway.perform(effect)
  }

  #roleChanged({ leader, role, term, established }: RoleChange): void {
    this.config.logger.info('role', { role, term, leader, established })
    if (leader !== undefined) {
      clearTimeout(this.#leaderless)
      this.#leaderless = undefined
    } else if (this.#stopped === undefined) {
      // Counts from the loss of the leader: candidates that come and go in between are none.
      const shut = () => this.#gateway.shut('NoQuorum', 'this node has no leader')
      this.#leaderless ??= setTimeout(shut, this.config.leaderlessCloseMs)
    }
    this.#readinessChanged()
  }

  #readinessChanged(): void {
    if (!this.#group.ready || this.#stopped !== undefined) return
    this.#gateway.open()
    this.#wake()
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter()
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return
    const failure = error instanceof Error ? error : new Error(String(error))
    this.config.logger.error('the node stops itself', { error: failure })
    // What fails while it stops, a read of a closed log for one, makes it no more stopped.
    if (this.#stopped !== undefined) return
    this.#failure = failure
    void this.stop()
    this.#rejectFailed(failure)
  }

  async #close(): Promise<void> {
    clearTimeout(this.#leaderless)
    this.#gateway.shut('Connection', 'the node stops')
    // From now on whoever dials is refused: to clients a reason to go elsewhere, to peers evidence.
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    // A failed node leads nobody: its peers should not wait for its clients' goodbyes.
    if (this.#failure !== undefined) this.#leaveMesh()
    await this.#gateway.stop()
    this.#leaveMesh()
    this.#wake()
    this.#server.closeAllConnections()
    for (const socket of this.#upgraded) socket.destroy()
    await closed
    await this.#storage.close()
  }

  #leaveMesh(): void {
    this.#group.stop()
    this.#volatile.stop()
    this.#mesh.stop()
  }
}
