/**
 * A bare WebSocket for tests that speak the protocol by hand, mostly wrongly.
 */
import { WebSocket } from 'ws'
import { FrameKind, PROTOCOL_VERSION } from '../../wire/frame.ts'
import {
  decodeSessionFrame,
  encodeSessionFrame,
  type Fault,
  type Hello,
  type Welcome,
} from '../../wire/session-frames.ts'

export interface SocketEnd {
  /** The last frame that the other side sent before the end, if it was a fault. */
  readonly fault: Fault | undefined
  /** WebSocket close code; 1006: closed without one. */
  readonly closeCode: number
  /** HTTP status when the upgrade was refused. */
  readonly status: number | undefined
}

export class RawSocket {
  readonly socket: WebSocket
  readonly frames: Uint8Array[] = []
  readonly opened: Promise<void>
  /** Resolves when the socket is closed by whichever side. */
  readonly ended: Promise<SocketEnd>
  #arrived: () => void = () => {}

  constructor(url: string, path: '/client' | '/peer' | '/elsewhere', headers: Record<string, string> = {}) {
    this.socket = new WebSocket(new URL(path, url).href, { headers, perMessageDeflate: false })
    this.socket.binaryType = 'nodebuffer'
    let status: number | undefined
    this.socket.on('unexpected-response', (request, response) => {
      status = response.statusCode
      request.destroy()
      this.socket.emit('close', 1006, Buffer.alloc(0))
    })
    this.socket.on('error', () => {})
    this.socket.on('message', (data: Buffer) => {
      this.frames.push(data)
      this.#arrived()
    })
    this.opened = new Promise((resolve, reject) => {
      this.socket.once('open', resolve)
      this.socket.once('close', () => reject(new Error('closed before it was open')))
    })
    this.opened.catch(() => {})
    this.ended = new Promise((resolve) => {
      this.socket.once('close', (closeCode: number) => {
        this.#arrived()
        const last = this.frames.at(-1)
        const fault = last?.[0] === FrameKind.fault ? (decodeSessionFrame(last) as Fault) : undefined
        resolve({ fault, closeCode, status })
      })
    })
  }

  send(frame: Uint8Array | string): void {
    this.socket.send(frame)
  }

  /** The first frame of this kind; rejects when the socket closes without one. */
  async frame(kind: number): Promise<Uint8Array> {
    for (;;) {
      const found = this.frames.find((frame) => frame[0] === kind)
      if (found !== undefined) return found
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error(`closed without a frame of kind ${kind}`)
      await new Promise<void>((resolve) => {
        this.#arrived = resolve
      })
    }
  }

  async greet(hello: Partial<Hello> = {}): Promise<Welcome> {
    await this.opened
    this.send(encodeSessionFrame(FrameKind.hello, { version: PROTOCOL_VERSION, connection: 1, ...hello }))
    return decodeSessionFrame(await this.frame(FrameKind.welcome)) as Welcome
  }
}
