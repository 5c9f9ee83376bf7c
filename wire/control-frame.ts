/**
 * Control frames: one sequenced command, as a MessagePack map behind the header. The same layout carries node commands.
 */
import {
  FrameKind,
  LOG_FRAME_VERSION,
  LOG_HEADER_BYTES,
  type LogHeader,
  logHeader,
  viewOf,
  writeLogHeader,
} from './frame.ts'
import { decode, encode } from './msgpack.ts'

/** What a client may ask of the machine. Fields that are absent take the machine version's default. */
export type ControlCommand =
  | {
      readonly type: 'declareQueue'
      readonly queue: string
      /** False: goes when its last consumer does. Default true. */
      readonly durable?: boolean
      /** Only this session may consume it, and it goes with the session. Default false. */
      readonly exclusive?: boolean
    }
  | { readonly type: 'deleteQueue'; readonly queue: string }
  | { readonly type: 'bind'; readonly queue: string; readonly pattern: string }
  | { readonly type: 'unbind'; readonly queue: string; readonly pattern: string }
  /** Result: { consumer }, the consumer's incarnation. */
  | {
      readonly type: 'consume'
      readonly queue: string
      readonly prefetch: number
      readonly visibilityTimeoutMs: number
    }
  /**
   * A consumer for once: it takes what is there, `max` messages at the most, or what comes first within `waitMs`, and is over when that is
   * settled. The `received` frame tells how many it got. Result: { consumer }, its incarnation.
   */
  | {
      readonly type: 'receive'
      readonly queue: string
      readonly max: number
      readonly waitMs: number
      readonly visibilityTimeoutMs: number
    }
  /** Open deliveries go back to their places at once. */
  | { readonly type: 'cancel'; readonly consumer: number }
  /** Volatile interest: requests (and volatile publishes) on matching topics come to this session. Result: { listener }. */
  | { readonly type: 'listen'; readonly pattern: string }
  | { readonly type: 'unlisten'; readonly listener: number }
  /** Ends the session: exclusive queues go, consumers are cancelled. Nothing may follow it. */
  | { readonly type: 'closeSession' }

export function encodeControlFrame(
  stamp: { group: number; session: number; epoch: number; sequence: number; seen: number },
  command: ControlCommand,
): Uint8Array {
  return encodeCommandFrame({ kind: FrameKind.control, ...stamp, count: 1, tableBytes: 0 }, command)
}

/** Also for node commands, whose vocabulary is the machine's (node/queue/command.ts). */
export function encodeCommandFrame(header: LogHeader, command: object): Uint8Array {
  const body = encode(command)
  const frame = new Uint8Array(LOG_HEADER_BYTES + body.length)
  writeLogHeader(viewOf(frame), 0, header, frame.length)
  frame.set(body, LOG_HEADER_BYTES)
  return frame
}

/** The command as it was sent, not judged; undefined if it is no MessagePack map. Total. */
export function readCommand(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  length: number,
): Record<string, unknown> | undefined {
  if (length < LOG_HEADER_BYTES || at + length > bytes.length) return undefined
  if (logHeader.version(view, at) !== LOG_FRAME_VERSION || logHeader.length(view, at) !== length) return undefined
  try {
    const command = decode(bytes.subarray(at + LOG_HEADER_BYTES, at + length))
    if (typeof command !== 'object' || command === null || Array.isArray(command)) return undefined
    return command as Record<string, unknown>
  } catch {
    return undefined
  }
}
