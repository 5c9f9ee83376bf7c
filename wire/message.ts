/**
 * One message's bytes as the two SDKs see them: `u8 flags, [u32 length, properties], body`. Body and properties
 * are MessagePack. Nothing between the SDKs opens them.
 */
import { viewOf } from './frame.ts'
import { decode, encode, encodeBehind } from './msgpack.ts'

const HAS_PROPERTIES = 1

export interface MessageProperties {
  readonly headers?: Readonly<Record<string, string>>
  readonly correlationId?: string
  readonly replyTo?: string
}

/** May throw what MessagePack throws on a value that it cannot encode. */
export function encodeMessage(body: unknown, properties: MessageProperties | undefined): Uint8Array {
  if (properties === undefined) {
    // An own array for each message would cost more than all the encoding.
    const message = encodeBehind(1, body)
    message[0] = 0
    return message
  }
  const encodedBody = encode(body)
  const encodedProperties = encode(properties)
  const message = new Uint8Array(5 + encodedProperties.length + encodedBody.length)
  message[0] = HAS_PROPERTIES
  viewOf(message).setUint32(1, encodedProperties.length, true)
  message.set(encodedProperties, 5)
  message.set(encodedBody, 5 + encodedProperties.length)
  return message
}

/** The body's bytes, still encoded, and the properties. Throws on bytes that are no message. */
export function decodeMessage(message: Uint8Array): { body: Uint8Array; properties: MessageProperties | undefined } {
  if (message.length === 0) throw new RangeError('an empty message')
  if ((message[0]! & HAS_PROPERTIES) === 0) return { body: message.subarray(1), properties: undefined }
  if (message.length < 5) throw new RangeError('a message cut short')
  const length = viewOf(message).getUint32(1, true)
  if (5 + length > message.length) throw new RangeError('a message cut short')
  return {
    properties: decode(message.subarray(5, 5 + length)) as MessageProperties,
    body: message.subarray(5 + length),
  }
}
