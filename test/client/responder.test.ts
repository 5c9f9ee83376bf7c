import { describe, expect, it } from 'vitest'
import { topicMatches } from '../../client/topic-match.ts'
import { FrameKind } from '../../wire/frame.ts'
import { decodeMessage, encodeMessage } from '../../wire/message.ts'
import { decode } from '../../wire/msgpack.ts'
import type { ReplyItem } from '../../wire/session-frames.ts'
import { connected, lose, reopen, watched } from './support/scene.ts'

const bytesOf = (body: unknown) => encodeMessage(body, undefined)

/** A reply as its asker would read it: the body, or the error's text. */
function read([token, bytes, error]: ReplyItem): [string, unknown] {
  return [token, bytes === null ? error : decode(decodeMessage(bytes).body)]
}

describe('a responder', () => {
  it('listens, answers with what its handler returns or resolves with, the answers of a turn together', async () => {
    const { node, clock, client } = await connected()
    const responding = client.respond('price.*', async ({ body }) => ({ twice: 2 * (body as number) }))
    await clock.settle()
    await responding
    expect(node.controls[0]!.command).toEqual({ type: 'listen', pattern: 'price.*' })
    node.socket.say(FrameKind.requested, [
      ['t1', 'price.quote', bytesOf(1)],
      ['t2', 'price.quote', bytesOf(2)],
    ])
    await clock.settle()
    expect(node.order.filter((kind) => kind === 'reply')).toHaveLength(1)
    expect(node.replies.map(read)).toEqual([
      ['t1', { twice: 2 }],
      ['t2', { twice: 4 }],
    ])
  })

  it.each([
    ['throws', () => Promise.reject(new Error('out of stock')), 'out of stock'],
    ['returns what cannot be encoded', () => Symbol('no'), 'the reply cannot be sent'],
  ])('that %s answers with the reason', async (_, handler, text) => {
    const { node, clock, client } = await connected()
    const responding = client.respond('a', handler)
    await clock.settle()
    await responding
    node.socket.say(FrameKind.requested, [['t', 'a', bytesOf(1)]])
    await clock.settle()
    expect(read(node.replies[0]!)[1]).toContain(text)
  })

  it('is one of several that match here: they take turns; a request that none matches is refused', async () => {
    const { node, clock, client } = await connected()
    const responding = [client.respond('a.*', () => 'one'), client.respond('a.#', () => 'two')]
    await clock.settle()
    await Promise.all(responding)
    node.socket.say(FrameKind.requested, [
      ['t1', 'a.b', bytesOf(1)],
      ['t2', 'a.b', bytesOf(1)],
      ['t3', 'a.b.c', bytesOf(1)],
      ['t4', 'other', bytesOf(1)],
    ])
    await clock.settle()
    const answers = new Map(node.replies.map(read))
    expect(new Set([answers.get('t1'), answers.get('t2')])).toEqual(new Set(['one', 'two']))
    expect(answers.get('t3')).toBe('two')
    expect(answers.get('t4')).toContain('no responder')
  })

  it('that is closed takes its leave of the cluster first and finishes what it was asked', async () => {
    const { node, clock, client } = await connected()
    let finish = () => {}
    const responding = client.respond('a', () => new Promise<string>((resolve) => (finish = () => resolve('done'))))
    await clock.settle()
    const responder = await responding
    const listener = node.minted
    node.socket.say(FrameKind.requested, [['t', 'a', bytesOf(1)]])
    await clock.settle()
    const closing = watched(responder.close())
    await clock.settle()
    expect(node.controls.at(-1)!.command).toEqual({ type: 'unlisten', listener })
    expect(closing.isSettled).toBe(false)
    finish()
    await clock.settle()
    expect(closing.isSettled).toBe(true)
    expect(node.replies.map(read)).toEqual([['t', 'done']])
    await responder.closed
  })

  it('is made again under the next session, and ends when the cluster refuses that', async () => {
    const scene = await connected()
    const { node, clock, client } = scene
    const responding = client.respond('a', () => 'pong')
    await clock.settle()
    const responder = await responding
    await lose(scene)
    await reopen(scene)
    Object.assign(node.auto, { open: true, welcome: true })
    node.socket.fault('SessionLost')
    await clock.settle()
    expect(node.commands).toEqual(['listen', 'listen'])
    node.auto.control = false
    await lose(scene)
    await reopen(scene)
    Object.assign(node.auto, { open: true, welcome: true })
    node.socket.fault('SessionLost')
    await clock.settle()
    node.socket.outcome({ sequence: 1, code: 'LimitExceeded' })
    await clock.settle()
    await expect(responder.closed).rejects.toMatchObject({ code: 'LimitExceeded' })
  })

  it('that had yet to be sent when the session was lost is made under the next one', async () => {
    const scene = await connected()
    const { node, clock, client } = scene
    await lose(scene)
    const responding = watched(client.respond('a', () => 'pong'))
    await reopen(scene)
    Object.assign(node.auto, { open: true, welcome: true })
    node.socket.fault('SessionLost')
    await clock.settle()
    expect(responding.isSettled).toBe(true)
    expect(node.commands).toEqual(['listen'])
    node.socket.say(FrameKind.requested, [['t', 'a', bytesOf(1)]])
    await clock.settle()
    expect(node.replies.map(read)).toEqual([['t', 'pong']])
  })

  it('takes no listener that was asked for by an attempt that is over: the late answer is taken back', async () => {
    const scene = await connected({ publishTimeoutMs: 1_000 })
    const { node, clock, client } = scene
    await lose(scene)
    const responding = watched(client.respond('a', () => 'pong'))
    await reopen(scene)
    Object.assign(node.auto, { open: true, welcome: true, control: false })
    node.socket.fault('SessionLost')
    await clock.settle()
    // No answer by its deadline: it is asked for again.
    await clock.advance(1_000)
    expect(node.commands).toEqual(['listen', 'listen'])
    node.socket.outcome({ sequence: 1, result: { listener: 777 } })
    await clock.settle()
    node.socket.outcome({ sequence: 2, result: { listener: 778 } })
    await clock.settle()
    expect(responding.isSettled).toBe(true)
    const sent = node.controls.map(({ command }) => command)
    expect(sent.slice(2)).toEqual([{ type: 'unlisten', listener: 777 }])
  })

  it('refuses a pattern that is none, and what the cluster refuses', async () => {
    const { node, clock, client } = await connected({}, (n) => {
      n.auto.control = false
    })
    await expect(client.respond('a..b', () => 1)).rejects.toMatchObject({ code: 'Validation' })
    const responding = watched(client.respond('a', () => 1))
    await clock.settle()
    node.socket.outcome({ sequence: 1, code: 'LimitExceeded' })
    await clock.settle()
    expect(responding.error).toMatchObject({ code: 'LimitExceeded' })
    node.socket.say(FrameKind.requested, [['t', 'a', bytesOf(1)]])
    await clock.settle()
    expect(read(node.replies[0]!)[1]).toContain('no responder')
  })
})

describe('matching a topic here', () => {
  it.each([
    ['a.b', 'a.b', true],
    ['a.b', 'a.c', false],
    ['a.*', 'a.b', true],
    ['a.*', 'a', false],
    ['a.*', 'a.b.c', false],
    ['#', 'a.b.c', true],
    ['a.#', 'a', true],
    ['a.#', 'a.b.c', true],
    ['a.#', 'b', false],
    ['#.c', 'a.b.c', true],
    ['#.c', 'c', true],
    ['a.#.c', 'a.c', true],
    ['a.#.c', 'a.b.b.c', true],
    ['a.#.c', 'a.b', false],
    ['*.#.*', 'a', false],
    ['*.#.*', 'a.b', true],
    ['#.#', 'a', true],
  ])('%s and %s: %s', (pattern, topic, expected) => {
    expect(topicMatches(pattern, topic)).toBe(expected)
  })
})
