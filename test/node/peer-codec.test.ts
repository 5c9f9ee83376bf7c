import { describe, expect, it } from 'vitest'
import { ParcelKind, ParcelWriter, readParcels } from '../../node/peers/parcel.ts'
import { readRaftMessage, writeRaftMessage } from '../../node/peers/raft-codec.ts'
import {
  decodeNotes,
  decodeReplies,
  decodeRequests,
  encodeNotes,
  encodeReplies,
  encodeRequests,
  type VolatileNote,
  type VolatileReply,
} from '../../node/peers/volatile-codec.ts'
import { type AppendRequest, type Entry, EntryType, type Message } from '../../raft/index.ts'
import { encode } from '../../wire/msgpack.ts'
import { fc } from '../support/property.ts'

const group = { id: 3, incarnation: 7 }
const ends = { from: 'n1', fromIncarnation: 'a', to: 'n2', toIncarnation: 'b' }

const index = fc.integer({ min: 0, max: 2 ** 48 })
const envelope = {
  from: fc.constant(ends.from),
  fromIncarnation: fc.constant(ends.fromIncarnation),
  to: fc.constant(ends.to),
  toIncarnation: fc.constantFrom('', ends.toIncarnation),
  term: index,
}
const entries = (prevIndex: number) =>
  fc
    .array(
      fc.record({ term: index, type: fc.constantFrom<EntryType>(0, 1, 2), data: fc.uint8Array({ maxLength: 40 }) }),
      { maxLength: 5 },
    )
    .map((list) => list.map((entry, i): Entry => ({ ...entry, index: prevIndex + 1 + i })))
const typed = <T extends Message['type']>(type: T) => ({ type: fc.constant(type) })
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record(
    {
      ...typed('voteRequest'),
      ...envelope,
      pre: fc.boolean(),
      lastIndex: index,
      lastTerm: index,
      bootstrap: fc.array(fc.string(), { maxLength: 5 }),
      transfer: fc.constant(true as const),
      doubt: index,
    },
    {
      requiredKeys: [
        'type',
        ...(Object.keys(envelope) as (keyof typeof envelope)[]),
        'pre',
        'lastIndex',
        'lastTerm',
        'doubt',
      ],
    },
  ),
  fc.record({
    ...typed('voteResponse'),
    ...envelope,
    pre: fc.boolean(),
    granted: fc.boolean(),
    doubt: index,
    asked: index,
  }),
  index.chain((prevIndex) =>
    fc.record({
      ...typed('appendRequest'),
      ...envelope,
      prevIndex: fc.constant(prevIndex),
      prevTerm: index,
      commit: index,
      entries: entries(prevIndex),
    }),
  ),
  fc.record({
    ...typed('appendResponse'),
    ...envelope,
    success: fc.boolean(),
    index,
    hintIndex: index,
    hintTerm: index,
    doubt: index,
  }),
  fc.record({ ...typed('heartbeat'), ...envelope, commit: index, round: index, trusted: index }),
  fc.record({ ...typed('heartbeatResponse'), ...envelope, round: index, doubt: index }),
  fc.record({ ...typed('readRequest'), ...envelope, requestId: index }),
  fc.record({ ...typed('readResponse'), ...envelope, requestId: index, index: fc.oneof(index, fc.constant(-1)) }),
  fc.record({
    ...typed('installRequest'),
    ...envelope,
    index,
    lastTerm: index,
    membership: fc.record({
      index,
      term: index,
      type: fc.constant(EntryType.membership),
      data: fc.uint8Array({ maxLength: 40 }),
    }),
  }),
  fc.record({ ...typed('timeoutNow'), ...envelope }),
)

function pack(messages: readonly Message[]): Uint8Array {
  const writer = new ParcelWriter()
  for (const one of messages) writeRaftMessage(writer, group, one)
  return writer.take()
}

function unpack(bytes: Uint8Array): Message[] {
  const messages: Message[] = []
  readParcels(bytes, (parcel) => {
    expect(parcel).toMatchObject({ group: group.id, groupIncarnation: group.incarnation })
    messages.push(readRaftMessage(parcel, ends)!)
  })
  return messages
}

/** Byte strings as numbers, whichever class of view holds them. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Array.from(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
}

const entryOf = (index: number, bytes: number): Entry => ({
  index,
  term: 1,
  type: EntryType.command,
  data: new Uint8Array(bytes).fill(index),
})
const appendOf = (entries: readonly Entry[]): AppendRequest => ({
  type: 'appendRequest',
  ...ends,
  term: 1,
  prevIndex: 4,
  prevTerm: 1,
  entries,
  commit: 0,
})

describe('messages between peers', () => {
  it('come out of one turn’s parcels as they went in', () => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 6 }), (messages) => {
        expect(plain(unpack(pack(messages)))).toEqual(plain(messages))
      }),
    )
  })

  it('are refused when they are cut short anywhere', () => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 3 }), fc.nat(), (messages, at) => {
        const whole = pack(messages)
        const cut = whole.subarray(0, at % whole.length)
        let read: Message[] = []
        try {
          read = unpack(cut)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
          return
        }
        // A cut between two parcels leaves the former ones whole.
        expect(plain(read)).toEqual(plain(messages.slice(0, read.length)))
        expect(read.length).toBeLessThan(messages.length)
      }),
    )
  })

  it('never harm the reader, whatever the bytes', () => {
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 2 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (m, at, x) => {
          const bytes = pack(m)
          bytes[at % bytes.length]! ^= x
          try {
            readParcels(bytes, (parcel) => readRaftMessage(parcel, ends))
          } catch (error) {
            expect(error).toBeInstanceOf(Error)
          }
        },
      ),
    )
  })

  it('keep nothing in memory, by the entries that stay, of what came with them', () => {
    const entries = [entryOf(5, 100), entryOf(6, 0), entryOf(7, 60)]
    const request = appendOf(entries)
    const writer = new ParcelWriter()
    writer.add({ kind: ParcelKind.volatileReplies, flags: 0, group: 3, groupIncarnation: 7 }, new Uint8Array(500_000))
    writeRaftMessage(writer, group, request)
    const beside = unpack(writer.take()).at(-1)
    expect(plain(beside)).toEqual(plain(request))
    const kept = (beside as AppendRequest).entries.map(({ data }) => data.buffer)
    expect(kept.map(({ byteLength }) => byteLength)).toEqual([160, 160, 160])
    expect(new Set(kept).size).toBe(1)
    // What came with little else, or with more of its kind, is not copied.
    const full = appendOf([entryOf(5, 200_000)])
    const whole = pack([full, full, full, full])
    for (const each of unpack(whole)) expect((each as AppendRequest).entries[0]!.data.buffer).toBe(whole.buffer)
  })

  it('leave kinds that are not Raft’s to others', () => {
    const payload = Uint8Array.of(1, 2, 3)
    const parcel = { kind: ParcelKind.forward, flags: 0, group: 0, groupIncarnation: 1, payload }
    expect(readRaftMessage(parcel, ends)).toBeUndefined()
  })
})

describe('volatile messages between nodes', () => {
  it('come out as they went in', () => {
    const requests = [
      {
        asker: 2 ** 45,
        request: 1,
        nonce: 2 ** 53 - 1,
        responder: 7,
        topic: 'price.quote',
        message: Uint8Array.of(1),
        epoch: 9,
        origin: '',
      },
      {
        asker: 5,
        request: 2,
        nonce: 0,
        responder: 8,
        topic: 'a',
        message: new Uint8Array(0),
        epoch: 2 ** 44,
        origin: 'n3',
      },
    ]
    expect(plain(decodeRequests(encodeRequests(requests)))).toEqual(plain(requests))
    const replies: VolatileReply[] = [
      { asker: 1, request: 2, nonce: 7, message: Uint8Array.of(9), unseen: false, checked: true, epoch: 2 ** 44 },
      { asker: 1, request: 3, nonce: 8, message: null, code: 'Remote', error: 'no', unseen: false, checked: false },
      { asker: 1, request: 4, nonce: 9, message: null, unseen: true, checked: false },
    ]
    expect(plain(decodeReplies(encodeReplies(replies)))).toEqual(plain(replies))
    const waits = { type: 'waits', asker: 1, request: 2, nonce: 7, topic: 'a', attempts: 1, responder: 8 } as const
    const notes: VolatileNote[] = [
      { ...waits, message: Uint8Array.of(1), remainingMs: 4_999, node: 'n2' },
      { ...waits, message: null, remainingMs: 0, node: '' },
      { type: 'parting', stage: 1 },
      { type: 'partingSeen', stage: 2 },
    ]
    expect(plain(decodeNotes(encodeNotes(notes)))).toEqual(plain(notes))
  })

  it.each([[['parting', 3]], [['other', 1]], [['waits', 1, 2, 3, 4, null, 5, 6, 7, 'n1']], ['parting']])(
    'that make no sense end the link: %j',
    (row) => {
      expect(() => decodeNotes(encode([row]))).toThrow(RangeError)
    },
  )
})
