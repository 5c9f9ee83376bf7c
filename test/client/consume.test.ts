import { describe, expect, it } from 'vitest'
import {
  type Client,
  type Message,
  PermanentError,
  type SubscribeOptions,
  type Subscription,
} from '../../client/index.ts'
import { FrameKind } from '../../wire/frame.ts'
import { SettleOutcome } from '../../wire/settle-frame.ts'
import { connected, lose, reopen, type Scene, watched } from './support/scene.ts'
import type { ScriptedNode } from './support/scripted-node.ts'

const { accepted, released, rejected, extended } = SettleOutcome

/** Handlers that finish when the test says so. */
class Held {
  readonly messages: Message[] = []
  readonly #finishes: ((error?: unknown) => void)[] = []

  readonly handler = (message: Message): Promise<void> =>
    new Promise((resolve, reject) => {
      this.messages.push(message)
      this.#finishes.push((error) => (error === undefined ? resolve() : reject(error)))
    })

  get bodies(): unknown[] {
    return this.messages.map(({ body }) => body)
  }

  finish(i: number, error?: unknown): void {
    this.#finishes[i]!(error)
  }
}

interface ConsumerScene extends Scene {
  readonly held: Held
  readonly subscription: Subscription
  /** The consumer's incarnation. */
  readonly consumer: number
}

async function consuming(
  options: SubscribeOptions = {},
  prepare?: (node: ScriptedNode) => void,
): Promise<ConsumerScene> {
  const scene = await connected({}, prepare)
  const held = new Held()
  const subscribing = scene.client.subscribe('orders.*', held.handler, { queue: 'q', ...options })
  await scene.clock.settle()
  return { ...scene, held, subscription: await subscribing, consumer: scene.node.minted }
}

/** Settles as they were sent: outcome, first delivery, count. */
function settlesOf(node: ScriptedNode): [number, number, number][] {
  return node.settles.flatMap(({ items }) =>
    items.map(({ outcome, firstDelivery, count }): [number, number, number] => [outcome, firstDelivery, count]),
  )
}

async function reattach(scene: Scene, consumers: readonly number[]): Promise<void> {
  await lose(scene)
  await reopen(scene)
  scene.node.socket.welcome({ consumers, lastSequence: 3 })
  await scene.clock.settle()
}

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

describe('a message', () => {
  it('says what was published, and decodes it when it is looked at', async () => {
    const { node, clock, held, consumer } = await consuming()
    node.socket.deliver(consumer, 1, [{ n: 1 }], { session: 8192, sequence: 5, attempt: 3 })
    await clock.settle()
    const [message] = held.messages
    expect(message).toMatchObject({
      id: '0-8192-5',
      topic: 'orders.created',
      attempt: 3,
      timestamp: new Date(1_700_000_000_000),
      headers: {},
      correlationId: undefined,
      replyTo: undefined,
    })
    expect(message!.body).toEqual({ n: 1 })
    expect(message!.body).toBe(message!.body)
    expect([...message!.raw]).toEqual([0xde, 0, 1, 0xa1, 0x6e, 1])
  })

  it('whose bytes are no message is rejected: nobody else could read it either', async () => {
    const { node, clock, client } = await connected()
    const subscribing = client.subscribe('orders.*', ({ body }) => body, { queue: 'q' })
    await clock.settle()
    await subscribing
    node.socket.deliver(node.minted, 1, ['x'], { message: Uint8Array.of(0, 0xd9) })
    await clock.settle()
    expect(settlesOf(node)).toEqual([[rejected, 1, 1]])
  })

  it('is settled once; a second time is a TypeError', async () => {
    const { node, clock, held, consumer } = await consuming()
    node.socket.deliver(consumer, 1, ['x'])
    await clock.settle()
    const [message] = held.messages
    const ack = message!.ack()
    for (const again of [message!.ack(), message!.nack(), message!.reject(), message!.extend(5)]) {
      await expect(again).rejects.toBeInstanceOf(TypeError)
    }
    await clock.settle()
    await ack
    held.finish(0)
    await clock.settle()
    expect(settlesOf(node)).toEqual([[accepted, 1, 1]])
  })

  it('refuses a delay that the cluster would not take, and can still be settled', async () => {
    const { node, clock, held, consumer } = await consuming()
    node.socket.deliver(consumer, 1, ['x'])
    await clock.settle()
    const [message] = held.messages
    for (const delayMs of [-1, Number.NaN, 2 ** 40]) {
      await expect(message!.nack({ delayMs })).rejects.toMatchObject({ code: 'Validation' })
    }
    await expect(message!.extend(-1)).rejects.toMatchObject({ code: 'Validation' })
    const nack = message!.nack({ delayMs: 299.5 })
    await clock.settle()
    await nack
    expect(node.settles[0]!.items).toMatchObject([{ outcome: released, ms: 300 }])
  })
})

describe('a handler', () => {
  it('acknowledges by returning: a turn’s acks travel as runs in one frame, in whatever order they came', async () => {
    const { node, clock, held, consumer } = await consuming()
    node.socket.deliver(consumer, 1, ['a', 'b', 'c', 'd', 'e', 'f'])
    await clock.settle()
    expect(held.bodies).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
    for (const i of [4, 0, 2, 1]) held.finish(i)
    await clock.settle()
    expect(node.settles).toHaveLength(1)
    expect(node.settles[0]).toMatchObject({ session: 4096, epoch: 1 })
    expect(settlesOf(node)).toEqual([
      [accepted, 1, 3],
      [accepted, 5, 1],
    ])
  })

  it('returns the message by throwing: at once the first time, then later and later up to a bound', async () => {
    const { node, clock, held, consumer } = await consuming({ retry: { initialMs: 50, maxMs: 300 } })
    for (let attempt = 1; attempt <= 6; attempt++) {
      node.socket.deliver(consumer, attempt, ['x'], { attempt })
      await clock.settle()
      held.finish(attempt - 1, new Error('try again'))
      await clock.settle()
    }
    const items = node.settles.map(({ items: [item] }) => item!)
    expect(items.map(({ outcome }) => outcome)).toEqual(Array(6).fill(released))
    expect(items.map(({ ms }) => ms)).toEqual([0, 50, 100, 200, 300, 300])
  })

  it('rejects the message by throwing PermanentError, also at once and not in a promise', async () => {
    const { node, clock, client } = await connected()
    const subscribing = client.subscribe(
      'a',
      () => {
        throw new PermanentError('never')
      },
      { queue: 'q' },
    )
    await clock.settle()
    await subscribing
    node.socket.deliver(node.minted, 1, ['x'])
    await clock.settle()
    expect(settlesOf(node)).toEqual([[rejected, 1, 1]])
  })

  it('may settle by itself; what it returns or throws then changes nothing', async () => {
    const { node, clock, held, consumer } = await consuming()
    node.socket.deliver(consumer, 1, ['a', 'b'])
    await clock.settle()
    void held.messages[0]!.nack({ delayMs: 5 })
    void held.messages[1]!.ack()
    held.finish(0)
    held.finish(1, new Error('too late'))
    await clock.settle()
    expect(settlesOf(node)).toEqual([
      [accepted, 2, 1],
      [released, 1, 1],
    ])
  })

  it('is called for no more messages at a time than its concurrency, in their order', async () => {
    const { node, clock, held, consumer } = await consuming({ concurrency: 2 })
    node.socket.deliver(consumer, 1, ['a', 'b', 'c', 'd'])
    await clock.settle()
    expect(held.bodies).toEqual(['a', 'b'])
    held.finish(1)
    await clock.settle()
    expect(held.bodies).toEqual(['a', 'b', 'c'])
    void held.messages[0]!.ack()
    await clock.settle()
    expect(held.bodies).toEqual(['a', 'b', 'c', 'd'])
  })

  it('that returns at once is called for thousands in a row without running deeper and deeper', async () => {
    const { node, clock, client } = await connected()
    let calls = 0
    const subscribing = client.subscribe('a', () => void calls++, { queue: 'q', prefetch: 10_000, concurrency: 1 })
    await clock.settle()
    await subscribing
    node.socket.deliver(node.minted, 1, Array(10_000).fill('x'))
    await clock.settle()
    expect(calls).toBe(10_000)
    expect(settlesOf(node)).toEqual([[accepted, 1, 10_000]])
  })

  it('of a message that went back meanwhile is told by its signal, and its return settles nothing', async () => {
    const { node, clock, held, consumer, client } = await consuming({ visibilityTimeoutMs: 300 }, (n) => {
      n.auto.settle = false
    })
    const statuses = client.status()
    node.socket.deliver(consumer, 1, ['x'])
    await clock.advance(200)
    const { sequence: tag, items } = node.settles[0]!
    expect(items).toMatchObject([{ outcome: extended, firstDelivery: 1, ms: 300 }])
    node.socket.say(FrameKind.settled, { tag, stale: [[consumer, 1, 1]] })
    await clock.settle()
    const { signal } = held.messages[0]!
    expect(signal.aborted).toBe(true)
    expect(signal.reason).toMatchObject({ code: 'LeaseLost' })
    await expect(held.messages[0]!.ack()).rejects.toMatchObject({ code: 'LeaseLost' })
    held.finish(0)
    await clock.settle()
    expect(node.settles).toHaveLength(1)
    expect((await statuses.next()).value).toMatchObject({ type: 'leaseLost', topic: 'orders.created' })
  })
})

describe('visibility', () => {
  it('is extended at a third of its time, for what is buffered and what is handled, and not for what has just come', async () => {
    const { node, clock, held, consumer } = await consuming({ visibilityTimeoutMs: 900, concurrency: 1 })
    node.socket.deliver(consumer, 1, ['handled', 'buffered', 'buffered too'])
    await clock.advance(299)
    node.socket.deliver(consumer, 4, ['young'])
    await clock.advance(1)
    // Those that came since the last look are young enough to wait for the next.
    expect(settlesOf(node)).toEqual([])
    await clock.advance(300)
    expect(settlesOf(node)).toEqual([[extended, 1, 4]])
    held.finish(0)
    await clock.settle()
    await clock.advance(300)
    expect(settlesOf(node).slice(1)).toEqual([
      [accepted, 1, 1],
      [extended, 2, 3],
    ])
  })

  it('is extended for a handler no longer than autoExtend allows; then its signal tells, and it may still settle', async () => {
    const { node, clock, held, consumer } = await consuming({ visibilityTimeoutMs: 900, autoExtend: { maxMs: 1_000 } })
    node.socket.deliver(consumer, 1, ['x'])
    await clock.settle()
    const { signal } = held.messages[0]!
    await clock.advance(1_000)
    expect(settlesOf(node)).toEqual([
      [extended, 1, 1],
      [extended, 1, 1],
    ])
    expect(signal.aborted).toBe(false)
    await clock.advance(5_000)
    expect(node.settles).toHaveLength(2)
    expect(signal.aborted).toBe(true)
    held.finish(0)
    await clock.settle()
    expect(settlesOf(node).at(-1)).toEqual([accepted, 1, 1])
  })

  it('is not extended when autoExtend is off, and extend does it by hand', async () => {
    const { node, clock, held, consumer } = await consuming({ visibilityTimeoutMs: 300, autoExtend: false })
    node.socket.deliver(consumer, 1, ['x'])
    await clock.advance(3_000)
    expect(node.settles).toEqual([])
    const extending = held.messages[0]!.extend(5_000)
    await clock.settle()
    await extending
    expect(node.settles[0]!.items).toMatchObject([{ outcome: extended, firstDelivery: 1, ms: 5_000 }])
  })
})

describe('iterating', () => {
  function iterating(client: Client, options: SubscribeOptions = {}) {
    return client.subscribe('orders.*', { queue: 'q', ...options })
  }

  it('declares nothing before the first message is asked for', async () => {
    const { node, clock, client } = await connected()
    const messages = iterating(client)
    await clock.settle()
    expect(node.controls).toEqual([])
    const next = messages.next()
    await clock.settle()
    expect(node.commands).toEqual(['declareQueue', 'bind', 'consume'])
    node.socket.deliver(node.minted, 1, ['a', 'b'])
    await clock.settle()
    expect((await next).value.body).toBe('a')
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
    expect(settlesOf(node)).toEqual([[accepted, 1, 2]])
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

describe('a consumer that the cluster ended', () => {
  it('ends its subscription with Cancelled: closed rejects, handlers are told by their signals', async () => {
    const { node, clock, held, subscription, consumer, client } = await consuming()
    const statuses = client.status()
    node.socket.deliver(consumer, 1, ['x'])
    await clock.settle()
    const { signal } = held.messages[0]!
    node.socket.say(FrameKind.cancelled, { consumer, reason: 'the queue was deleted' })
    await clock.settle()
    await expect(subscription.closed).rejects.toMatchObject({ code: 'Cancelled', message: 'the queue was deleted' })
    expect(signal.reason).toMatchObject({ code: 'Cancelled' })
    held.finish(0)
    await clock.settle()
    expect(node.settles).toEqual([])
    const told = [(await statuses.next()).value, (await statuses.next()).value]
    expect(told).toMatchObject([{ type: 'leaseLost' }, { type: 'subscriptionEnded', pattern: 'orders.*' }])
  })

  it('is thrown by an iterator, once', async () => {
    const { node, clock, client } = await connected()
    const messages = client.subscribe('orders.*', { queue: 'q' })
    const next = watched(messages.next())
    await clock.settle()
    node.socket.say(FrameKind.cancelled, { consumer: node.minted, reason: 'the queue was deleted' })
    await clock.settle()
    expect(next.error).toMatchObject({ code: 'Cancelled' })
    expect(await messages.next()).toEqual({ done: true, value: undefined })
  })

  it('while the client was away is seen at the welcome', async () => {
    const scene = await consuming()
    await reattach(scene, [])
    await expect(scene.subscription.closed).rejects.toMatchObject({ code: 'Cancelled' })
  })
})

describe('a consumer after a reconnect', () => {
  it('lists what it holds, settled without an answer included, and sends those settles again under the same tag', async () => {
    const scene = await consuming({ concurrency: 4 }, (node) => {
      node.auto.settle = false
    })
    const { node, clock, held, consumer } = scene
    node.socket.deliver(consumer, 1, ['a', 'b', 'c', 'd', 'e', 'f'])
    await clock.settle()
    held.finish(0)
    held.finish(1)
    await clock.settle()
    node.socket.say(FrameKind.settled, { tag: 1, stale: [] })
    await clock.settle()
    held.finish(3)
    await clock.settle()
    await lose(scene)
    // Finished while there is no connection.
    held.finish(2)
    await reopen(scene)
    expect(node.hellos[1]).toMatchObject({ session: 4096, held: [{ consumer, runs: [[3, 4]] }] })
    node.socket.welcome({ consumers: [consumer], lastSequence: 3 })
    await clock.settle()
    const [, before, again] = node.settles
    expect(again).toEqual({ ...before, epoch: 2 })
    expect(settlesOf(node).slice(3)).toContainEqual([accepted, 3, 1])
  })

  it('hands out what was buffered only when the cluster has said that it is still held, and drops what is not', async () => {
    const scene = await consuming({ concurrency: 1 }, (node) => {
      node.auto.settle = false
    })
    const { node, clock, held, consumer } = scene
    node.socket.deliver(consumer, 1, ['a', 'b', 'c', 'd'])
    await clock.settle()
    await reattach(scene, [consumer])
    expect(settlesOf(node)).toEqual([[extended, 1, 4]])
    held.finish(0)
    await clock.settle()
    // The redelivery of what went back is here before the answer.
    node.socket.deliver(consumer, 9, ['b'], { attempt: 2 })
    await clock.settle()
    expect(held.bodies).toEqual(['a'])
    node.socket.say(FrameKind.settled, { tag: node.settles[0]!.sequence, stale: [[consumer, 2, 2]] })
    await clock.settle()
    expect(held.bodies).toEqual(['a', 'd'])
    held.finish(1)
    await clock.settle()
    expect(held.messages[2]).toMatchObject({ body: 'b', attempt: 2 })
  })

  it('drops deliveries that it has seen before', async () => {
    const { node, clock, held, consumer } = await consuming()
    node.socket.deliver(consumer, 1, ['a', 'b', 'c'])
    node.socket.deliver(consumer, 2, ['b', 'c', 'd'])
    held.finish(0)
    node.socket.deliver(consumer, 1, ['a'])
    await clock.settle()
    expect(held.bodies).toEqual(['a', 'b', 'c', 'd'])
  })

  it('that nobody here reads is given back', async () => {
    const scene = await consuming()
    await reattach(scene, [scene.consumer, 999])
    expect(scene.node.controls.at(-1)!.command).toEqual({ type: 'cancel', consumer: 999 })
  })

  it('that was made while the client was away begins with the welcome', async () => {
    const scene = await connected({}, (n) => {
      n.auto.control = false
    })
    const { node, clock, client } = scene
    const bodies: unknown[] = []
    const subscribing = watched(client.subscribe('a', ({ body }) => void bodies.push(body), { queue: 'q' }))
    await clock.settle()
    node.socket.outcome({ sequence: 1 })
    await clock.settle()
    node.socket.outcome({ sequence: 2 })
    await clock.settle()
    await lose(scene)
    await reopen(scene)
    const outcomes = [{ sequence: 3, result: { consumer: 77 } }]
    node.socket.welcome({ consumers: [77], lastSequence: 3, outcomes })
    node.socket.deliver(77, 1, ['x'])
    await clock.settle()
    expect(subscribing.isSettled).toBe(true)
    expect(bodies).toEqual(['x'])
    expect(node.commands).not.toContain('cancel')
  })
})

describe('a lost session', () => {
  it('takes all that was held with it, and the subscription is made again under the next one', async () => {
    const scene = await consuming({ concurrency: 1 })
    const { node, clock, held, consumer, subscription } = scene
    node.socket.deliver(consumer, 1, ['a', 'b'])
    await clock.settle()
    const { signal } = held.messages[0]!
    await lose(scene)
    await reopen(scene)
    node.auto.open = true
    node.auto.welcome = true
    node.socket.fault('SessionLost')
    await clock.settle()
    expect(signal.reason).toMatchObject({ code: 'SessionLost' })
    await expect(held.messages[0]!.ack()).rejects.toMatchObject({ code: 'SessionLost' })
    expect(node.commands.slice(3)).toEqual(['declareQueue', 'bind', 'consume'])
    expect(node.controls.at(-1)).toMatchObject({ sequence: 3 })
    node.socket.deliver(node.minted, 1, ['a'], { attempt: 2 })
    await clock.settle()
    expect(held.bodies).toEqual(['a', 'a'])
    expect(watched(subscription.closed).isSettled).toBe(false)
  })

  it('fails an ack that had no answer as SessionLost, unknown', async () => {
    const scene = await consuming({}, (node) => {
      node.auto.settle = false
    })
    const { node, clock, held, consumer } = scene
    node.socket.deliver(consumer, 1, ['a'])
    await clock.settle()
    const ack = watched(held.messages[0]!.ack())
    await clock.settle()
    await lose(scene)
    await reopen(scene)
    node.socket.fault('SessionLost')
    await clock.settle()
    expect(ack.error).toMatchObject({ code: 'SessionLost', outcome: 'unknown' })
  })

  it('gives an exclusive queue a new name, and a subscription that was being made goes on', async () => {
    const scene = await connected({}, (n) => {
      n.auto.control = false
    })
    const { node, clock, client } = scene
    const subscribing = watched(client.subscribe('a', () => {}))
    await clock.settle()
    node.socket.outcome({ sequence: 1 })
    await clock.settle()
    await lose(scene)
    await reopen(scene)
    Object.assign(node.auto, { open: true, welcome: true, control: true })
    node.socket.fault('SessionLost')
    await clock.settle()
    expect(subscribing.isSettled).toBe(true)
    expect(subscribing.error).toBeUndefined()
    const declared = node.controls.flatMap(({ command }) => (command.type === 'declareQueue' ? [command.queue] : []))
    expect(new Set(declared).size).toBe(2)
    const consumed = node.controls.flatMap(({ command }) => (command.type === 'consume' ? [command.queue] : []))
    expect(consumed).toEqual([declared[1]])
  })

  it('ends a subscription that the cluster refuses to make again', async () => {
    const scene = await consuming()
    const { node, clock, subscription } = scene
    await lose(scene)
    await reopen(scene)
    Object.assign(node.auto, { open: true, welcome: true, control: false })
    node.socket.fault('SessionLost')
    await clock.settle()
    node.socket.outcome({ sequence: 1, code: 'Precondition' })
    await clock.settle()
    await expect(subscription.closed).rejects.toMatchObject({ code: 'Precondition' })
  })
})

describe('a settle', () => {
  it('that finds its delivery gone rejects with LeaseLost, unknown; its neighbours in the frame do not', async () => {
    const { node, clock, held, consumer } = await consuming({}, (n) => {
      n.auto.settle = false
    })
    node.socket.deliver(consumer, 1, ['a', 'b', 'c'])
    await clock.settle()
    const acks = held.messages.map((message) => watched(message.ack()))
    await clock.settle()
    node.socket.say(FrameKind.settled, { tag: 1, stale: [[consumer, 2, 1]] })
    await clock.settle()
    expect(acks.map(({ isSettled }) => isSettled)).toEqual([true, true, true])
    expect(acks[1]!.error).toMatchObject({ code: 'LeaseLost', outcome: 'unknown' })
    expect([acks[0]!.error, acks[2]!.error]).toEqual([undefined, undefined])
  })

  it('rejects at the deadline as unknown, and goes on being sent', async () => {
    const scene = await consuming({}, (n) => {
      n.auto.settle = false
    })
    const { node, clock, held, consumer } = scene
    node.socket.deliver(consumer, 1, ['a'])
    await clock.settle()
    const ack = watched(held.messages[0]!.ack())
    await clock.advance(30_000)
    expect(ack.error).toMatchObject({ code: 'NoQuorum', outcome: 'unknown' })
    await reattach(scene, [consumer])
    expect(settlesOf(node)).toEqual(Array(2).fill([accepted, 1, 1]))
  })

  it('travels in frames of bounded size', async () => {
    const { node, clock, held, consumer } = await consuming({ prefetch: 10_000 })
    node.socket.deliver(consumer, 1, Array(10_000).fill('x'))
    await clock.settle()
    // Every other one, so that nothing is a run.
    for (let i = 0; i < 10_000; i += 2) held.finish(i)
    await clock.settle()
    expect(node.settles.map(({ items }) => items.length)).toEqual([4096, 904])
  })
})
