/**
 * Volatile requests and replies between nodes: those of one turn in one parcel, as a MessagePack array.
 */
import { type ErrorCode, isErrorCode } from '../../wire/errors.ts'
import { decode, encode } from '../../wire/msgpack.ts'

/** A request on its way to a responder's node. */
export interface VolatileRequest {
  readonly asker: number
  readonly request: number
  /** Comes back with the reply, or it is none. */
  readonly nonce: number
  readonly responder: number
  readonly topic: string
  readonly message: Uint8Array
}

export interface VolatileReply {
  readonly asker: number
  readonly request: number
  /** The one that came with the request. */
  readonly nonce: number
  readonly message: Uint8Array | null
  /** With a null message: what went wrong. */
  readonly code?: ErrorCode
  readonly error?: string
  /** The responder was gone before it saw the request: another may be tried. */
  readonly unseen?: boolean
  /** Already sent on once, because the asker had moved. */
  readonly forwarded?: boolean
}

export function encodeRequests(requests: readonly VolatileRequest[]): Uint8Array {
  return encode(requests.map((r) => [r.asker, r.request, r.nonce, r.responder, r.topic, r.message]))
}

/** Throws RangeError or a MessagePack error. */
export function decodeRequests(payload: Uint8Array): VolatileRequest[] {
  return rows(payload).map(([asker, request, nonce, responder, topic, message]) => {
    if (typeof topic !== 'string' || !(message instanceof Uint8Array))
      throw new RangeError('a request without a message')
    return {
      asker: count(asker),
      request: count(request),
      nonce: count(nonce),
      responder: count(responder),
      topic,
      message,
    }
  })
}

export function encodeReplies(replies: readonly VolatileReply[]): Uint8Array {
  return encode(
    replies.map((r) => [
      r.asker,
      r.request,
      r.nonce,
      r.message,
      r.code ?? null,
      r.error ?? null,
      !!r.unseen,
      !!r.forwarded,
    ]),
  )
}

/** Throws RangeError or a MessagePack error. */
export function decodeReplies(payload: Uint8Array): VolatileReply[] {
  return rows(payload).map(([asker, request, nonce, message, code, error, unseen, forwarded]) => ({
    asker: count(asker),
    request: count(request),
    nonce: count(nonce),
    message: message instanceof Uint8Array ? message : null,
    ...(isErrorCode(code) ? { code } : {}),
    ...(typeof error === 'string' ? { error } : {}),
    unseen: unseen === true,
    forwarded: forwarded === true,
  }))
}

function rows(payload: Uint8Array): unknown[][] {
  const value = decode(payload)
  if (!Array.isArray(value) || !value.every(Array.isArray)) throw new RangeError('not a list of rows')
  return value
}

function count(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new RangeError('a number that counts nothing')
  return value as number
}
