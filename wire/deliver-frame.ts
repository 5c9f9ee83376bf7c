/**
 * Deliver frames: messages for one consumer, node → client.
 *
 *      0 u8 kind   1 u8 version   2 u16 group   4 u32 count   8 f64 consumer   16 f64 first delivery   24 u32 bytes of the topics
 *     28 topics: (u16 length, UTF-8)* | count × (f64 session, f64 sequence, f64 wallMs, u32 end, u16 topic, u16 attempt) | messages
 *
 * Delivery numbers are consecutive from the first. Session and sequence of the publisher are the message's id.
 */
import { FrameKind, PROTOCOL_VERSION, viewOf } from './frame.ts'

const HEADER_BYTES = 28
const ROW_BYTES = 32
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export interface OutgoingDelivery {
  readonly session: number
  readonly sequence: number
  readonly wallMs: number
  readonly topic: string
  readonly attempt: number
  readonly message: Uint8Array
}

export interface IncomingDelivery extends OutgoingDelivery {
  readonly delivery: number
}

export function encodeDeliverFrame(
  group: number,
  consumer: number,
  firstDelivery: number,
  deliveries: readonly OutgoingDelivery[],
): Uint8Array {
  const topics = new Map<string, number>()
  const topicBytes: Uint8Array[] = []
  let topicsSize = 0
  let messagesSize = 0
  for (const { topic, message } of deliveries) {
    messagesSize += message.length
    if (topics.has(topic)) continue
    const bytes = encoder.encode(topic)
    topics.set(topic, topics.size)
    topicBytes.push(bytes)
    topicsSize += 2 + bytes.length
  }
  const rows = HEADER_BYTES + topicsSize
  const messages = rows + ROW_BYTES * deliveries.length
  const frame = new Uint8Array(messages + messagesSize)
  const view = viewOf(frame)
  view.setUint8(0, FrameKind.deliver)
  view.setUint8(1, PROTOCOL_VERSION)
  view.setUint16(2, group, true)
  view.setUint32(4, deliveries.length, true)
  view.setFloat64(8, consumer, true)
  view.setFloat64(16, firstDelivery, true)
  view.setUint32(24, topicsSize, true)
  let at = HEADER_BYTES
  for (const bytes of topicBytes) {
    view.setUint16(at, bytes.length, true)
    frame.set(bytes, at + 2)
    at += 2 + bytes.length
  }
  let end = 0
  for (const delivery of deliveries) {
    frame.set(delivery.message, messages + end)
    end += delivery.message.length
    view.setFloat64(at, delivery.session, true)
    view.setFloat64(at + 8, delivery.sequence, true)
    view.setFloat64(at + 16, delivery.wallMs, true)
    view.setUint32(at + 24, end, true)
    view.setUint16(at + 28, topics.get(delivery.topic)!, true)
    view.setUint16(at + 30, delivery.attempt, true)
    at += ROW_BYTES
  }
  return frame
}

/** Throws RangeError on bytes that are no deliver frame. Messages are views of `frame`. */
export function decodeDeliverFrame(frame: Uint8Array): { consumer: number; deliveries: IncomingDelivery[] } {
  const view = viewOf(frame)
  const count = view.getUint32(4, true)
  const consumer = view.getFloat64(8, true)
  const firstDelivery = view.getFloat64(16, true)
  const rows = HEADER_BYTES + view.getUint32(24, true)
  const messages = rows + ROW_BYTES * count
  if (messages > frame.length) throw new RangeError('a deliver frame cut short')
  const topics: string[] = []
  for (let at = HEADER_BYTES; at < rows; ) {
    const length = view.getUint16(at, true)
    topics.push(decoder.decode(frame.subarray(at + 2, at + 2 + length)))
    at += 2 + length
  }
  const deliveries: IncomingDelivery[] = []
  let start = messages
  for (let i = 0, at = rows; i < count; i++, at += ROW_BYTES) {
    const end = messages + view.getUint32(at + 24, true)
    const topic = topics[view.getUint16(at + 28, true)]
    if (topic === undefined || end < start || end > frame.length) throw new RangeError('a deliver frame cut short')
    deliveries.push({
      delivery: firstDelivery + i,
      session: view.getFloat64(at, true),
      sequence: view.getFloat64(at + 8, true),
      wallMs: view.getFloat64(at + 16, true),
      topic,
      attempt: view.getUint16(at + 30, true),
      message: frame.subarray(start, end),
    })
    start = end
  }
  return { consumer, deliveries }
}
