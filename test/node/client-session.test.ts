import { describe, expect, it } from 'vitest'
import { FrameKind } from '../../wire/frame.ts'
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
