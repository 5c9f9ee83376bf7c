/**
 * A message socket within the process: what an embedded node gives its own service instead of TCP. Frames are passed by
 * reference, in order, in a later turn, so that neither side runs inside the other's call.
 *
 * Never: a copy; both sides treat a frame that they sent or got as immutable.
 */
import { InvariantError } from '../raft/index.ts'
import type { FrameSocket } from './socket.ts'

export class LocalSocket implements FrameSocket {
  receive: (frame: Uint8Array) => void = () => {}
  fail: (error: unknown) => void = () => this.terminate()
  /** Set by `pair`, before anybody sees either end. */
  #peer: LocalSocket = this
  #open = true
  #paused = false
  #inbox: Uint8Array[] = []
  #inboxBytes = 0
  #scheduled = false
  readonly #onClose: (() => void)[] = []
  readonly #onDrain: (() => void)[] = []

  /** Two ends of one socket. */
  static pair(): [LocalSocket, LocalSocket] {
    const one = new LocalSocket()
    const other = new LocalSocket()
    one.#peer = other
    other.#peer = one
    return [one, other]
  }

  get open(): boolean {
    return this.#open
  }

  get bufferedBytes(): number {
    return this.#peer.#inboxBytes
  }

  send(frame: Uint8Array): void {
    const peer = this.#peer
    if (!this.#open) return
    peer.#inbox.push(frame)
    peer.#inboxBytes += frame.length
    peer.#schedule()
  }

  onClose(handler: () => void): void {
    this.#onClose.push(handler)
  }

  onDrain(handler: () => void): void {
    this.#onDrain.push(handler)
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#schedule()
  }

  /** What was sent before is still received by the other end. */
  close(): void {
    this.#end()
    setImmediate(() => this.#peer.#end())
  }

  terminate(): void {
    this.close()
  }

  /** An end within the process cannot go silent without closing. */
  watch(): void {}

  #schedule(): void {
    if (this.#scheduled || this.#paused) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#drain()
    })
  }

  #drain(): void {
    while (this.#inbox.length > 0 && !this.#paused && this.#open) {
      const frames = this.#inbox
      this.#inbox = []
      this.#inboxBytes = 0
      for (const frame of frames) this.#hand(frame)
      for (const handler of this.#peer.#onDrain) handler()
    }
  }

  #hand(frame: Uint8Array): void {
    try {
      this.receive(frame)
    } catch (error) {
      if (error instanceof InvariantError) throw error
      this.fail(error)
    }
  }

  #end(): void {
    if (!this.#open) return
    this.#open = false
    for (const handler of this.#onClose) handler()
  }
}
