/**
 * The accepting side of peer links: challenges whoever dials /peer, hands over a link once the answer proves the secret.
 */
import type { IncomingMessage } from 'node:http'
import { Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { type FrameSocket, refuseUpgrade, WebFrameSocket } from '../socket.ts'
import { Acceptance } from './handshake.ts'
import { Link, PEER_MESSAGE_BYTES_MAX } from './link.ts'
import type { MeshOptions } from './mesh-options.ts'

export class Listener {
  readonly #options: MeshOptions
  readonly #onLink: (link: Link) => void
  readonly #server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: PEER_MESSAGE_BYTES_MAX,
  })

  constructor(options: MeshOptions, onLink: (link: Link) => void) {
    this.#options = options
    this.#onLink = onLink
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Only browsers say where they come from, and no page is a peer: on loopback any of them could know the default secret.
    if (request.headers.origin !== undefined) return refuseUpgrade(socket, '403 Forbidden')
    if (!(socket instanceof NetSocket)) return refuseUpgrade(socket, '400 Bad Request')
    this.#server.handleUpgrade(request, socket, head, (accepted) => this.#greet(new WebFrameSocket(accepted, socket)))
  }

  stop(): void {
    for (const client of this.#server.clients) client.terminate()
  }

  #greet(socket: FrameSocket): void {
    const acceptance = new Acceptance(this.#options)
    const timer = setTimeout(() => socket.terminate(), this.#options.handshakeTimeoutMs)
    socket.onClose(() => clearTimeout(timer))
    socket.fail = (error) => {
      this.#options.logger.warn('refused a peer connection', { error: String(error) })
      socket.close(1008, String(error))
    }
    socket.receive = (frame) => {
      const { peer, reply } = acceptance.accept(frame)
      clearTimeout(timer)
      socket.send(reply)
      socket.watch(this.#options.pingIntervalMs)
      this.#onLink(new Link(peer, socket))
    }
    socket.send(acceptance.challenge())
  }
}
