/**
 * What every WebSocket of a node, to a client or a peer, does alike: frames of one turn leave in one write, a dead
 * other end is noticed, errors close this socket and nothing else.
 */
import type { Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { RawData, WebSocket } from 'ws'
import { InvariantError } from '../raft/index.ts'

/** Time for the other end to answer a close, milliseconds. */
const CLOSE_MS = 1_000
/** RFC 6455 §5.5: a control frame carries 125 bytes, two of them the code. */
const CLOSE_REASON_BYTES_MAX = 123

/** One end of a message socket, over TCP or within the process (local-socket.ts). */
export interface FrameSocket {
  readonly open: boolean
  /** Bytes that wait in this process for the other end. */
  readonly bufferedBytes: number
  /** Gets binary frames; when it throws, or a text frame comes, `fail` is called. Handed on as a handshake proceeds. */
  receive: (frame: Uint8Array) => void
  /** Told of bad bytes from the other end. A broken invariant is no such thing: it goes on to end the process. */
  fail: (error: unknown) => void
  /** Dropped silently when the socket is not open: its close is, or will be, an event of its own. */
  send(frame: Uint8Array): void
  onClose(handler: () => void): void
  /** Buffered bytes have left. */
  onDrain(handler: () => void): void
  pause(): void
  resume(): void
  /** Orderly: what was sent still leaves. */
  close(code: number, reason: string): void
  /** At once. */
  terminate(): void
  /** Ends the socket when it stays silent, a WebSocket ping included, for a whole interval. */
  watch(intervalMs: number): void
}

/** A ws socket over its TCP socket, corked from the first frame of a turn until the turn's microtasks are done. */
export class WebFrameSocket implements FrameSocket {
  readonly #socket: WebSocket
  readonly #net: NetSocket
  #corked = false

  receive: (frame: Uint8Array) => void = () => {}
  fail: (error: unknown) => void = () => this.terminate()

  constructor(socket: WebSocket, net: NetSocket) {
    this.#socket = socket
    this.#net = net
    net.setNoDelay(true)
    // A ws error (bad frame, oversized, reset) is always followed by close; without a listener it would end the process.
    socket.on('error', () => {})
    socket.on('message', (data: RawData, isBinary: boolean) => {
      try {
        if (!isBinary || !(data instanceof Uint8Array)) throw new RangeError('not a binary frame')
        this.receive(data)
      } catch (error) {
        if (error instanceof InvariantError) throw error
        this.#failSafely(error)
      }
    })
  }

  /** Bad bytes end this socket, even if saying so fails as well. */
  #failSafely(error: unknown): void {
    try {
      this.fail(error)
    } catch {
      this.terminate()
    }
  }

  get open(): boolean {
    return this.#socket.readyState === this.#socket.OPEN
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount
  }

  send(frame: Uint8Array): void {
    if (!this.open) return
    if (!this.#corked) {
      this.#corked = true
      this.#net.cork()
      process.nextTick(() => {
        this.#corked = false
        this.#net.uncork()
      })
    }
    this.#socket.send(frame, { binary: true })
  }

  onClose(handler: () => void): void {
    this.#socket.once('close', handler)
  }

  onDrain(handler: () => void): void {
    this.#net.on('drain', handler)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  close(code: number, reason: string): void {
    // The reason may quote what the other end sent; a close frame holds 123 bytes, so it is kept to as many characters of one.
    this.#socket.close(code, reason.replace(/[^\x20-\x7e]/g, '?').slice(0, CLOSE_REASON_BYTES_MAX))
    // Who does not answer a close gets no more time than this.
    setTimeout(() => this.terminate(), CLOSE_MS).unref()
  }

  terminate(): void {
    this.#socket.terminate()
  }

  watch(intervalMs: number): void {
    let alive = true
    const heard = () => {
      alive = true
    }
    this.#socket.on('pong', heard).on('message', heard)
    const look = () => {
      // What is not read cannot be heard.
      if (!alive && !this.#socket.isPaused) return this.terminate()
      alive = false
      if (this.open) this.#socket.ping()
    }
    // After a stall of this process the answers are already waiting: they are read before the look.
    const timer = setInterval(() => setImmediate(look), intervalMs)
    this.#socket.once('close', () => clearInterval(timer))
  }
}

/** Answers an upgrade with an HTTP error. The other end may not keep its half open: nobody would ever close it. */
export function refuseUpgrade(socket: Duplex, status: string): void {
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
