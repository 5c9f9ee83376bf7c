/**
 * One authenticated socket to a peer. What is written in one turn of the event loop leaves as few messages as possible.
 */
import type { FrameSocket } from '../socket.ts'
import type { PeerIdentity } from './handshake.ts'
import { ParcelWriter } from './parcel.ts'

/** A turn's parcels are split at this size, so that no message is near the receiver's limit. */
const MESSAGE_BYTES_TARGET = 1024 * 1024
/** Largest peer message: a target's worth and one append request of the largest entry. */
export const PEER_MESSAGE_BYTES_MAX = 4 * MESSAGE_BYTES_TARGET

export class Link {
  readonly peer: PeerIdentity
  readonly #socket: FrameSocket
  readonly #writer = new ParcelWriter()
  #scheduled = false

  constructor(peer: PeerIdentity, socket: FrameSocket) {
    this.peer = peer
    this.#socket = socket
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedBytes
  }

  write(add: (writer: ParcelWriter) => void): void {
    add(this.#writer)
    if (this.#writer.bytes >= MESSAGE_BYTES_TARGET) this.#flush()
    else if (!this.#scheduled) {
      this.#scheduled = true
      // After the turn's synchronous work (a driver's flush, an apply), before the next event.
      process.nextTick(() => {
        this.#scheduled = false
        this.#flush()
      })
    }
  }

  #flush(): void {
    if (!this.#writer.empty) this.#socket.send(this.#writer.take())
  }

  /** A handler that throws on bad bytes closes this link. */
  onMessage(handler: (message: Uint8Array) => void): void {
    this.#socket.receive = handler
    this.#socket.fail = (error) => this.#socket.close(1002, String(error))
  }

  onClose(handler: () => void): void {
    this.#socket.onClose(handler)
  }

  close(): void {
    this.#socket.terminate()
  }
}
