/**
 * Reads the MessagePack frames of clients: what comes out has the types that it claims, so that nothing behind this door meets
 * an object where it expects a number. What does not is a MeshError `Protocol`, which ends the client's socket.
 *
 * Never: whether a name, a size or a time is allowed; who acts on it answers that with a code.
 */
import { MeshError } from '../../wire/errors.ts'
import {
  decodeSessionFrame,
  type Leave,
  type Query,
  type ReplyItem,
  type RequestItem,
} from '../../wire/session-frames.ts'

/** Longest kind of question, characters; longer than any there is. */
const WHAT_CHARS_MAX = 64
/** Longest token of a request, characters; longer than any that a node writes. */
const TOKEN_CHARS_MAX = 256
/** What a responder says of its failure is cut at so many characters. */
const ERROR_CHARS_MAX = 4_096

/** Throws MeshError `Protocol`. */
export function readQuery(frame: Uint8Array): Query {
  const query = readValue(frame)
  if (typeof query !== 'object' || query === null) throw new MeshError('Protocol', 'a query that is no map')
  const { id, what, name, consistent } = query as Readonly<Record<string, unknown>>
  if (!isCount(id)) throw new MeshError('Protocol', 'a query without an id')
  if (typeof what !== 'string' || what.length > WHAT_CHARS_MAX) {
    throw new MeshError('Protocol', 'a query that does not say what it asks for')
  }
  if (name !== undefined && name !== null && typeof name !== 'string') {
    throw new MeshError('Protocol', 'a query whose name is no text')
  }
  // What is not one of the questions gets a coded answer: a later protocol may know more of them.
  return { id, what: what as Query['what'], name: name ?? '', consistent: consistent === true }
}

/** Throws MeshError `Protocol`. */
export function readLeave(frame: Uint8Array): Leave {
  const leave = readValue(frame)
  if (typeof leave !== 'object' || leave === null) throw new MeshError('Protocol', 'a leave that is no map')
  return { ends: (leave as Partial<Leave>).ends === true }
}

/** Throws MeshError `Protocol`. */
export function readRequests(frame: Uint8Array): RequestItem[] {
  const rows = readRows(frame)
  for (const [request, topic, timeoutMs, message] of rows) {
    const isRequest =
      isCount(request) && typeof topic === 'string' && typeof timeoutMs === 'number' && message instanceof Uint8Array
    if (!isRequest) throw new MeshError('Protocol', 'a request needs a number, a topic, a timeout and a message')
  }
  return rows as unknown as RequestItem[]
}

/** Throws MeshError `Protocol`. */
export function readReplies(frame: Uint8Array): ReplyItem[] {
  return readRows(frame).map(([token, message, error]) => {
    if (typeof token !== 'string' || token.length > TOKEN_CHARS_MAX) {
      throw new MeshError('Protocol', 'a reply without the token of its request')
    }
    if (message instanceof Uint8Array) return [token, message]
    const isError = message === null && (error === undefined || error === null || typeof error === 'string')
    if (!isError) throw new MeshError('Protocol', 'a reply is a message, or the text of an error')
    return [token, null, (error ?? '').slice(0, ERROR_CHARS_MAX)]
  })
}

function readRows(frame: Uint8Array): unknown[][] {
  const value = readValue(frame)
  if (!Array.isArray(value) || !value.every(Array.isArray)) throw new MeshError('Protocol', 'not a list of rows')
  return value
}

function readValue(frame: Uint8Array): unknown {
  try {
    return decodeSessionFrame(frame)
  } catch (error) {
    throw new MeshError('Protocol', 'a frame is not MessagePack', { cause: error })
  }
}

/** What can number a request or a query: it goes back to the client as it came. */
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
