/**
 * The dialing side of one peer link: keeps trying, at once after the close of a link that lived, then with growing, jittered
 * pauses. A link that closes right after its handshake (this node is no member there, another process has its name) is
 * such a failure too. A refused dial is told, since it is evidence that the peer's process is gone.
 */
import type { Socket as NetSocket } from 'node:net'
import { WebSocket } from 'ws'
import { WebFrameSocket } from '../socket.ts'
import { Dialing } from './handshake.ts'
import { Link, PEER_MESSAGE_BYTES_MAX } from './link.ts'
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
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(options: MeshOptions, peer: string, url: string, handlers: DialerHandlers) {
    this.#options = options
    this.#peer = peer
    this.#url = new URL('/peer', url).href
    this.#handlers = handlers
  }

  start(): void {
    this.#dial()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  /** The link that this dialer made is closed: dials again, at once if the link had lived. */
  redial(): void {
    if (performance.now() - this.#linkedAtMs < LINK_MS_MIN) return this.#retry()
    this.#pauseMs = PAUSE_MS_MIN
    this.#dial()
  }

  #dial(): void {
    if (this.#stopped) return
    const { handshakeTimeoutMs } = this.#options
    const dialing = new WebSocket(this.#url, {
      perMessageDeflate: false,
      maxPayload: PEER_MESSAGE_BYTES_MAX,
      handshakeTimeout: handshakeTimeoutMs,
    })
    let linked = false
    dialing.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' && !this.#stopped) this.#handlers.onRefused()
    })
    dialing.once('upgrade', (response) => this.#greet(dialing, response.socket, () => (linked = true)))
    dialing.once('close', () => {
      if (!linked) this.#retry()
    })
  }

  #greet(dialing: WebSocket, net: NetSocket, onLinked: () => void): void {
    const { handshakeTimeoutMs, logger, pingIntervalMs } = this.#options
    const socket = new WebFrameSocket(dialing, net)
    const handshake = new Dialing(this.#options, this.#peer)
    const timer = setTimeout(() => socket.terminate(), handshakeTimeoutMs)
    socket.onClose(() => clearTimeout(timer))
    socket.fail = (error) => {
      logger.warn('peer handshake failed', { peer: this.#peer, error: String(error) })
      socket.terminate()
    }
    socket.receive = (challenge) => {
      socket.send(handshake.answer(challenge))
      socket.receive = (reply) => {
        const peer = handshake.complete(reply)
        clearTimeout(timer)
        if (this.#stopped) return socket.terminate()
        onLinked()
        this.#linkedAtMs = performance.now()
        socket.watch(pingIntervalMs)
        this.#handlers.onLink(new Link(peer, socket))
      }
    }
  }

  #retry(): void {
    if (this.#stopped) return
    const pauseMs = this.#pauseMs * (0.5 + Math.random() / 2)
    this.#pauseMs = Math.min(2 * this.#pauseMs, PAUSE_MS_MAX)
    this.#timer = setTimeout(() => this.#dial(), pauseMs)
  }
}
