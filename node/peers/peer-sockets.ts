/**
 * Sockets between nodes over WebSockets: how one is dialed, and how HTTP upgrades of /peer become accepted ones. The simulator has
 * others.
 *
 * Never: who is at the other end (handshake.ts).
 */
import type { IncomingMessage } from 'node:http'
import { Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocket, WebSocketServer } from 'ws'
import { type FrameSocket, refuseUpgrade, WebFrameSocket } from '../socket.ts'
import { PEER_MESSAGE_BYTES_MAX } from './link.ts'
import type { DialHandlers } from './mesh-options.ts'

/** Dials the node at `url`. Gives up after `timeoutMs` without an answer. */
export function dialPeer(url: string, timeoutMs: number, handlers: DialHandlers): void {
  const dialing = new WebSocket(new URL('/peer', url), {
    perMessageDeflate: false,
    maxPayload: PEER_MESSAGE_BYTES_MAX,
    handshakeTimeout: timeoutMs,
  })
  dialing.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED') handlers.onRefused()
  })
  dialing.once('upgrade', (response) => handlers.onOpen(new WebFrameSocket(dialing, response.socket)))
  dialing.once('close', () => handlers.onClose())
}

export class PeerDoor {
  readonly #onSocket: (socket: FrameSocket) => void
  readonly #server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: PEER_MESSAGE_BYTES_MAX,
  })

  constructor(onSocket: (socket: FrameSocket) => void) {
    this.#onSocket = onSocket
  }

  /** Takes an HTTP upgrade of /peer over. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Only browsers say where they come from, and no page is a peer: on loopback any of them could know the default secret.
    if (request.headers.origin !== undefined) return refuseUpgrade(socket, '403 Forbidden')
    if (!(socket instanceof NetSocket)) return refuseUpgrade(socket, '400 Bad Request')
    this.#server.handleUpgrade(request, socket, head, (accepted) =>
      this.#onSocket(new WebFrameSocket(accepted, socket)),
    )
  }
}
