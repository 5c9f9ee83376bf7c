/**
 * Raft's messages as parcel payloads. What the link already knows is not repeated: sender, receiver and their
 * incarnations come from its handshake; a flag tells whether the sender knew the receiver's incarnation (it does not before
 * entry 1 exists).
 *
 *     append request: f64 term, f64 prevIndex, f64 prevTerm, f64 commit, u32 entries | (f64 term, u8 type, u32 length)* | data*
 *     append response: f64 term, f64 index, f64 hintIndex, f64 hintTerm, f64 doubt, u8 success
 *     heartbeat: f64 term, f64 commit, f64 round, f64 trusted      heartbeat response: f64 term, f64 round, f64 doubt
 *     the rest, being rare: one MessagePack array
 */
import {
  type AppendRequest,
  type Entry,
  EntryType,
  type GroupId,
  type InstallRequest,
  type Message,
  type VoteRequest,
} from '../../raft/index.ts'
import { viewOf } from '../../wire/frame.ts'
import { decode, encode } from '../../wire/msgpack.ts'
import { type Parcel, ParcelKind, type ParcelWriter } from './parcel.ts'

const KNOWS_RECEIVER = 1
const APPEND_HEADER_BYTES = 36
const ENTRY_HEADER_BYTES = 13
const APPEND_RESPONSE_BYTES = 41

/** What entries came in may be so many times as large as they are. */
const COMPANY_MAX = 8

/** Both ends of the link that a message travels on. */
export interface LinkEnds {
  readonly from: string
  readonly fromIncarnation: string
  readonly to: string
  readonly toIncarnation: string
}

export function writeRaftMessage(writer: ParcelWriter, group: GroupId, message: Message): void {
  const head = {
    kind: ParcelKind[message.type],
    flags: message.toIncarnation === '' ? 0 : KNOWS_RECEIVER,
    group: group.id,
    groupIncarnation: group.incarnation,
  }
  switch (message.type) {
    case 'appendRequest':
      writer.add(head, appendHeader(message), ...message.entries.map((entry) => entry.data))
      return
    case 'appendResponse': {
      const payload = new Uint8Array(APPEND_RESPONSE_BYTES)
      const view = viewOf(payload)
      putFloats(view, message.term, message.index, message.hintIndex, message.hintTerm, message.doubt)
      view.setUint8(APPEND_RESPONSE_BYTES - 1, message.success ? 1 : 0)
      writer.add(head, payload)
      return
    }
    case 'heartbeat':
      writer.add(head, floats(message.term, message.commit, message.round, message.trusted))
      return
    case 'heartbeatResponse':
      writer.add(head, floats(message.term, message.round, message.doubt))
      return
    case 'voteRequest': {
      const { term, pre, lastIndex, lastTerm, bootstrap, transfer, doubt } = message
      writer.add(head, encode([term, pre, lastIndex, lastTerm, bootstrap ?? null, transfer === true, doubt]))
      return
    }
    case 'voteResponse': {
      const { term, pre, granted, doubt, asked } = message
      writer.add(head, encode([term, pre, granted, doubt, asked]))
      return
    }
    case 'readRequest':
      writer.add(head, encode([message.term, message.requestId]))
      return
    case 'readResponse':
      writer.add(head, encode([message.term, message.requestId, message.index]))
      return
    case 'installRequest': {
      const { term, index, lastTerm, membership } = message
      writer.add(head, encode([term, index, lastTerm, membership.index, membership.term, membership.data]))
      return
    }
    case 'timeoutNow':
      writer.add(head, encode([message.term]))
      return
  }
}

function appendHeader({ term, prevIndex, prevTerm, commit, entries }: AppendRequest): Uint8Array {
  const header = new Uint8Array(APPEND_HEADER_BYTES + ENTRY_HEADER_BYTES * entries.length)
  const view = viewOf(header)
  putFloats(view, term, prevIndex, prevTerm, commit)
  view.setUint32(32, entries.length, true)
  let at = APPEND_HEADER_BYTES
  for (const entry of entries) {
    view.setFloat64(at, entry.term, true)
    view.setUint8(at + 8, entry.type)
    view.setUint32(at + 9, entry.data.length, true)
    at += ENTRY_HEADER_BYTES
  }
  return header
}

/** Throws RangeError or a MessagePack error on a payload that is not of its kind; undefined for kinds that are not Raft's. */
export function readRaftMessage(parcel: Parcel, ends: LinkEnds): Message | undefined {
  const { payload } = parcel
  const view = viewOf(payload)
  const toIncarnation = (parcel.flags & KNOWS_RECEIVER) === 0 ? '' : ends.toIncarnation
  const index = (i: number) => integer(view.getFloat64(8 * i, true))
  const envelope = { from: ends.from, fromIncarnation: ends.fromIncarnation, to: ends.to, toIncarnation }
  switch (parcel.kind) {
    case ParcelKind.appendRequest: {
      const numbers = { term: index(0), prevIndex: index(1), prevTerm: index(2), commit: index(3) }
      return { type: 'appendRequest', ...envelope, ...numbers, entries: readEntries(payload, view, numbers.prevIndex) }
    }
    case ParcelKind.appendResponse: {
      const numbers = { term: index(0), index: index(1), hintIndex: index(2), hintTerm: index(3), doubt: index(4) }
      const success = view.getUint8(APPEND_RESPONSE_BYTES - 1) === 1
      return { type: 'appendResponse', ...envelope, ...numbers, success }
    }
    case ParcelKind.heartbeat:
      return { type: 'heartbeat', ...envelope, term: index(0), commit: index(1), round: index(2), trusted: index(3) }
    case ParcelKind.heartbeatResponse:
      return { type: 'heartbeatResponse', ...envelope, term: index(0), round: index(1), doubt: index(2) }
    case ParcelKind.voteRequest:
      return readVoteRequest(payload, envelope)
    case ParcelKind.voteResponse: {
      const [term, pre, granted, doubt, asked] = decode(payload) as unknown[]
      return {
        type: 'voteResponse',
        ...envelope,
        term: integer(term),
        pre: pre === true,
        granted: granted === true,
        doubt: integer(doubt),
        asked: integer(asked),
      }
    }
    case ParcelKind.readRequest: {
      const [term, requestId] = decode(payload) as unknown[]
      return { type: 'readRequest', ...envelope, term: integer(term), requestId: integer(requestId) }
    }
    case ParcelKind.readResponse: {
      const [term, requestId, at] = decode(payload) as unknown[]
      const answer = { term: integer(term), requestId: integer(requestId), index: at === -1 ? -1 : integer(at) }
      return { type: 'readResponse', ...envelope, ...answer }
    }
    case ParcelKind.installRequest:
      return readInstallRequest(payload, envelope)
    case ParcelKind.timeoutNow: {
      const [term] = decode(payload) as unknown[]
      return { type: 'timeoutNow', ...envelope, term: integer(term) }
    }
    default:
      return undefined
  }
}

function readVoteRequest(payload: Uint8Array, envelope: LinkEnds): VoteRequest {
  const [term, pre, lastIndex, lastTerm, bootstrap, transfer, doubt] = decode(payload) as unknown[]
  return {
    type: 'voteRequest',
    ...envelope,
    term: integer(term),
    pre: pre === true,
    lastIndex: integer(lastIndex),
    lastTerm: integer(lastTerm),
    ...(Array.isArray(bootstrap) && { bootstrap: bootstrap.map(String) }),
    ...(transfer === true && { transfer: true as const }),
    doubt: integer(doubt),
  }
}

function readInstallRequest(payload: Uint8Array, envelope: LinkEnds): InstallRequest {
  const [term, index, lastTerm, memberIndex, memberTerm, data] = decode(payload) as unknown[]
  if (!(data instanceof Uint8Array)) throw new RangeError('an install request without a membership')
  return {
    type: 'installRequest',
    ...envelope,
    term: integer(term),
    index: integer(index),
    lastTerm: integer(lastTerm),
    // A copy: the mark is kept for long, and must not keep the whole message with it.
    membership: {
      index: integer(memberIndex),
      term: integer(memberTerm),
      type: EntryType.membership,
      data: Uint8Array.from(data),
    },
  }
}

function readEntries(payload: Uint8Array, view: DataView, prevIndex: number): Entry[] {
  const count = view.getUint32(32, true)
  const dataAt = APPEND_HEADER_BYTES + ENTRY_HEADER_BYTES * count
  if (dataAt > payload.length) throw new RangeError('an append request cut short')
  const bodies = withoutCompany(payload.subarray(dataAt))
  const entries: Entry[] = []
  let data = 0
  for (let i = 0, at = APPEND_HEADER_BYTES; i < count; i++, at += ENTRY_HEADER_BYTES) {
    const end = data + view.getUint32(at + 9, true)
    const type = view.getUint8(at + 8)
    if (end > bodies.length || !isEntryType(type)) throw new RangeError('an append request cut short')
    const term = integer(view.getFloat64(at, true))
    entries.push({ index: prevIndex + 1 + i, term, type, data: bodies.subarray(data, end) })
    data = end
  }
  return entries
}

/**
 * The log keeps entries in memory for long, and counts their own bytes. So they are copied where they are only a small part of what they
 * came in, which would stay with them: requests and replies of the same turn, say. Several full appends of one message are not.
 */
function withoutCompany(bodies: Uint8Array): Uint8Array {
  return COMPANY_MAX * bodies.length < bodies.buffer.byteLength ? new Uint8Array(bodies) : bodies
}

function isEntryType(type: number): type is EntryType {
  return type === EntryType.noop || type === EntryType.command || type === EntryType.membership
}

function floats(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(8 * values.length)
  putFloats(viewOf(bytes), ...values)
  return bytes
}

function putFloats(view: DataView, ...values: number[]): void {
  for (let i = 0; i < values.length; i++) view.setFloat64(8 * i, values[i]!, true)
}

/** A peer that authenticated but sends nonsense is a defect or corruption on the way: its link is closed. */
function integer(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new RangeError('not an index or term')
  return value
}
