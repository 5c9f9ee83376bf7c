/**
 * One attached session on its socket: checks the headers of the client's log frames and passes them on undecoded; sends
 * the client its confirms, outcomes and deliveries.
 *
 * Never: bodies, decisions about queues (the machine's).
 */
import { type Clock, InvariantError } from '../../raft/index.ts'
import { MeshError } from '../../wire/errors.ts'
import { FrameKind, LOG_FRAME_VERSION, LOG_HEADER_BYTES, logHeader, viewOf } from '../../wire/frame.ts'
import { inFrames } from '../../wire/in-frames.ts'
import { limits } from '../../wire/limits.ts'
import {
  encodeConfirmFrame,
  encodeSessionFrame,
  heartbeatFrame,
  partedFrame,
  type Query,
  type RepliedItem,
  type ReplyItem,
  type RequestedItem,
  type RequestItem,
  type Resumed,
} from '../../wire/session-frames.ts'
import type { Bodies } from '../bodies.ts'
import type { Attachment, Effect } from '../queue/index.ts'
import type { Router } from '../router.ts'
import type { FrameSocket } from '../socket.ts'
import { readLeave, readQuery, readReplies, readRequests } from './client-frames.ts'
import { DeliveryPump } from './delivery-pump.ts'
import { QueryTurns } from './query-turns.ts'

/** Unsent bytes at which a session is given up, in terms of the bound above which it gets no more deliveries. */
const UNSENT_FACTOR_MAX = 4
/** What a row takes beside its message and its texts, bytes: the token or the number, and MessagePack's own. */
const ROW_BYTES = 128

/** What a session asks of the node beside the log. */
export interface SessionHandlers {
  onRequests(session: ClientSession, items: readonly RequestItem[]): void
  onReplies(session: ClientSession, items: readonly ReplyItem[]): void
  onQuery(session: ClientSession, query: Query): void
  /** They were to be handed to the client, but its socket is closed. */
  onUnseen(items: readonly RequestedItem[]): void
}

export interface SessionOptions {
  readonly clock: Clock
  readonly group: number
  readonly bufferBytesMax: number
  readonly router: Router
  readonly bodies: Bodies
  readonly handlers: SessionHandlers
}

export class ClientSession {
  readonly attachment: Attachment
  readonly socket: FrameSocket
  readonly queries: QueryTurns
  readonly #options: SessionOptions
  readonly #pump: DeliveryPump
  /** Last sequence that came in order, over all connections of the session. */
  #lastSequence: number
  #confirmUpTo = 0
  #requested: RequestedItem[] = []
  #replied: RepliedItem[] = []
  #scheduled = false
  /** The client has nowhere to go when this node stops, and takes no more requests. */
  #isLeaving = false

  constructor(attachment: Attachment, lastSequence: number, socket: FrameSocket, options: SessionOptions) {
    this.attachment = attachment
    this.socket = socket
    this.#options = options
    this.#lastSequence = lastSequence
    this.queries = new QueryTurns(options.clock)
    this.#pump = new DeliveryPump(options.group, socket, options.bodies, options.bufferBytesMax)
  }

  /** Throws MeshError on a frame that is not allowed; the socket is then to be closed. */
  receive(frame: Uint8Array): void {
    switch (frame[0]) {
      case FrameKind.publish:
      case FrameKind.control:
      case FrameKind.settle:
        return this.#passOn(frame)
      case FrameKind.request:
        return this.#options.handlers.onRequests(this, readRequests(frame))
      case FrameKind.reply:
        return this.#options.handlers.onReplies(this, readReplies(frame))
      case FrameKind.query:
        return this.#options.handlers.onQuery(this, readQuery(frame))
      case FrameKind.leave:
        this.#isLeaving ||= readLeave(frame).ends
        // All that came before was taken in when it came.
        return this.send(partedFrame)
      case FrameKind.heartbeat:
        return
      default:
        throw new MeshError('Protocol', `a client may not send frames of kind ${frame[0]}`)
    }
  }

  #passOn(frame: Uint8Array): void {
    if (frame.length < LOG_HEADER_BYTES) throw new MeshError('Protocol', 'a log frame is cut short')
    if (frame.length > limits.frameBytesMax) throw new MeshError('PayloadTooLarge', 'a frame is above the size limit')
    const view = viewOf(frame)
    if (logHeader.version(view, 0) !== LOG_FRAME_VERSION || logHeader.length(view, 0) !== frame.length) {
      throw new MeshError('Protocol', 'a log frame has a wrong version or length')
    }
    const { session, epoch } = this.attachment
    if (logHeader.session(view, 0) !== session || logHeader.epoch(view, 0) !== epoch) {
      throw new MeshError('Protocol', 'a log frame names another session or attachment')
    }
    if (logHeader.group(view, 0) !== this.#options.group) throw new MeshError('Protocol', 'a frame for another group')
    const sequence = logHeader.sequence(view, 0)
    if (!Number.isSafeInteger(sequence) || sequence < 1) throw new MeshError('Protocol', 'a sequence below 1')
    if (frame[0] === FrameKind.settle) return this.#options.router.submitSettle(session, sequence, frame)
    const count = frame[0] === FrameKind.control ? 1 : logHeader.count(view, 0)
    if (count < 1 || count > limits.frameMessagesMax) throw new MeshError('Protocol', 'a frame without messages')
    // A frame that leaves a gap could never be applied: it would be sent to the leader for ever.
    if (sequence > this.#lastSequence + 1) throw new MeshError('Protocol', 'a sequence was left out')
    const last = sequence + count - 1
    this.#lastSequence = Math.max(this.#lastSequence, last)
    this.#options.router.submitSequenced(session, last, frame)
  }

  /** Performs an effect of this attachment. */
  perform(effect: Effect): void {
    switch (effect.type) {
      case 'confirm':
        this.#confirmUpTo = effect.upTo
        return this.#schedule()
      case 'outcome':
        return this.send(encodeSessionFrame(FrameKind.outcome, effect.outcome))
      case 'settled':
        return this.send(encodeSessionFrame(FrameKind.settled, effect.notice))
      case 'deliver':
        return this.#pump.push(effect)
      case 'received': {
        const { consumer, count } = effect
        return this.send(encodeSessionFrame(FrameKind.received, { consumer, count }))
      }
      case 'cancelled': {
        const { consumer, reason } = effect
        this.#pump.cancel(consumer)
        return this.send(encodeSessionFrame(FrameKind.cancelled, { consumer, reason }))
      }
    }
  }

  /** The machine has jumped: where this session stands in it. Its open deliveries follow, all of them. */
  resumed(notice: Resumed): void {
    this.#confirmUpTo = 0
    this.#pump.clear()
    this.send(encodeSessionFrame(FrameKind.resumed, notice))
  }

  /** A request for this session's responder; those of one turn travel together. */
  requested(item: RequestedItem): void {
    this.#requested.push(item)
    this.#schedule()
  }

  replied(item: RepliedItem): void {
    this.#replied.push(item)
    this.#schedule()
  }

  /** True while the client reads too slowly to be given more. */
  get congested(): boolean {
    return this.socket.bufferedBytes > this.#options.bufferBytesMax
  }

  /**
   * Every frame but deliveries, which wait for the client (delivery-pump.ts). These cannot wait: what a client asks for and
   * does not read piles up here, so that one that never reads is let go.
   */
  send(frame: Uint8Array): void {
    const bytesMax = UNSENT_FACTOR_MAX * this.#options.bufferBytesMax
    if (this.socket.open && this.socket.bufferedBytes > bytesMax) {
      this.socket.fail(new MeshError('Overloaded', `the client left more than ${bytesMax} bytes unread`))
    } else this.socket.send(frame)
  }

  /** Whether a request can be handed to this client now. */
  get takesRequests(): boolean {
    return this.socket.open && !this.#isLeaving && !this.congested
  }

  /** The node is about to stop. */
  goodbye(graceMs: number): void {
    this.send(encodeSessionFrame(FrameKind.goodbye, { graceMs }))
  }

  /** What this turn has for the client leaves now: its socket is about to be closed. */
  flush(): void {
    this.#flush()
  }

  heartbeat(): void {
    this.send(heartbeatFrame)
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(() => {
      this.#scheduled = false
      try {
        this.#flush()
      } catch (error) {
        // Nobody stands above this call: what cannot be sent to one client must not end the process.
        if (error instanceof InvariantError) throw error
        this.socket.fail(error)
      }
    })
  }

  #flush(): void {
    const confirmUpTo = this.#confirmUpTo
    const requested = this.#requested
    const replied = this.#replied
    this.#confirmUpTo = 0
    this.#requested = []
    this.#replied = []
    if (confirmUpTo > 0) this.send(encodeConfirmFrame(this.#options.group, confirmUpTo))
    if (requested.length > 0 && !this.socket.open) this.#options.handlers.onUnseen(requested)
    for (const rows of inFrames(requested, requestedBytes)) this.send(encodeSessionFrame(FrameKind.requested, rows))
    for (const rows of inFrames(replied, repliedBytes)) this.send(encodeSessionFrame(FrameKind.replied, rows))
  }
}

function requestedBytes([, topic, message]: RequestedItem): number {
  return ROW_BYTES + topic.length + message.length
}

function repliedBytes([, message, , error]: RepliedItem): number {
  return ROW_BYTES + (message?.length ?? 0) + (error?.length ?? 0)
}
