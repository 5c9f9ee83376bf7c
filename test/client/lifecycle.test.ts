import { describe, expect, it } from 'vitest'
import type { Message, Status } from '../../client/index.ts'
import { FrameKind } from '../../wire/frame.ts'
import { encodeMessage } from '../../wire/message.ts'
import { connected, lose, watched } from './support/scene.ts'

describe('draining', () => {
  it('hands out nothing more, waits for handlers and for every answer, gives the rest back', async () => {
    const { node, clock, client } = await connected({}, (n) => {
      n.auto.settle = false
    })
    const got: Message[] = []
    let finish = () => {}
    const handler = (message: Message) => {
      got.push(message)
      return new Promise<void>((resolve) => {
        finish = resolve
      })
    }
    const subscribing = client.subscribe('a', handler, { queue: 'q', concurrency: 1 })
    await clock.settle()
    const subscription = await subscribing
    node.socket.deliver(node.minted, 1, ['a', 'b'])
    const published = client.publish('a', 1)
    await clock.settle()
    const draining = watched(client.drain())
    node.socket.deliver(node.minted, 3, ['c'])
    await clock.settle()
    finish()
    await clock.settle()
    expect(node.settles).toHaveLength(1)
    expect(node.commands).not.toContain('cancel')
    node.socket.say(FrameKind.settled, { tag: 1, stale: [] })
    await clock.settle()
    expect(node.commands.at(-1)).toBe('cancel')
    expect(draining.isSettled).toBe(false)
    node.socket.confirm(5)
    await clock.settle()
    expect(draining.value).toEqual({ unfinished: 0 })
    expect(got).toHaveLength(1)
    await subscription.closed
    await published
  })

  it('waits for a handler that has settled its message and goes on', async () => {
    const { node, clock, client } = await connected()
    let finish = () => {}
    const subscribing = client.subscribe(
      'a',
      (message) => {
        void message.ack()
        return new Promise<void>((resolve) => {
          finish = resolve
        })
      },
      { queue: 'q' },
    )
    await clock.settle()
    await subscribing
    node.socket.deliver(node.minted, 1, ['a'])
    await clock.settle()
    const draining = watched(client.drain())
    await clock.settle()
    expect(draining.isSettled).toBe(false)
    finish()
    await clock.settle()
    expect(draining.value).toEqual({ unfinished: 0 })
  })

  it('ends at its deadline and says how much was not finished; those handlers are told', async () => {
    const { node, clock, client } = await connected()
    const got: Message[] = []
    const never = (message: Message) => {
      got.push(message)
      return new Promise(() => {})
    }
    const starting = [client.subscribe('a', never, { queue: 'q' }), client.respond('b', never)]
    await clock.settle()
    await Promise.all(starting)
    node.socket.deliver(node.minted - 1, 1, ['a', 'b'])
    node.socket.deliver(node.minted, 1, ['a', 'b'])
    node.socket.say(FrameKind.requested, [['t', 'b', encodeMessage(1, undefined)]])
    await clock.settle()
    const draining = watched(client.drain({ timeoutMs: 400 }))
    await clock.advance(399)
    expect(draining.isSettled).toBe(false)
    await clock.advance(1)
    expect(draining.value).toEqual({ unfinished: 3 })
    expect(got.filter(({ topic }) => topic !== 'b').map(({ signal }) => signal.aborted)).toEqual([true, true])
  })

  it('keeps extending what is handled meanwhile', async () => {
    const { node, clock, client } = await connected()
    const subscribing = client.subscribe('a', () => new Promise(() => {}), { queue: 'q', visibilityTimeoutMs: 300 })
    await clock.settle()
    await subscribing
    node.socket.deliver(node.minted, 1, ['a'])
    await clock.settle()
    void client.drain({ timeoutMs: 2_000 })
    await clock.advance(1_000)
    expect(node.settles.length).toBeGreaterThanOrEqual(8)
  })

  it('lets handlers publish until the end, and takes no new subscriptions', async () => {
    const { node, clock, client } = await connected({}, (n) => {
      n.auto.confirm = true
    })
    const draining = client.drain()
    await expect(client.subscribe('a', () => {})).rejects.toMatchObject({ code: 'Closed' })
    await expect(client.respond('a', () => {})).rejects.toMatchObject({ code: 'Closed' })
    expect(() => client.subscribe('a')).toThrow(expect.objectContaining({ code: 'Closed' }))
    const published = client.publish('a', 1)
    await clock.settle()
    await Promise.all([draining, published])
    expect(client.drain()).toBe(draining)
    expect(node.publishes).toHaveLength(1)
  })

  it('of a client without a connection ends at the deadline', async () => {
    const scene = await connected()
    void scene.client.publish('a', 1).catch(() => {})
    await lose(scene)
    const draining = watched(scene.client.drain({ timeoutMs: 300 }))
    await scene.clock.advance(299)
    expect(draining.isSettled).toBe(false)
    await scene.clock.advance(1)
    expect(draining.isSettled).toBe(true)
  })
})

describe('closing', () => {
  it('says good-bye behind what is on its way, and leaves no timer and no socket', async () => {
    const { node, clock, client } = await connected({}, (n) => {
      n.auto.control = false
    })
    const published = client.publish('a', 1)
    const closing = watched(client.close())
    await clock.settle()
    expect(node.order.slice(1)).toEqual(['publish', 'control'])
    expect(node.controls[0]).toMatchObject({ sequence: 2, command: { type: 'closeSession' } })
    expect(closing.isSettled).toBe(false)
    node.socket.confirm(1)
    node.socket.outcome({ sequence: 2 })
    await clock.settle()
    expect(closing.isSettled).toBe(true)
    expect(await published).toEqual({ id: '0-4096-1' })
    expect(node.socket.ended).toBe('closed')
    expect(clock.timers).toBe(0)
    expect(client.close()).toBe(client.close())
  })

  it('waits two seconds at most; what has no outcome then fails with Closed', async () => {
    const { node, clock, client } = await connected({ maxInFlight: 1 }, (n) => {
      n.auto.control = false
    })
    const sent = watched(client.publish('a', 1))
    const unsent = watched(client.publish('a', 2))
    const asked = watched(client.request('a', 1))
    await clock.settle()
    const closing = watched(client.close())
    await clock.advance(1_999)
    expect(closing.isSettled).toBe(false)
    await clock.advance(1)
    expect(closing.isSettled).toBe(true)
    expect(sent.error).toMatchObject({ code: 'Closed', outcome: 'unknown' })
    expect(unsent.error).toMatchObject({ code: 'Closed', outcome: 'not-applied' })
    expect(asked.error).toMatchObject({ code: 'Closed', outcome: 'unknown' })
    expect(node.publishes).toHaveLength(1)
    expect(clock.timers).toBe(0)
  })

  it('does not wait when there is no connection', async () => {
    const scene = await connected()
    await lose(scene)
    const closing = watched(scene.client.close())
    await scene.clock.settle()
    expect(closing.isSettled).toBe(true)
    expect(scene.clock.timers).toBe(0)
    await scene.clock.advance(60_000)
    expect(scene.node.sockets).toHaveLength(1)
  })

  it('takes nothing more, from the call on', async () => {
    const { clock, client } = await connected()
    const closing = client.close()
    await expect(client.publish('a', 1)).rejects.toMatchObject({ code: 'Closed', outcome: 'not-applied' })
    await expect(client.request('a', 1)).rejects.toMatchObject({ code: 'Closed' })
    await expect(client.subscribe('a', () => {})).rejects.toMatchObject({ code: 'Closed' })
    await expect(client.respond('a', () => {})).rejects.toMatchObject({ code: 'Closed' })
    await clock.settle()
    await closing
    await expect(client.queue('q').declare()).rejects.toMatchObject({ code: 'Closed' })
    await expect(client.queue('q').stats()).rejects.toMatchObject({ code: 'Closed' })
  })

  it('waits for the acks that were called for, hands out nothing more, and tells the handlers that are left', async () => {
    const { node, clock, client } = await connected({}, (n) => {
      n.auto.settle = false
    })
    const got: Message[] = []
    const handler = (message: Message) => new Promise(() => got.push(message))
    const subscribing = client.subscribe('a', handler, { queue: 'q', concurrency: 2 })
    await clock.settle()
    const subscription = await subscribing
    node.socket.deliver(node.minted, 1, ['a', 'b', 'c', 'd'])
    await clock.settle()
    const ack = watched(got[0]!.ack())
    const closing = client.close()
    void got[1]!.ack()
    await clock.settle()
    expect(node.order.at(-1)).toBe('settle')
    node.socket.say(FrameKind.settled, { tag: 1, stale: [] })
    await clock.settle()
    await closing
    expect(ack).toMatchObject({ isSettled: true, error: undefined })
    expect(node.order.slice(-2)).toEqual(['settle', 'control'])
    expect(got.map(({ body }) => body)).toEqual(['a', 'b', 'c'])
    expect(got[2]!.signal.reason).toMatchObject({ code: 'Closed' })
    await expect(got[2]!.ack()).rejects.toMatchObject({ code: 'Closed' })
    await subscription.closed
  })

  it('ends loops over messages and over statuses', async () => {
    const { node, clock, client } = await connected()
    const statuses: Status['type'][] = []
    const watching = (async () => {
      for await (const { type } of client.status()) statuses.push(type)
    })()
    const next = client.subscribe('a', { queue: 'q' }).next()
    await clock.settle()
    const closing = client.close()
    await clock.settle()
    await closing
    expect(await next).toEqual({ done: true, value: undefined })
    await watching
    expect(statuses).toEqual(['closed'])
    expect((await client.status().next()).value).toEqual({ type: 'closed' })
    expect(node.socket.ended).toBe('closed')
  })

  it('happens at the end of a block that uses the client', async () => {
    const { node, clock, client } = await connected()
    const disposed = client[Symbol.asyncDispose]()
    await clock.settle()
    await disposed
    expect(node.commands).toEqual(['closeSession'])
  })
})

describe('following the status', () => {
  it('may be done by several, and by nobody', async () => {
    const scene = await connected()
    const { clock, client } = scene
    const one = client.status()
    const other = client.status()
    const firstOfOne = one.next()
    await lose(scene)
    scene.node.auto.open = true
    await clock.advance(100)
    expect((await firstOfOne).value).toMatchObject({ type: 'disconnected' })
    for (const type of ['disconnected', 'reconnecting']) expect((await other.next()).value).toMatchObject({ type })
  })

  it('keeps a bounded backlog for a slow follower and none for one that left', async () => {
    const { node, clock, client } = await connected()
    const slow = client.status()
    const gone = client.status()
    await gone.return!()
    expect(await gone.next()).toEqual({ done: true, value: undefined })
    for (let i = 0; i < 200; i++) {
      node.socket.break()
      await clock.advance(6_000)
    }
    const backlog: unknown[] = []
    const closing = client.close()
    await clock.settle()
    await closing
    for await (const status of slow) backlog.push(status)
    expect(backlog).toHaveLength(256)
    expect(backlog.at(-1)).toEqual({ type: 'closed' })
  })
})
