import { describe, expect, it } from 'vitest'
import { type Message, PermanentError } from '../../client/index.ts'
import { FrameKind } from '../../wire/frame.ts'
import { SettleOutcome } from '../../wire/settle-frame.ts'
import { consuming, settlesOf } from './support/consuming.ts'
import { connected } from './support/scene.ts'

const { accepted, released, rejected, extended } = SettleOutcome

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
  it('goes on with the next messages, and gives the failed one back, though the logger that is told throws', async () => {
    const error = (message: string) => {
      throw new Error(`cannot log: ${message}`)
    }
    const { node, clock, client } = await connected({ logger: { debug() {}, info() {}, warn() {}, error } })
    const bodies: unknown[] = []
    const handler = ({ body }: Message) => {
      bodies.push(body)
      if (body === 'bad') throw new Error('not this one')
    }
    const subscribing = client.subscribe('orders.*', handler, { queue: 'q' })
    await clock.settle()
    await subscribing
    const consumer = node.minted
    expect(() => node.socket.deliver(consumer, 1, ['bad'])).toThrow('cannot log')
    node.socket.deliver(consumer, 2, ['good'])
    await clock.settle()
    expect(bodies).toEqual(['bad', 'good'])
    expect(settlesOf(node)).toEqual([
      [accepted, 2, 1],
      [released, 1, 1],
    ])
  })

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

  it('that waited behind another for longer than its visibility is not handed out when autoExtend is off: somebody else has it', async () => {
    const options = { visibilityTimeoutMs: 300, autoExtend: false, concurrency: 1 } as const
    const { node, clock, held, consumer } = await consuming(options)
    node.socket.deliver(consumer, 1, ['late', 'gone'])
    await clock.advance(200)
    node.socket.deliver(consumer, 3, ['next'])
    await clock.advance(100)
    held.finish(0)
    await clock.settle()
    expect(held.messages.map(({ body }) => body)).toEqual(['late', 'next'])
    expect(settlesOf(node)).toEqual([[accepted, 1, 1]])
  })
})
