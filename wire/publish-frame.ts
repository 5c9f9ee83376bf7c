/**
 * Publish frames: messages of one session with consecutive sequences.
 *
 *     header | topics: (u16 length, UTF-8)*  | u16[count] topic of each message | u32[count] end of each message | messages
 *
 * The header's `tableBytes` is the size of the topics; ends count from the first message's byte. A message's bytes
 * (message.ts) are opaque to everything between the two SDKs.
 */
import { FrameKind, LOG_FRAME_VERSION, LOG_HEADER_BYTES, logHeader, viewOf, writeLogHeader } from './frame.ts'
import { limits } from './limits.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** Gathers messages into one frame. `finish` stamps the header; the sequence is known only then. */
export class PublishFrameBuilder {
  readonly #topics = new Map<string, number>()
  readonly #topicBytes: Uint8Array[] = []
  #topicsSize = 0
  readonly #topicOf: number[] = []
  readonly #messages: Uint8Array[] = []
  #bytes = 0
  /** The topic added last and its number: mostly the next one's too. */
  #lastTopic: string | undefined
  #lastNumber = 0

  get count(): number {
    return this.#messages.length
  }

  /** Bytes of messages gathered so far. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether one more message of this size still fits (an empty frame takes any). Topics and columns count like messages. */
  fits(topic: string, size: number): boolean {
    if (this.count === 0) return true
    const length = this.#topicsSize + 6 * this.count + this.#bytes
    return (
      length + size <= limits.frameBytesTarget &&
      this.count < limits.frameMessagesMax &&
      (topic === this.#lastTopic || this.#topics.has(topic) || this.#topics.size < limits.frameTopicsMax)
    )
  }

  /** `message` is kept, not copied, until `finish`. */
  add(topic: string, message: Uint8Array): void {
    if (topic !== this.#lastTopic) {
      this.#lastTopic = topic
      this.#lastNumber = this.#numberOf(topic)
    }
    this.#topicOf.push(this.#lastNumber)
    this.#messages.push(message)
    this.#bytes += message.length
  }

  #numberOf(topic: string): number {
    const known = this.#topics.get(topic)
    if (known !== undefined) return known
    const number = this.#topics.size
    const bytes = encoder.encode(topic)
    this.#topics.set(topic, number)
    this.#topicBytes.push(bytes)
    this.#topicsSize += 2 + bytes.length
    return number
  }

  finish(stamp: { group: number; session: number; epoch: number; sequence: number; seen: number }): Uint8Array {
    const count = this.count
    const columns = LOG_HEADER_BYTES + this.#topicsSize
    const length = columns + 6 * count + this.#bytes
    const frame = new Uint8Array(length)
    const view = viewOf(frame)
    writeLogHeader(view, 0, { kind: FrameKind.publish, ...stamp, count, tableBytes: this.#topicsSize }, length)
    let at = LOG_HEADER_BYTES
    for (const bytes of this.#topicBytes) {
      view.setUint16(at, bytes.length, true)
      frame.set(bytes, at + 2)
      at += 2 + bytes.length
    }
    const ends = columns + 2 * count
    const messages = ends + 4 * count
    let end = 0
    for (let i = 0; i < count; i++) {
      const message = this.#messages[i]!
      view.setUint16(columns + 2 * i, this.#topicOf[i]!, true)
      frame.set(message, messages + end)
      end += message.length
      view.setUint32(ends + 4 * i, end, true)
    }
    return frame
  }
}

/** Where the parts of a checked publish frame lie, as offsets into the buffer that holds it. */
export interface PublishFrame {
  readonly count: number
  readonly topics: readonly string[]
  /** Of the u16 column of topic numbers. */
  readonly topicColumn: number
  /** Of the u32 column of ends. */
  readonly endColumn: number
  /** Of the first message's first byte. */
  readonly messages: number
}

/**
 * Reads the frame at `at`, of `length` bytes, checking every count and offset: undefined when it is not whole. Total: never
 * throws, whatever the bytes. Whether the topics are allowed is not judged here.
 */
export function readPublishFrame(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  length: number,
): PublishFrame | undefined {
  if (length < LOG_HEADER_BYTES || at + length > bytes.length) return undefined
  if (logHeader.version(view, at) !== LOG_FRAME_VERSION || logHeader.length(view, at) !== length) return undefined
  const count = logHeader.count(view, at)
  const tableBytes = logHeader.tableBytes(view, at)
  if (count === 0 || count > limits.frameMessagesMax) return undefined
  const topicColumn = at + LOG_HEADER_BYTES + tableBytes
  const endColumn = topicColumn + 2 * count
  const messages = endColumn + 4 * count
  if (messages > at + length) return undefined
  const topics = readTopics(bytes, view, at + LOG_HEADER_BYTES, topicColumn)
  if (topics === undefined) return undefined
  let previous = 0
  for (let i = 0; i < count; i++) {
    const end = view.getUint32(endColumn + 4 * i, true)
    if (end < previous || end - previous > limits.messageBytesMax) return undefined
    if (view.getUint16(topicColumn + 2 * i, true) >= topics.length) return undefined
    previous = end
  }
  return messages + previous === at + length ? { count, topics, topicColumn, endColumn, messages } : undefined
}

function readTopics(bytes: Uint8Array, view: DataView, from: number, to: number): string[] | undefined {
  const topics: string[] = []
  let at = from
  while (at < to) {
    if (at + 2 > to || topics.length === limits.frameTopicsMax) return undefined
    const length = view.getUint16(at, true)
    at += 2
    if (at + length > to || length > limits.nameBytesMax) return undefined
    try {
      topics.push(decoder.decode(bytes.subarray(at, at + length)))
    } catch {
      return undefined
    }
    at += length
  }
  return topics
}

/** Where message `i` of a frame that was checked before lies in its buffer: one read, whatever the frame's size. */
export function messageBounds(view: DataView, at: number, i: number): { start: number; end: number } {
  const count = logHeader.count(view, at)
  const ends = at + LOG_HEADER_BYTES + logHeader.tableBytes(view, at) + 2 * count
  const messages = ends + 4 * count
  return {
    start: messages + (i === 0 ? 0 : view.getUint32(ends + 4 * (i - 1), true)),
    end: messages + view.getUint32(ends + 4 * i, true),
  }
}
