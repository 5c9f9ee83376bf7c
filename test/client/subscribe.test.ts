import { describe, expect, it } from 'vitest'
import type { Client, SubscribeOptions } from '../../client/index.ts'
import { SettleOutcome } from '../../wire/settle-frame.ts'
import { settlesOf } from './support/consuming.ts'
import { connected, watched } from './support/scene.ts'

describe('subscribing', () => {
  it('declares the queue, binds it and consumes, and resolves then', async () => {
    const { node, clock, client } = await connected({}, (n) => {
      n.auto.control = false
    })
    const subscribing = watched(
      client.subscribe('orders.*', () => {}, { queue: 'q', prefetch: 7, visibilityTimeoutMs: 9_000 }),
    )
    for (let sequence = 1; sequence <= 3; sequence++) {
      await clock.settle()
      expect(subscribing.isSettled).toBe(false)
      node.socket.outcome(sequence < 3 ? { sequence } : { sequence, result: { consumer: 77 } })
    }
    await clock.settle()
    expect(subscribing.isSettled).toBe(true)
    expect(node.controls.map(({ command }) => command)).toEqual([
      { type: 'declareQueue', queue: 'q' },
      { type: 'bind', queue: 'q', pattern: 'orders.*' },
      { type: 'consume', queue: 'q', prefetch: 7, visibilityTimeoutMs: 9_000 },
    ])
  })

  it('without a queue makes one of its own, that nobody else may use and that goes when it does', async () => {
    const { node, clock, client } = await connected()
    const subscribing = client.subscribe('orders.*', () => {})
    await clock.settle()
    const [declare, bind, consume] = node.controls.map(({ command }) => command)
    expect(declare).toMatchObject({ type: 'declareQueue', durable: false, exclusive: true })
    const { queue } = declare as { queue: string }
    expect([bind, consume]).toMatchObject([{ queue }, { queue }])
    const closing = (await subscribing).close()
    await clock.settle()
    await closing
    expect(node.commands.slice(3)).toEqual(['cancel', 'deleteQueue'])
  })

  it('takes deliveries that come right behind the outcome of consume, in the same read', async () => {
    const { node, clock, client } = await connected({}, (n) => {
      n.auto.control = false
    })
    const bodies: unknown[] = []
    const subscribing = client.subscribe('orders.*', ({ body }) => void bodies.push(body), { queue: 'q' })
    await clock.settle()
    node.socket.outcome({ sequence: 1 })
    await clock.settle()
    node.socket.outcome({ sequence: 2 })
    await clock.settle()
    node.socket.outcome({ sequence: 3, result: { consumer: 77 } })
    node.socket.deliver(77, 1, ['at once'])
    await clock.settle()
    await subscribing
    expect(bodies).toEqual(['at once'])
  })

  it('rejects with what the cluster refused it for, and leaves nothing behind', async () => {
    const { node, clock, client } = await connected({}, (n) => {
      n.auto.control = false
    })
    const subscribing = watched(client.subscribe('orders.*', () => {}, { queue: 'q' }))
    await clock.settle()
    node.socket.outcome({ sequence: 1, code: 'Precondition', message: 'it is not durable' })
    await clock.settle()
    expect(subscribing.error).toMatchObject({ code: 'Precondition', outcome: 'not-applied' })
    expect(node.commands).toEqual(['declareQueue'])
  })

  it('gives a consumer back that was made after its caller had given up', async () => {
    const { node, clock, client } = await connected({ publishTimeoutMs: 300 }, (n) => {
      n.auto.control = false
    })
    const subscribing = watched(client.subscribe('orders.*', () => {}, { queue: 'q' }))
    await clock.settle()
    node.socket.outcome({ sequence: 1 })
    await clock.settle()
    node.socket.outcome({ sequence: 2 })
    await clock.advance(300)
    expect(subscribing.error).toMatchObject({ code: 'NoQuorum', outcome: 'unknown' })
    node.socket.outcome({ sequence: 3, result: { consumer: 77 } })
    await clock.settle()
    expect(node.controls.at(-1)!.command).toEqual({ type: 'cancel', consumer: 77 })
  })

  it.each([
    ['a..b', {}],
    ['a', { queue: 'a.*' }],
    ['a', { prefetch: 0 }],
    ['a', { prefetch: 10_001 }],
    ['a', { concurrency: 0.5 }],
    ['a', { visibilityTimeoutMs: -1 }],
    ['a', { visibilityTimeoutMs: 2 ** 40 }],
    ['a', { autoExtend: { maxMs: 0 } }],
    ['a', { retry: { initialMs: -1 } }],
  ])('refuses %s with %j', async (pattern, options) => {
    const { node, client } = await connected()
    await expect(client.subscribe(pattern, () => {}, options)).rejects.toMatchObject({ code: 'Validation' })
    expect(() => client.subscribe(pattern, options)).toThrow(expect.objectContaining({ code: 'Validation' }))
    expect(node.controls).toEqual([])
  })
})

describe('iterating', () => {
  function iterating(client: Client, options: SubscribeOptions = {}) {
    return client.subscribe('orders.*', { queue: 'q', ...options })
  }

  it('is claimed at once, so that nothing is missed before the first message is asked for', async () => {
    const { node, clock, client } = await connected()
    const messages = iterating(client)
    await clock.settle()
    expect(node.commands).toEqual(['declareQueue', 'bind', 'consume'])
    node.socket.deliver(node.minted, 1, ['a', 'b'])
    await clock.settle()
    expect((await messages.next()).value.body).toBe('a')
    expect((await messages.next()).value.body).toBe('b')
  })

  it('throws what it was refused for, then ends', async () => {
    const { node, clock, client } = await connected({}, (n) => {
      n.auto.control = false
    })
    const messages = iterating(client)
    const next = watched(messages.next())
    await clock.settle()
    node.socket.outcome({ sequence: 1, code: 'LimitExceeded' })
    await clock.settle()
    expect(next.error).toMatchObject({ code: 'LimitExceeded' })
    expect(await messages.next()).toEqual({ done: true, value: undefined })
    await expect(messages.closed).rejects.toMatchObject({ code: 'LimitExceeded' })
  })

  it('left by a break sends the acks that were called for, then gives the rest back', async () => {
    const { node, clock, client } = await connected()
    const got: unknown[] = []
    const loop = (async () => {
      for await (const message of iterating(client)) {
        got.push(message.body)
        void message.ack()
        if (got.length === 2) break
      }
    })()
    await clock.settle()
    node.socket.deliver(node.minted, 1, ['a', 'b', 'c'])
    await clock.advance(0)
    await loop
    expect(got).toEqual(['a', 'b'])
    expect(settlesOf(node)).toEqual([[SettleOutcome.accepted, 1, 2]])
    expect(node.controls.at(-1)!.command).toEqual({ type: 'cancel', consumer: node.minted })
    expect(node.order.indexOf('settle')).toBeLessThan(node.order.lastIndexOf('control'))
  })

  it('ends when the client drains or the subscription is closed, for whoever waits and whoever asks later', async () => {
    const { node, clock, client } = await connected()
    const messages = iterating(client)
    const waiting = [watched(messages.next()), watched(messages.next())]
    await clock.settle()
    const closing = watched(messages.close())
    await clock.settle()
    expect(waiting.map(({ value }) => value)).toEqual(Array(2).fill({ done: true, value: undefined }))
    expect(closing.isSettled).toBe(true)
    expect(await messages.next()).toEqual({ done: true, value: undefined })
    expect(node.commands.at(-1)).toBe('cancel')
  })

  it('hands out no more than concurrency lets it', async () => {
    const { node, clock, client } = await connected()
    const messages = iterating(client, { concurrency: 1 })
    const first = messages.next()
    const second = watched(messages.next())
    await clock.settle()
    node.socket.deliver(node.minted, 1, ['a', 'b'])
    await clock.settle()
    expect(second.isSettled).toBe(false)
    void (await first).value.ack()
    await clock.settle()
    expect(second.value!.value.body).toBe('b')
  })
})
