/**
 * A node behind the client's socket port that speaks the protocol and decides nothing: it records what comes, and answers what
 * the test tells it to, or, for what a test is not about, the way a healthy node would.
 */
import type { OpenSocket, SocketHandlers } from '../../../client/index.ts'
import { type ControlCommand, readCommand } from '../../../wire/control-frame.ts'
import { encodeDeliverFrame, type OutgoingDelivery } from '../../../wire/deliver-frame.ts'
import type { ErrorCode } from '../../../wire/errors.ts'
import { FrameKind, logHeader, PROTOCOL_VERSION, viewOf } from '../../../wire/frame.ts'
import { decodeMessage, encodeMessage } from '../../../wire/message.ts'
import { decode } from '../../../wire/msgpack.ts'
import { messageBounds, readPublishFrame } from '../../../wire/publish-frame.ts'
import {
  decodeSessionFrame,
  encodeConfirmFrame,
  encodeSessionFrame,
  type Hello,
  heartbeatFrame,
  type Leave,
  type OutcomeNotice,
  partedFrame,
  type Query,
  type ReplyItem,
  type RequestItem,
  type SessionFrames,
  type Welcome,
} from '../../../wire/session-frames.ts'
import { readSettleItem, type SettleItem, settleItemCount } from '../../../wire/settle-frame.ts'

interface LogStamp {
  readonly session: number
  readonly epoch: number
  readonly sequence: number
  readonly seen: number
}

export interface ReceivedPublish extends LogStamp {
  readonly topics: readonly string[]
  readonly bodies: readonly unknown[]
  readonly bytes: number
}

export interface ReceivedSettle extends LogStamp {
  readonly items: readonly SettleItem[]
}

export interface ReceivedControl extends LogStamp {
  readonly command: ControlCommand
}

/** One socket, seen from the node. */
export class ScriptedSocket {
  readonly url: string
  readonly #handlers: SocketHandlers
  readonly #node: ScriptedNode
  isOpen = false
  /** The client was told of its end. */
  isOver = false
  /** Why the client's side ended it. */
  ended: 'closed' | 'terminated' | undefined

  constructor(url: string, handlers: SocketHandlers, node: ScriptedNode) {
    this.url = url
    this.#handlers = handlers
    this.#node = node
  }

  open(): void {
    this.isOpen = true
    this.#handlers.onOpen()
  }

  /** As if it had never been possible to connect, or the process had died. */
  break(reason = 'ECONNREFUSED'): void {
    this.isOpen = false
    this.isOver = true
    this.#handlers.onClose(reason)
  }

  give(frame: Uint8Array): void {
    this.#handlers.onFrame(frame)
  }

  say<K extends keyof SessionFrames>(kind: K, value: SessionFrames[K]): void {
    this.give(encodeSessionFrame(kind, value))
  }

  /** About to stop. */
  goodbye(graceMs = 5_000): void {
    this.say(FrameKind.goodbye, { graceMs })
  }

  parted(): void {
    this.give(partedFrame)
  }

  heartbeat(): void {
    this.give(heartbeatFrame)
  }

  confirm(upTo: number): void {
    this.give(encodeConfirmFrame(0, upTo))
  }

  outcome(notice: OutcomeNotice): void {
    this.say(FrameKind.outcome, notice)
  }

  fault(code: ErrorCode, message = 'said the node'): void {
    this.say(FrameKind.fault, { code, message })
  }

  welcome(fields: Partial<Welcome> = {}): void {
    this.say(FrameKind.welcome, {
      version: PROTOCOL_VERSION,
      node: 'n1',
      session: 4096,
      epoch: ++this.#node.epoch,
      lastSequence: 0,
      outcomes: [],
      consumers: [],
      heartbeatMs: this.#node.heartbeatMs,
      ...fields,
    })
  }

  deliver(consumer: number, first: number, bodies: readonly unknown[], fields: Partial<OutgoingDelivery> = {}): void {
    const deliveries = bodies.map((body, i) => ({
      session: 8192,
      sequence: first + i,
      wallMs: 1_700_000_000_000,
      topic: 'orders.created',
      attempt: 1,
      message: encodeMessage(body, undefined),
      ...fields,
    }))
    this.give(encodeDeliverFrame(0, consumer, first, deliveries))
  }

  receive(frame: Uint8Array): void {
    this.#node.receive(this, frame)
  }
}

export class ScriptedNode {
  readonly sockets: ScriptedSocket[] = []
  readonly hellos: Hello[] = []
  readonly publishes: ReceivedPublish[] = []
  readonly controls: ReceivedControl[] = []
  readonly settles: ReceivedSettle[] = []
  readonly requests: RequestItem[] = []
  readonly replies: ReplyItem[] = []
  readonly queries: Query[] = []
  readonly leaves: Leave[] = []
  /** What the welcome asks for. Long, so that tests need not keep a connection alive. */
  heartbeatMs = 3_600_000
  heartbeats = 0
  frames = 0
  epoch = 0
  /** Frames in the order of their arrival, by name of kind. */
  readonly order: string[] = []
  /** What is answered without the test's doing. */
  auto = { open: true, welcome: true, confirm: false, control: true, settle: true, part: true }
  #minted = 100

  readonly openSocket: OpenSocket = (url, handlers) => {
    const socket = new ScriptedSocket(url, handlers, this)
    this.sockets.push(socket)
    if (this.auto.open) queueMicrotask(() => socket.open())
    return {
      send: (frame) => {
        if (socket.isOpen) socket.receive(frame)
      },
      close: () => this.#end(socket, 'closed'),
      terminate: () => this.#end(socket, 'terminated'),
    }
  }

  /** The latest one. */
  get socket(): ScriptedSocket {
    return this.sockets.at(-1)!
  }

  /** Consumer or listener minted last. */
  get minted(): number {
    return this.#minted
  }

  get commands(): string[] {
    return this.controls.map(({ command }) => command.type)
  }

  receive(socket: ScriptedSocket, frame: Uint8Array): void {
    this.frames++
    const name = Object.entries(FrameKind).find(([, kind]) => kind === frame[0])?.[0] ?? 'unknown'
    this.order.push(name)
    switch (frame[0]) {
      case FrameKind.hello:
        this.hellos.push(decodeSessionFrame(frame) as Hello)
        if (this.auto.welcome) queueMicrotask(() => socket.welcome())
        return
      case FrameKind.publish:
        return this.#publish(socket, frame)
      case FrameKind.control:
        return this.#control(socket, frame)
      case FrameKind.settle:
        return this.#settle(socket, frame)
      case FrameKind.request:
        this.requests.push(...(decodeSessionFrame(frame) as RequestItem[]))
        return
      case FrameKind.reply:
        this.replies.push(...(decodeSessionFrame(frame) as ReplyItem[]))
        return
      case FrameKind.query:
        this.queries.push(decodeSessionFrame(frame) as Query)
        return
      case FrameKind.leave:
        this.leaves.push(decodeSessionFrame(frame) as Leave)
        if (this.auto.part) queueMicrotask(() => socket.parted())
        return
      case FrameKind.heartbeat:
        this.heartbeats++
        return
      default:
        throw new Error(`a client may not send ${name}`)
    }
  }

  #publish(socket: ScriptedSocket, frame: Uint8Array): void {
    const view = viewOf(frame)
    const whole = readPublishFrame(frame, view, 0, frame.length)
    if (whole === undefined) throw new Error('a publish frame that is not whole')
    const topics: string[] = []
    const bodies: unknown[] = []
    for (let i = 0; i < whole.count; i++) {
      const { start, end } = messageBounds(view, 0, i)
      topics.push(whole.topics[view.getUint16(whole.topicColumn + 2 * i, true)]!)
      bodies.push(decode(decodeMessage(frame.subarray(start, end)).body))
    }
    this.publishes.push({ ...stampOf(view), topics, bodies, bytes: frame.length })
    const last = logHeader.sequence(view, 0) + whole.count - 1
    if (this.auto.confirm) queueMicrotask(() => socket.confirm(last))
  }

  #control(socket: ScriptedSocket, frame: Uint8Array): void {
    const view = viewOf(frame)
    const command = readCommand(frame, view, 0, frame.length) as ControlCommand | undefined
    if (command === undefined) throw new Error('a control frame that is not whole')
    const stamp = stampOf(view)
    this.controls.push({ ...stamp, command })
    if (!this.auto.control) return
    const { sequence } = stamp
    if (command.type === 'consume' || command.type === 'receive')
      socket.outcome({ sequence, result: { consumer: ++this.#minted } })
    else if (command.type === 'listen') socket.outcome({ sequence, result: { listener: ++this.#minted } })
    else socket.outcome({ sequence })
  }

  #settle(socket: ScriptedSocket, frame: Uint8Array): void {
    const view = viewOf(frame)
    const count = settleItemCount(view, 0, frame.length)
    if (count === undefined) throw new Error('a settle frame that is not whole')
    const items = Array.from({ length: count }, (_, i) => readSettleItem(view, 0, i))
    const stamp = stampOf(view)
    this.settles.push({ ...stamp, items })
    if (this.auto.settle) queueMicrotask(() => socket.say(FrameKind.settled, { tag: stamp.sequence, stale: [] }))
  }

  #end(socket: ScriptedSocket, how: 'closed' | 'terminated'): void {
    if (socket.ended !== undefined) return
    socket.ended = how
    socket.isOpen = false
    queueMicrotask(() => socket.break(how))
  }
}

function stampOf(view: DataView): LogStamp {
  return {
    session: logHeader.session(view, 0),
    epoch: logHeader.epoch(view, 0),
    sequence: logHeader.sequence(view, 0),
    seen: logHeader.seen(view, 0),
  }
}
