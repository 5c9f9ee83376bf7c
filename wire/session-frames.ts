/**
 * The frames that end at the node at the other end of the socket: `u8 kind` and one MessagePack value, but for confirm,
 * parted and heartbeat, which are fixed. Publish, settle, control and deliver frames have files of their own.
 */
import type { ErrorCode } from './errors.ts'
import { FrameKind, viewOf } from './frame.ts'
import { decode, encode } from './msgpack.ts'

/** Deliveries of one consumer, as runs [first, count]. */
export interface HeldDeliveries {
  readonly consumer: number
  readonly runs: readonly (readonly [first: number, count: number])[]
}

/** First frame of a client. The node answers with welcome or fault. */
export interface Hello {
  readonly version: number
  /** Name of the client for listings and logs. */
  readonly name?: string
  readonly token?: string
  /** The session to go on with; absent: a new one. */
  readonly session?: number
  /** Rises with each connection that the client opens for the session, whichever node it is to. */
  readonly connection: number
  /** Deliveries without a confirmed settle: they stay open. All others return to their queues. */
  readonly held?: readonly HeldDeliveries[]
}

/** The session is attached: log frames may follow. */
export interface Welcome {
  readonly version: number
  readonly node: string
  readonly session: number
  /** To be named by every log frame until the next attachment. */
  readonly epoch: number
  /** Last sequence that the machine has judged: later ones are to be sent again. */
  readonly lastSequence: number
  /** Outcomes that the session keeps, of sequences at or below lastSequence; all others there were plain successes. */
  readonly outcomes: readonly OutcomeNotice[]
  /** The session's consumers that are still alive; any other was cancelled meanwhile. */
  readonly consumers: readonly number[]
  /** The node sends something at least this often; so must the client. Milliseconds. */
  readonly heartbeatMs: number
}

/** What became of a sequenced message or command that was not plain success, or that has a result. */
export interface OutcomeNotice {
  readonly sequence: number
  /** Absent: success with a result. */
  readonly code?: ErrorCode
  readonly message?: string
  readonly result?: Readonly<Record<string, unknown>>
}

/** Answer to a settle frame, once applied. */
export interface SettledNotice {
  readonly tag: number
  /** Items, by position, some of whose deliveries were not open any more: LeaseLost. The runs are the ones that failed. */
  readonly stale: readonly (readonly [consumer: number, first: number, count: number])[]
}

/** A volatile request, client → node; requests of one turn travel together. */
export type RequestItem = readonly [request: number, topic: string, timeoutMs: number, message: Uint8Array]
/** The same on its way to a responder; `token` is opaque and goes back with the reply. */
export type RequestedItem = readonly [token: string, topic: string, message: Uint8Array]
/** A responder's answer: a message, or the text of the error that it threw. */
export type ReplyItem = readonly [token: string, message: Uint8Array | null, error?: string]
/** What the asker gets: a message, or a code. */
export type RepliedItem = readonly [request: number, message: Uint8Array | null, code?: ErrorCode, error?: string]

export interface Query {
  readonly id: number
  readonly what: 'queue' | 'queues' | 'cluster'
  /** For `queue`. */
  readonly name?: string
  /** Confirmed by a majority before it is answered (ReadIndex); otherwise what this node has applied. */
  readonly consistent?: boolean
}

export interface Answer {
  readonly id: number
  readonly code?: ErrorCode
  readonly message?: string
  readonly value?: unknown
}

/** The cluster ended a consumer: its queue was deleted. */
export interface CancelledNotice {
  readonly consumer: number
  readonly reason: string
}

/** What a receive got: deliveries 1 to `count` of its consumer, each of which is delivered; 0: nothing, and the consumer is over. */
export interface ReceivedNotice {
  readonly consumer: number
  readonly count: number
}

/** The node is about to stop: the client should attach elsewhere, while this socket still serves. */
export interface Goodbye {
  /** Until the node closes the socket, milliseconds. */
  readonly graceMs: number
}

/**
 * Asks the node to say `parted` once it has taken in all that came before. After it a client that moves sends no more on this
 * socket; what comes for it is still given to it here until it is attached elsewhere.
 */
export interface Leave {
  /** The client has nowhere to go and will be away for a while: no more requests are to be handed to it. */
  readonly ends: boolean
}

/** After the node's replica has jumped (a checkpoint was installed): the attachment as it is now. */
export type Resumed = Pick<Welcome, 'lastSequence' | 'outcomes' | 'consumers'>

/** Last frame before the node closes the socket. */
export interface Fault {
  readonly code: ErrorCode
  readonly message: string
}

/** The value of each MessagePack frame. */
export interface SessionFrames {
  [FrameKind.hello]: Hello
  [FrameKind.request]: readonly RequestItem[]
  [FrameKind.reply]: readonly ReplyItem[]
  [FrameKind.query]: Query
  [FrameKind.leave]: Leave
  [FrameKind.welcome]: Welcome
  [FrameKind.outcome]: OutcomeNotice
  [FrameKind.settled]: SettledNotice
  [FrameKind.requested]: readonly RequestedItem[]
  [FrameKind.replied]: readonly RepliedItem[]
  [FrameKind.answer]: Answer
  [FrameKind.cancelled]: CancelledNotice
  [FrameKind.fault]: Fault
  [FrameKind.goodbye]: Goodbye
  [FrameKind.resumed]: Resumed
  [FrameKind.received]: ReceivedNotice
}

export function encodeSessionFrame<K extends keyof SessionFrames>(kind: K, value: SessionFrames[K]): Uint8Array {
  const body = encode(value)
  const frame = new Uint8Array(1 + body.length)
  frame[0] = kind
  frame.set(body, 1)
  return frame
}

/** The value behind the kind byte, not judged. Throws on bytes that are no MessagePack. */
export function decodeSessionFrame(frame: Uint8Array): unknown {
  return decode(frame.subarray(1))
}

/** Confirm: `u8 kind, u8 0, u16 group, u32 0, f64 sequence`: every publish up to it is applied, unless an outcome says otherwise. */
export function encodeConfirmFrame(group: number, upTo: number): Uint8Array {
  const frame = new Uint8Array(16)
  const view = viewOf(frame)
  view.setUint8(0, FrameKind.confirm)
  view.setUint16(2, group, true)
  view.setFloat64(8, upTo, true)
  return frame
}

/** Throws RangeError when it is cut short. */
export function decodeConfirmFrame(frame: Uint8Array): number {
  return viewOf(frame).getFloat64(8, true)
}

export const heartbeatFrame: Uint8Array = Uint8Array.of(FrameKind.heartbeat)

/** Answers `leave`: all that the client sent before is taken in. */
export const partedFrame: Uint8Array = Uint8Array.of(FrameKind.parted)
