/**
 * The door for services that embed a node: `import { startNode } from 'meshmq/node'`.
 */
import type { Client, ConnectOptions } from '../client/index.ts'
import { connectWith } from '../client/index.ts'
import type { OpenSocket } from '../client/socket.ts'
import { formatHostPort } from './address.ts'
import type { NodeStatus } from './admin/index.ts'
import { systemClock } from './clock.ts'
import type { NodeOptions } from './config.ts'
import { LocalSocket } from './local-socket.ts'
import { Node } from './server.ts'

export type { NodeStatus } from './admin/index.ts'
export type { NodeOptions } from './config.ts'
export type { Logger, LogLevel } from './logger.ts'
export { repairNode } from './repair.ts'

export interface MeshNode {
  readonly id: string
  /** Under which clients on this machine reach it: `ws://host:port`. */
  readonly url: string
  readonly port: number
  /** Resolves once it serves clients: it knows a leader and has caught up with it. Rejects when it fails or stops first. */
  ready(): Promise<void>
  /** An SDK client of this node without TCP in between. Same API as `connect`. */
  connect(options?: Omit<ConnectOptions, 'servers'>): Promise<Client>
  status(wants?: { readonly stateHash?: boolean }): NodeStatus
  /** Sends its clients elsewhere, leaves the mesh, closes its files. May be called again. */
  stop(): Promise<void>
  /**
   * Rejects when the node has stopped itself on a failed disk, damage or a broken invariant; where nobody handles that, it
   * ends the process. Never resolves.
   */
  readonly failed: Promise<never>
}

/**
 * Starts a node in this process. Resolves when it listens; members may start in any order (see `ready`).
 *
 * Rejects with MeshError `Validation` for bad options, `Precondition` for a port in use; with the storage's errors for a
 * directory that is damaged, in use or another node's.
 */
export async function startNode(options: NodeOptions): Promise<MeshNode> {
  const node = await Node.start(options)
  const { port } = node.address
  const url = `ws://${formatHostPort(node.address)}`
  return {
    id: node.config.id,
    url,
    port,
    ready: () => node.ready(),
    connect: (clientOptions = {}) =>
      connectWith(localDoor(node), { servers: url, token: node.config.tokens[0], ...clientOptions }),
    status: (wants) => node.status(wants),
    stop: () => node.stop(),
    failed: node.failed,
  }
}

/** Gives the SDK a socket to this node, whatever the URL. */
function localDoor(node: Node): OpenSocket {
  return (_, handlers) => {
    const [own, nodes] = LocalSocket.pair()
    own.receive = (frame) => handlers.onFrame(frame)
    own.onClose(() => handlers.onClose('the node closed the socket'))
    systemClock.defer(() => {
      if (!own.open) return
      handlers.onOpen()
      node.adopt(nodes)
    })
    return {
      send: (frame) => own.send(frame),
      close: () => own.close(),
      terminate: () => own.terminate(),
    }
  }
}
