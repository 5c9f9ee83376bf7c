import { describe, expect, it } from 'vitest'
import type { ClientSession } from '../../node/gateway/client-session.ts'
import { FrameKind } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import { encode } from '../../wire/msgpack.ts'
import type { ReplyItem } from '../../wire/session-frames.ts'
import { FakeSocket, sessionOn, turn } from './fake-client.ts'

/** MessagePack's extension 0x42, which decodes to a bigint. */
class Large {
  readonly bytes = Uint8Array.of(0xc7, 9, 0x42, 1, 0, 0, 0, 0, 0, 0, 0, 0)
}
const rowFrame = (kind: number, row: readonly unknown[]) =>
  Buffer.concat([
    Uint8Array.of(kind, 0x91, 0x90 + row.length),
    ...row.map((value) => (value instanceof Large ? value.bytes : encode(value))),
  ])
const message = Uint8Array.of(0)
const to = { session: 1, node: 'n1', bootId: 1, epoch: 1 }

describe('a session at the door', () => {
  const lies: [string, number, unknown[]][] = [
    ['a request whose number is an extension', FrameKind.request, [new Large(), 'a', 1, message]],
    ['a request whose number is a list', FrameKind.request, [[[[]]], 'a', 1, message]],
    ['a request whose number is negative', FrameKind.request, [-1, 'a', 1, message]],
    ['a request whose topic is a map', FrameKind.request, [1, {}, 1, message]],
    ['a request whose timeout is text', FrameKind.request, [1, 'a', '1', message]],
    ['a request without a message', FrameKind.request, [1, 'a', 1]],
    ['a reply whose token is a map', FrameKind.reply, [{ toString: 1 }, message]],
    ['a reply whose token has no end', FrameKind.reply, ['1'.repeat(10_000), message]],
    ['a reply whose message is text', FrameKind.reply, ['1:1:n1', 'text']],
    ['a reply whose error is a map', FrameKind.reply, ['1:1:n1', null, { toString: 1 }]],
  ]

  it.each(lies)('refuses %s, and acts on none of it', (_, kind, row) => {
    const acted: unknown[] = []
    const act = (_: unknown, items: unknown) => void acted.push(items)
    const session = sessionOn(new FakeSocket(), { onRequests: act, onReplies: act })
    expect(() => session.receive(rowFrame(kind, row))).toThrow(expect.objectContaining({ code: 'Protocol' }))
    expect(acted).toEqual([])
  })

  it('cuts the text of an error that has no end', () => {
    const replies: ReplyItem[] = []
    const session = sessionOn(new FakeSocket(), { onReplies: (_, items) => void replies.push(...items) })
    session.receive(rowFrame(FrameKind.reply, ['1:1:n1', null, 'no'.repeat(100_000)]))
    expect(replies[0]![2]!.length).toBeLessThan(10_000)
  })

  it('that cannot send what it shall ends its socket, not the process', async () => {
    const socket = new FakeSocket()
    let list: unknown[] = []
    for (let depth = 0; depth < 100_000; depth++) list = [list]
    sessionOn(socket).replied([list as unknown as number, null, 'Protocol'])
    await turn()
    expect(socket.failures).toHaveLength(1)
  })
})

describe('a client that does not read', () => {
  it('is let go with a code once more waits for it than four times its bound, and not before', async () => {
    const socket = new FakeSocket()
    const session = sessionOn(socket, {}, { bufferBytesMax: 1_000 })
    socket.bufferedBytes = 4_000
    session.heartbeat()
    expect(socket.failures).toEqual([])
    expect(socket.bufferedBytes).toBe(4_001)
    session.heartbeat()
    expect(socket.failures).toMatchObject([{ code: 'Overloaded' }])
  })

  const unread: [string, (session: ClientSession) => void][] = [
    ['replies', (session) => session.replied([1, new Uint8Array(100)])],
    ['requests', (session) => session.requested(['token', 'a', new Uint8Array(100)])],
    ['confirms', (session) => session.perform({ type: 'confirm', to, upTo: 1 })],
    ['outcomes', (session) => session.perform({ type: 'outcome', to, outcome: { sequence: 1 } })],
    ['notices', (session) => session.perform({ type: 'settled', to, notice: { tag: 1, stale: [] } })],
  ]

  it.each(unread)('costs a bounded memory, whatever it is sent: %s', async (_, send) => {
    const socket = new FakeSocket()
    const session = sessionOn(socket, {}, { bufferBytesMax: 1_000 })
    for (let i = 0; i < 1_000; i++) {
      send(session)
      await turn()
    }
    expect(socket.bufferedBytes).toBeLessThan(5_000)
    expect(socket.failures).toHaveLength(1)
  })
})

describe('what one turn has for a client', () => {
  it('travels in frames of bounded size, in order, whatever comes together', async () => {
    const socket = new FakeSocket()
    const session = sessionOn(socket, {}, { bufferBytesMax: 100_000_000 })
    const large = new Uint8Array(limits.messageBytesMax)
    const small = new Uint8Array(1_000)
    for (let i = 0; i < 1_000; i++) {
      session.requested([`${i}`, 'a', i % 100 === 0 ? large : small])
      session.replied([i, i % 100 === 0 ? large : small])
    }
    for (let i = 1_000; i < 3_000; i++) session.replied([i, null, 'Remote', 'x'.repeat(1_000)])
    await turn()
    expect(Math.max(...socket.sent.map(({ length }) => length))).toBeLessThan(limits.messageBytesMax + 1_000)
    const sent = (kind: number) => (socket.values(kind) as unknown[][][]).flat().map(([number]) => Number(number))
    expect(sent(FrameKind.requested)).toEqual(Array.from({ length: 1_000 }, (_, i) => i))
    expect(sent(FrameKind.replied)).toEqual(Array.from({ length: 3_000 }, (_, i) => i))
    expect(socket.sent.length).toBeLessThan(100)
  })
})
