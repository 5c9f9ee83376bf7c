/**
 * One WebSocket message between peers carries everything that one turn of the event loop had for that peer, as parcels:
 *
 *     u8 version | parcel*      parcel = u8 kind, u8 flags, u16 group, u32 group incarnation, u32 length, payload
 *
 * Never: the meaning of a payload (raft-codec.ts, volatile-codec.ts).
 */
import { viewOf } from '../../wire/frame.ts'

export const PEER_VERSION = 3
const PARCEL_HEADER_BYTES = 12

/** Never renumber: nodes of different versions talk to each other during a rolling upgrade. */
export const ParcelKind = {
  voteRequest: 1,
  voteResponse: 2,
  appendRequest: 3,
  appendResponse: 4,
  heartbeat: 5,
  heartbeatResponse: 6,
  readRequest: 7,
  readResponse: 8,
  installRequest: 9,
  timeoutNow: 11,
  /** A checkpoint's chunk or entries' bodies are asked of a peer, and come: not Raft's own messages. */
  fetchRequest: 12,
  fetchResponse: 13,
  /** A client's or node's log frame on its way to the leader. */
  forward: 16,
  volatileRequests: 17,
  volatileReplies: 18,
  /** About those: who waits now, who is about to stop. */
  volatileNotes: 19,
  /** The leader tells a directory that another one has its place. */
  replaced: 20,
} as const

export interface Parcel {
  readonly kind: number
  readonly flags: number
  readonly group: number
  readonly groupIncarnation: number
  readonly payload: Uint8Array
}

/** Gathers parcels; payloads come in parts that are copied once, when the message is taken. */
export class ParcelWriter {
  #parts: Uint8Array[] = []
  #bytes = 1

  get bytes(): number {
    return this.#bytes
  }

  get empty(): boolean {
    return this.#parts.length === 0
  }

  add(head: Omit<Parcel, 'payload'>, ...payload: readonly Uint8Array[]): void {
    const header = new Uint8Array(PARCEL_HEADER_BYTES)
    const view = viewOf(header)
    let length = 0
    for (const part of payload) length += part.length
    view.setUint8(0, head.kind)
    view.setUint8(1, head.flags)
    view.setUint16(2, head.group, true)
    view.setUint32(4, head.groupIncarnation, true)
    view.setUint32(8, length, true)
    this.#parts.push(header, ...payload)
    this.#bytes += PARCEL_HEADER_BYTES + length
  }

  /** The message so far; the writer is empty afterwards. */
  take(): Uint8Array {
    const message = Buffer.allocUnsafe(this.#bytes)
    message[0] = PEER_VERSION
    let at = 1
    for (const part of this.#parts) {
      message.set(part, at)
      at += part.length
    }
    this.#parts = []
    this.#bytes = 1
    return message
  }
}

/** Reads the parcels of a message in order; payloads are views of it. Throws RangeError when it is not whole. */
export function readParcels(message: Uint8Array, visit: (parcel: Parcel) => void): void {
  const view = viewOf(message)
  if (message.length < 1 || view.getUint8(0) !== PEER_VERSION) throw new RangeError('not a peer message')
  let at = 1
  while (at < message.length) {
    if (at + PARCEL_HEADER_BYTES > message.length) throw new RangeError('a parcel cut short')
    const start = at + PARCEL_HEADER_BYTES
    const end = start + view.getUint32(at + 8, true)
    if (end > message.length) throw new RangeError('a parcel cut short')
    visit({
      kind: view.getUint8(at),
      flags: view.getUint8(at + 1),
      group: view.getUint16(at + 2, true),
      groupIncarnation: view.getUint32(at + 4, true),
      payload: message.subarray(start, end),
    })
    at = end
  }
}
