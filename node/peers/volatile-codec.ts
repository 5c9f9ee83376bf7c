/**
 * Volatile requests, replies and notes between nodes: those of one turn in one parcel, as a MessagePack array.
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
  /** Of the responder's attachment, as far as the sender knew: tells who of two nodes is behind. */
  readonly epoch: number
  /** The node that waits for the reply, when another one sent the request on; '' otherwise. */
  readonly origin: string
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
  /** No responder has seen the request: another may be tried. */
  readonly unseen?: boolean
  /** The node that waited for it has checked it, and sends it on because the asker has moved. */
  readonly checked?: boolean
  /** Of the asker's attachment to which it was sent on; absent when it goes where the request came from. */
  readonly epoch?: number
}

/** What nodes tell each other, in order with requests and replies. */
export type VolatileNote =
  /** The asker has moved to the receiver, which waits for the reply from now on. */
  | {
      readonly type: 'waits'
      readonly asker: number
      readonly request: number
      readonly nonce: number
      readonly topic: string
      /** Null: it was sent for the last time. */
      readonly message: Uint8Array | null
      readonly remainingMs: number
      readonly attempts: number
      readonly responder: number
      /** Where the responder is or was; '' while none was picked. */
      readonly node: string
    }
  /** The sender is about to stop: no more requests (1), no more replies (2). */
  | { readonly type: 'parting'; readonly stage: PartingStage }
  /** Confirms it, behind all that was sent before. */
  | { readonly type: 'partingSeen'; readonly stage: PartingStage }
  /** The sender's disk is nearly full, which is repeated while it is; or it has room again. */
  | { readonly type: 'disk'; readonly isFull: boolean }

export type PartingStage = 1 | 2

export function encodeRequests(requests: readonly VolatileRequest[]): Uint8Array {
  return encode(requests.map((r) => [r.asker, r.request, r.nonce, r.responder, r.topic, r.message, r.epoch, r.origin]))
}

/** Throws RangeError or a MessagePack error. */
export function decodeRequests(payload: Uint8Array): VolatileRequest[] {
  return rows(payload).map(([asker, request, nonce, responder, topic, message, epoch, origin]) => {
    if (!(message instanceof Uint8Array)) throw new RangeError('a request without a message')
    return {
      asker: count(asker),
      request: count(request),
      nonce: count(nonce),
      responder: count(responder),
      topic: text(topic),
      message,
      epoch: count(epoch),
      origin: text(origin),
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
      !!r.checked,
      r.epoch ?? 0,
    ]),
  )
}

/** Throws RangeError or a MessagePack error. */
export function decodeReplies(payload: Uint8Array): VolatileReply[] {
  return rows(payload).map(([asker, request, nonce, message, code, error, unseen, checked, epoch]) => ({
    asker: count(asker),
    request: count(request),
    nonce: count(nonce),
    message: message instanceof Uint8Array ? message : null,
    ...(isErrorCode(code) ? { code } : {}),
    ...(typeof error === 'string' ? { error } : {}),
    unseen: unseen === true,
    checked: checked === true,
    ...(count(epoch) === 0 ? {} : { epoch: count(epoch) }),
  }))
}

export function encodeNotes(notes: readonly VolatileNote[]): Uint8Array {
  return encode(
    notes.map((note) =>
      note.type === 'waits'
        ? [
            note.type,
            note.asker,
            note.request,
            note.nonce,
            note.topic,
            note.message,
            Math.ceil(note.remainingMs),
            note.attempts,
            note.responder,
            note.node,
          ]
        : note.type === 'disk'
          ? [note.type, note.isFull]
          : [note.type, note.stage],
    ),
  )
}

/** Throws RangeError or a MessagePack error. */
export function decodeNotes(payload: Uint8Array): VolatileNote[] {
  return rows(payload).map((row) => {
    const [type] = row
    if (type === 'parting' || type === 'partingSeen') {
      const [, stage] = row
      if (stage !== 1 && stage !== 2) throw new RangeError('a parting has two stages')
      return { type, stage }
    }
    if (type === 'disk') return { type, isFull: row[1] === true }
    if (type !== 'waits') throw new RangeError('a note of unknown type')
    const [, asker, request, nonce, topic, message, remainingMs, attempts, responder, node] = row
    return {
      type,
      asker: count(asker),
      request: count(request),
      nonce: count(nonce),
      topic: text(topic),
      message: message instanceof Uint8Array ? message : null,
      remainingMs: count(remainingMs),
      attempts: count(attempts),
      responder: count(responder),
      node: text(node),
    }
  })
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

function text(value: unknown): string {
  if (typeof value !== 'string') throw new RangeError('not a text')
  return value
}
