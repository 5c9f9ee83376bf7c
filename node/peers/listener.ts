/**
 * The accepting side of peer links: challenges whoever has dialed this node, hands over a link once the answer proves the secret.
 */
import type { FrameSocket } from '../socket.ts'
import { Acceptance } from './handshake.ts'
import { Link } from './link.ts'
import type { MeshOptions } from './mesh-options.ts'

export class Listener {
  readonly #options: MeshOptions
  readonly #onLink: (link: Link) => void
  readonly #sockets = new Set<FrameSocket>()

  constructor(options: MeshOptions, onLink: (link: Link) => void) {
    this.#options = options
    this.#onLink = onLink
  }

  accept(socket: FrameSocket): void {
    const { clock, handshakeTimeoutMs, logger, pingIntervalMs } = this.#options
    const acceptance = new Acceptance(this.#options)
    const cancelTimer = clock.setTimer(handshakeTimeoutMs, () => socket.terminate())
    this.#sockets.add(socket)
    socket.onClose(() => {
      cancelTimer()
      this.#sockets.delete(socket)
    })
    socket.fail = (error) => {
      logger.warn('refused a peer connection', { error: String(error) })
      socket.close(1008, String(error))
    }
    socket.receive = (frame) => {
      const { peer, reply } = acceptance.accept(frame)
      cancelTimer()
      socket.send(reply)
      socket.watch(pingIntervalMs)
      this.#onLink(new Link(peer, socket))
    }
    socket.send(acceptance.challenge())
  }

  stop(): void {
    for (const socket of this.#sockets) socket.terminate()
  }
}
