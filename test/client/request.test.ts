import { describe, expect, it } from 'vitest'
import { FrameKind } from '../../wire/frame.ts'
import { decodeMessage, encodeMessage } from '../../wire/message.ts'
import { decode } from '../../wire/msgpack.ts'
import { connected, lose, reopen, watched } from './support/scene.ts'

const bytesOf = (body: unknown) => encodeMessage(body, undefined)

describe('a request', () => {
  it('travels with the others of its turn, and each gets its own reply', async () => {
    const { node, clock, client } = await connected()
    const asked = [1, 2, 3].map((n) => client.request('price.quote', n, { timeoutMs: 1_000 * n }))
    await clock.settle()
    expect(node.order.filter((kind) => kind === 'request')).toHaveLength(1)
    expect(node.requests.map(([, topic, timeoutMs]) => [topic, timeoutMs])).toEqual([
      ['price.quote', 1_000],
      ['price.quote', 2_000],
      ['price.quote', 3_000],
    ])
    const numbers = node.requests.map(([number]) => number)
    node.socket.say(FrameKind.replied, [
      [numbers[2]!, bytesOf('three')],
      [numbers[0]!, bytesOf('one')],
    ])
    node.socket.say(FrameKind.replied, [[numbers[1]!, bytesOf('two')]])
    const replies = await Promise.all(asked)
    expect(replies.map(({ body }) => body)).toEqual(['one', 'two', 'three'])
    expect(replies[0]).toMatchObject({ topic: 'price.quote', attempt: 1, headers: {} })
    await Promise.all([replies[0]!.ack(), replies[0]!.nack(), replies[0]!.reject(), replies[0]!.extend(1)])
  })

  it('carries headers and a correlation id', async () => {
    const { node, clock, client } = await connected()
    client.request('a', 1, { headers: { tenant: 'acme' }, correlationId: 'c' }).catch(() => {})
    await clock.settle()
    const { properties } = decodeMessage(node.requests[0]![3])
    expect(properties).toEqual({ headers: { tenant: 'acme' }, correlationId: 'c' })
  })

  it.each([
    ['NoResponders', 'not-applied'],
    ['Connection', 'unknown'],
    ['Overloaded', 'not-applied'],
  ] as const)('fails with %s when the node says so', async (code, outcome) => {
    const { node, clock, client } = await connected()
    const asked = watched(client.request('a', 1))
    await clock.settle()
    node.socket.say(FrameKind.replied, [[node.requests[0]![0], null, code, 'said the node']])
    await clock.settle()
    expect(asked.error).toMatchObject({ code, outcome })
  })

  it('fails with Remote, and what the responder said as its cause, when that threw', async () => {
    const { node, clock, client } = await connected()
    const asked = watched(client.request('a', 1))
    await clock.settle()
    node.socket.say(FrameKind.replied, [[node.requests[0]![0], null, 'Remote', 'out of stock']])
    await clock.settle()
    expect(asked.error).toMatchObject({ code: 'Remote', outcome: 'applied', cause: { message: 'out of stock' } })
  })

  it('without a reply fails at its deadline: Timeout, unknown; a late reply is nobody’s', async () => {
    const { node, clock, client } = await connected({ requestTimeoutMs: 700 })
    const usual = watched(client.request('a', 1))
    const brief = watched(client.request('a', 2, { timeoutMs: 100 }))
    await clock.advance(99)
    expect(brief.isSettled).toBe(false)
    await clock.advance(1)
    expect(brief.error).toMatchObject({ code: 'Timeout', outcome: 'unknown' })
    await clock.advance(600)
    expect(usual.error).toMatchObject({ code: 'Timeout' })
    node.socket.say(FrameKind.replied, [[node.requests[0]![0], bytesOf('late')]])
    await clock.settle()
    expect(node.sockets).toHaveLength(1)
  })

  it('waits for a connection until its deadline: Connection, not applied, and is not sent later', async () => {
    const scene = await connected({ requestTimeoutMs: 300 })
    const { node, clock, client } = scene
    await lose(scene)
    const brief = watched(client.request('a', 'brief'))
    const patient = watched(client.request('a', 'patient', { timeoutMs: 60_000 }))
    await clock.advance(300)
    expect(brief.error).toMatchObject({ code: 'Connection', outcome: 'not-applied' })
    await reopen(scene)
    node.socket.welcome()
    await clock.settle()
    expect(node.requests.map(([, , , bytes]) => decode(decodeMessage(bytes).body))).toEqual(['patient'])
    node.socket.say(FrameKind.replied, [[node.requests[0]![0], bytesOf('here')]])
    await clock.settle()
    expect(patient.value!.body).toBe('here')
  })

  it('may get its reply through the next connection, and is never sent twice', async () => {
    const scene = await connected()
    const { node, clock, client } = scene
    const asked = watched(client.request('a', 1))
    await clock.settle()
    await lose(scene)
    await reopen(scene)
    node.socket.welcome()
    await clock.settle()
    expect(node.requests).toHaveLength(1)
    node.socket.say(FrameKind.replied, [[node.requests[0]![0], bytesOf('forwarded')]])
    await clock.settle()
    expect(asked.value!.body).toBe('forwarded')
  })

  it('is lost with its session', async () => {
    const scene = await connected()
    const { node, clock, client } = scene
    const asked = watched(client.request('a', 1))
    await clock.settle()
    await lose(scene)
    const unsent = watched(client.request('a', 2))
    await reopen(scene)
    Object.assign(node.auto, { open: true, welcome: true })
    node.socket.fault('SessionLost')
    await clock.settle()
    expect(asked.error).toMatchObject({ code: 'SessionLost', outcome: 'unknown' })
    expect(unsent.isSettled).toBe(false)
    expect(node.requests).toHaveLength(2)
  })

  it('is ended by its signal', async () => {
    const { node, clock, client } = await connected()
    const abort = new AbortController()
    const sent = watched(client.request('a', 1, { signal: abort.signal }))
    await clock.settle()
    const unsent = watched(client.request('a', 2, { signal: abort.signal }))
    abort.abort()
    await clock.settle()
    expect(sent.error).toMatchObject({ code: 'Aborted', outcome: 'unknown' })
    expect(unsent.error).toMatchObject({ code: 'Aborted', outcome: 'not-applied' })
    expect(node.requests).toHaveLength(1)
    await expect(client.request('a', 3, { signal: abort.signal })).rejects.toMatchObject({ code: 'Aborted' })
  })

  it('is refused beyond a bound of those that wait', async () => {
    const { client } = await connected()
    const asked = Array.from({ length: 65_537 }, (_, i) => client.request('a', i))
    for (const each of asked) each.catch(() => {})
    await expect(asked.at(-1)).rejects.toMatchObject({ code: 'Overloaded', outcome: 'not-applied' })
    await expect(client.request('a..b', 1)).rejects.toMatchObject({ code: 'Validation' })
  })
})

describe('a query', () => {
  it('asks for a queue, all queues, the cluster, and gives the answer', async () => {
    const { node, clock, client } = await connected()
    const asked = [client.queue('q').stats({ consistent: true }), client.admin.queues(), client.admin.cluster()]
    await clock.settle()
    expect(node.queries.map(({ id: _, ...rest }) => rest)).toEqual([
      { what: 'queue', name: 'q', consistent: true },
      { what: 'queues', consistent: false },
      { what: 'cluster' },
    ])
    for (const { id, what } of node.queries) node.socket.say(FrameKind.answer, { id, value: { what } })
    expect(await Promise.all(asked)).toEqual([{ what: 'queue' }, { what: 'queues' }, { what: 'cluster' }])
  })

  it('fails with what the node says, and with Timeout when it says nothing', async () => {
    const { node, clock, client } = await connected()
    const missing = watched(client.queue('q').stats())
    const silent = watched(client.queue('r').stats())
    await clock.settle()
    node.socket.say(FrameKind.answer, { id: node.queries[0]!.id, code: 'NotFound', message: 'no queue q' })
    await clock.advance(5_000)
    expect(missing.error).toMatchObject({ code: 'NotFound' })
    expect(silent.error).toMatchObject({ code: 'Timeout', outcome: 'not-applied' })
  })

  it('is asked again after a reconnect', async () => {
    const scene = await connected()
    const { node, clock, client } = scene
    const asked = watched(client.queue('q').stats())
    await clock.settle()
    await lose(scene)
    await reopen(scene)
    node.socket.welcome()
    await clock.settle()
    expect(node.queries).toHaveLength(2)
    node.socket.say(FrameKind.answer, { id: node.queries[1]!.id, value: { ready: 1 } })
    await clock.settle()
    expect(asked.value).toEqual({ ready: 1 })
  })
})

describe('a queue', () => {
  it('is declared, bound, unbound and deleted by commands', async () => {
    const { node, clock, client } = await connected()
    const queue = client.queue('q')
    const done = [queue.declare({ durable: false }), queue.bind('a.*'), queue.unbind('a.*'), queue.delete()]
    await clock.settle()
    await Promise.all(done)
    expect(node.controls.map(({ command }) => command)).toEqual([
      { type: 'declareQueue', queue: 'q', durable: false },
      { type: 'bind', queue: 'q', pattern: 'a.*' },
      { type: 'unbind', queue: 'q', pattern: 'a.*' },
      { type: 'deleteQueue', queue: 'q' },
    ])
    await expect(client.queue('a.*').declare()).rejects.toMatchObject({ code: 'Validation' })
    await expect(queue.bind('a..b')).rejects.toMatchObject({ code: 'Validation' })
  })
})
