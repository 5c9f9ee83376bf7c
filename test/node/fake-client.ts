/** A client's session over a socket whose other end is the test: what the node sent is at hand, and is read when the test says so. */
import { Bodies } from '../../node/bodies.ts'
import { systemClock } from '../../node/clock.ts'
import { ClientSession, type SessionHandlers } from '../../node/gateway/client-session.ts'
import type { Attachment } from '../../node/queue/index.ts'
import { Router } from '../../node/router.ts'
import type { FrameSocket } from '../../node/socket.ts'
import { decodeSessionFrame } from '../../wire/session-frames.ts'

export class FakeSocket implements FrameSocket {
  open = true
  readonly sent: Uint8Array[] = []
  readonly failures: unknown[] = []
  bufferedBytes = 0
  receive = () => {}
  #drained = () => {}

  /** As the gateway does it: the client is told, and the socket takes nothing more. */
  fail = (error: unknown) => {
    this.failures.push(error)
    this.open = false
  }

  send(frame: Uint8Array): void {
    if (!this.open) return
    this.sent.push(frame)
    this.bufferedBytes += frame.length
  }

  onDrain(handler: () => void): void {
    this.#drained = handler
  }

  /** The client reads all that waits for it. */
  read(): void {
    this.bufferedBytes = 0
    this.#drained()
  }

  /** The values of the MessagePack frames of this kind. */
  values(kind: number): unknown[] {
    return this.sent.filter((frame) => frame[0] === kind).map((frame) => decodeSessionFrame(frame))
  }

  onClose(): void {}
  pause(): void {}
  resume(): void {}
  close(): void {}
  terminate(): void {}
  watch(): void {}
}

const silent: SessionHandlers = { onRequests: () => {}, onReplies: () => {}, onQuery: () => {}, onUnseen: () => {} }

export function sessionOn(
  socket: FakeSocket,
  handlers: Partial<SessionHandlers> = {},
  { session = 1, node = 'n1', bufferBytesMax = 1_000_000 }: Partial<Attachment> & { bufferBytesMax?: number } = {},
): ClientSession {
  const source = {
    entry: () => undefined,
    appliedIndex: () => 0,
    readEntries: () => Promise.resolve([]),
    recover: () => {},
  }
  const fail = (error: unknown) => {
    throw error
  }
  return new ClientSession({ session, node, bootId: 1, epoch: 1 }, 0, socket, {
    clock: systemClock,
    group: 0,
    bufferBytesMax,
    router: new Router({ pendingBytesMax: 1_000_000, send: () => true, onFull: () => {} }),
    bodies: new Bodies(source, fail),
    handlers: { ...silent, ...handlers },
  })
}

/** Resolves in a later turn, when all that the code put off to the end of this one has run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}
