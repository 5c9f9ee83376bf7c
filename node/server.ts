/**
 * A node in this process: opens its storage, listens, gives a core (core.ts) real sockets, files and time, and takes all of it
 * down again. Nothing but the doors (index.ts, cli/) imports it.
 */

import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { nanoid } from 'nanoid'
import { MeshError } from '../wire/errors.ts'
import { formatHostPort, type HostPort } from './address.ts'
import { type ClusterControl, createAdminHandler, NodeMetrics, type NodeStatus } from './admin/index.ts'
import { readCheckpoint } from './checkpointing/read-checkpoint.ts'
import { systemClock } from './clock.ts'
import { type NodeConfig, type NodeOptions, parseNodeOptions } from './config.ts'
import { GROUP, NodeCore } from './core.ts'
import { ClientDoor } from './gateway/client-door.ts'
import { Nonces } from './gateway/nonces.ts'
import type { RecoveredState } from './group.ts'
import type { Logger } from './logger.ts'
import { selfOf } from './peers/handshake.ts'
import { Mesh } from './peers/mesh.ts'
import type { MeshHandlers } from './peers/mesh-port.ts'
import { dialPeer, PeerDoor } from './peers/peer-sockets.ts'
import { type FrameSocket, refuseUpgrade } from './socket.ts'
import type { Files } from './storage/files.ts'
import { LevelStore } from './storage/level-store.ts'
import { nodeFiles } from './storage/node-files.ts'
import { type NodeStorage, openStorage } from './storage/open-storage.ts'

/** A link to a peer that was silent for so long is pinged; after as long again it is closed. Milliseconds. */
const PEER_PING_MS = 2_000

export class Node {
  readonly config: NodeConfig
  /**
   * Rejects when the node met a failed disk, damage or a broken invariant and has stopped itself: what it acknowledged is safe,
   * but it cannot go on. Where nobody handles the rejection it ends the process, as it should. Never resolves.
   */
  readonly failed: Promise<never>
  readonly #storage: NodeStorage
  readonly #metrics: NodeMetrics
  /** Made while the core is, out of what the core wants to be told. */
  #mesh!: Mesh
  readonly #core: NodeCore
  readonly #clientDoor: ClientDoor
  readonly #peerDoor: PeerDoor
  readonly #server: Server
  /** Sockets that left HTTP behind: the server does not close them. */
  readonly #upgraded = new Set<Duplex>()
  #stopped: Promise<void> | undefined

  /** Resolves once the node listens. Rejects with MeshError when the options, the directory or the port will not do. */
  static async start(options: NodeOptions, files: Files = nodeFiles): Promise<Node> {
    const config = parseNodeOptions(options)
    const metrics = new NodeMetrics()
    let node: Node | undefined
    const onFailure = (error: Error): void => {
      if (node !== undefined) node.#core.fail(error)
    }
    const storage = await openStorage({
      files,
      dataDir: config.dataDir,
      nodeId: config.id,
      openStore: (directory) => LevelStore.open({ files, directory, onFailure }),
      group: GROUP,
      alone: Object.keys(config.cluster).length === 1,
      segmentBytes: config.segmentBytes,
      mintIncarnation: nanoid,
      wallNow: Date.now,
      clock: systemClock,
      onSync: (durationMs) => metrics.observeSync(durationMs / 1000),
      onFailure,
    })
    tellDamage(config.logger, storage)
    try {
      node = new Node(config, storage, metrics, await readCheckpoint(storage.checkpoints))
      await node.#listen()
    } catch (error) {
      await (node?.stop() ?? storage.close())
      throw error
    }
    node.#core.start()
    return node
  }

  private constructor(
    config: NodeConfig,
    storage: NodeStorage,
    metrics: NodeMetrics,
    recovered: RecoveredState | undefined,
  ) {
    this.config = config
    this.#metrics = metrics
    metrics.start()
    let rejectFailed: (error: Error) => void = () => {}
    this.failed = new Promise<never>((_, reject) => {
      rejectFailed = reject
    })
    this.#storage = storage
    const nonces = new Nonces()
    this.#core = new NodeCore({
      config,
      storage,
      recovered,
      clock: systemClock,
      wallNow: Date.now,
      random: Math.random,
      mintClusterId: nanoid,
      mintNonce: () => nonces.next(),
      makeMesh: (handlers) => {
        this.#mesh = this.#makeMesh(handlers)
        return this.#mesh
      },
      onFailed: (failure) => {
        void this.stop()
        rejectFailed(failure)
      },
    })
    this.#clientDoor = new ClientDoor(config, this.#core.gateway)
    this.#peerDoor = new PeerDoor((socket) => this.#mesh.accept(socket))
    this.#server = createServer(
      { headersTimeout: config.handshakeTimeoutMs, connectionsCheckingInterval: 1_000 },
      createAdminHandler(this.#core.report, { metrics, tokens: config.tokens, cluster: this.#clusterControl() }),
    )
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
  }

  #makeMesh(handlers: MeshHandlers): Mesh {
    const { id, cluster, clusterName, secret, logger, peerBufferBytesMax, handshakeTimeoutMs } = this.config
    const options = {
      cluster: clusterName,
      secret,
      self: selfOf(this.#storage.identity),
      group: GROUP,
      clock: systemClock,
      random: Math.random,
      dial: dialPeer,
      peers: new Map(Object.entries(cluster).filter(([peer]) => peer !== id)),
      logger,
      bufferBytesMax: peerBufferBytesMax,
      handshakeTimeoutMs,
      pingIntervalMs: PEER_PING_MS,
    }
    return new Mesh(options, handlers)
  }

  #clusterControl(): ClusterControl {
    const { cluster } = this.config
    return {
      run: (operation) => this.#core.operations.run(operation),
      urlOf: (id) => (Object.hasOwn(cluster, id) ? cluster[id] : undefined),
    }
  }

  /** Where it listens, with the port that it got. */
  get address(): HostPort {
    const { port } = this.#server.address() as AddressInfo
    return { host: this.config.listen.host, port }
  }

  status(wants?: { readonly stateHash?: boolean }): NodeStatus {
    return this.#core.report.status(wants)
  }

  /** Resolves when the node serves clients: it knows a leader and has caught up with it. Rejects when it fails or stops first. */
  ready(): Promise<void> {
    return this.#core.ready()
  }

  /** Serves a client at the other end of a socket within the process. */
  adopt(socket: FrameSocket): void {
    this.#core.adopt(socket)
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

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => {})
    this.#upgraded.add(socket)
    socket.once('close', () => this.#upgraded.delete(socket))
    const path = request.url?.split('?', 1)[0]
    if (path === '/client') this.#clientDoor.upgrade(request, socket, head)
    else if (path === '/peer') this.#peerDoor.upgrade(request, socket, head)
    else refuseUpgrade(socket, '404 Not Found')
  }

  async #close(): Promise<void> {
    // From now on whoever dials is refused: to clients a reason to go elsewhere, to peers evidence.
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    await this.#core.stop()
    this.#server.closeAllConnections()
    for (const socket of this.#upgraded) socket.destroy()
    await closed
    this.#metrics.stop()
    await this.#storage.close()
  }
}

/** What the start found on the disk that is not as it was left. */
function tellDamage(logger: Logger, { report, checkpoints, doubt }: NodeStorage): void {
  const { torn, damages } = report
  if (torn !== undefined) logger.warn('cut an unfinished batch off the log: a crash tore it', { ...torn })
  for (const damage of damages) logger.error('the log is damaged', { ...damage })
  if (checkpoints.damaged) logger.error('the checkpoint is damaged')
  if (doubt !== undefined) {
    logger.warn('this node may have forgotten what it promised: it counts again once the cluster has made sure', {
      ...doubt,
    })
  }
}
