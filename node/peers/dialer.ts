/**
 * The dialing side of one peer link: keeps trying, at once after the close of a link that lived, then with growing, jittered
 * pauses. A link that closes right after its handshake (this node is no member there, another process has its name) is
 * such a failure too. A refused dial is told, since it is evidence that the peer's process is gone.
 */
import type { FrameSocket } from '../socket.ts'
import { Dialing } from './handshake.ts'
import { Link } from './link.ts'
import type { MeshOptions } from './mesh-options.ts'

const PAUSE_MS_MIN = 20
const PAUSE_MS_MAX = 1000
/** A link that lived for so long was of use: its close is no reason for a pause. */
const LINK_MS_MIN = 1000

export interface DialerHandlers {
  onLink(link: Link): void
  onRefused(): void
}

export class Dialer {
  readonly #options: MeshOptions
  readonly #peer: string
  readonly #url: string
  readonly #handlers: DialerHandlers
  #pauseMs = PAUSE_MS_MIN
  /** When the latest link was made, monotonic milliseconds. */
  #linkedAtMs = 0
  #cancelTimer: (() => void) | undefined
  #stopped = false

  constructor(options: MeshOptions, peer: string, url: string, handlers: DialerHandlers) {
    this.#options = options
    this.#peer = peer
    this.#url = url
    this.#handlers = handlers
  }

  start(): void {
    this.#dial()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelTimer?.()
  }

  /** The link that this dialer made is closed: dials again, at once if the link had lived. */
  redial(): void {
    if (this.#options.clock.now() - this.#linkedAtMs < LINK_MS_MIN) return this.#retry()
    this.#pauseMs = PAUSE_MS_MIN
    this.#dial()
  }

  #dial(): void {
    if (this.#stopped) return
    const { dial, handshakeTimeoutMs } = this.#options
    let linked = false
    dial(this.#url, handshakeTimeoutMs, {
      onOpen: (socket) => this.#greet(socket, () => (linked = true)),
      onRefused: () => {
        if (!this.#stopped) this.#handlers.onRefused()
      },
      onClose: () => {
        if (!linked) this.#retry()
      },
    })
  }

  #greet(socket: FrameSocket, onLinked: () => void): void {
    const { clock, handshakeTimeoutMs, logger, pingIntervalMs } = this.#options
    const handshake = new Dialing(this.#options, this.#peer)
    const cancelTimer = clock.setTimer(handshakeTimeoutMs, () => socket.terminate())
    socket.onClose(cancelTimer)
    socket.fail = (error) => {
      logger.warn('peer handshake failed', { peer: this.#peer, error: String(error) })
      socket.terminate()
    }
    socket.receive = (challenge) => {
      socket.send(handshake.answer(challenge))
      socket.receive = (reply) => {
        const peer = handshake.complete(reply)
        cancelTimer()
        if (this.#stopped) {
          // What came right behind the reply is no reply.
          socket.receive = () => {}
          return socket.terminate()
        }
        onLinked()
        this.#linkedAtMs = clock.now()
        socket.watch(pingIntervalMs)
        this.#handlers.onLink(new Link(peer, socket))
      }
    }
  }

  #retry(): void {
    if (this.#stopped) return
    const { clock, random } = this.#options
    const pauseMs = this.#pauseMs * (0.5 + random() / 2)
    this.#pauseMs = Math.min(2 * this.#pauseMs, PAUSE_MS_MAX)
    this.#cancelTimer = clock.setTimer(pauseMs, () => this.#dial())
  }
}
