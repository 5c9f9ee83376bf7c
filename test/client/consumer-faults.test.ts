import { describe, expect, it } from 'vitest'
import { FrameKind } from '../../wire/frame.ts'
import { SettleOutcome } from '../../wire/settle-frame.ts'
import { consuming, reattach, settlesOf } from './support/consuming.ts'
import { connected, lose, reopen, watched } from './support/scene.ts'

const { accepted, extended } = SettleOutcome

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

  it('takes nothing of a subscription that had yet to be sent: it is made under the next one', async () => {
    const scene = await connected()
    const { node, clock, client } = scene
    await lose(scene)
    const bodies: unknown[] = []
    const subscribing = watched(client.subscribe('a', ({ body }) => void bodies.push(body), { queue: 'q' }))
    await reopen(scene)
    Object.assign(node.auto, { open: true, welcome: true })
    node.socket.fault('SessionLost')
    await clock.settle()
    expect(subscribing.isSettled).toBe(true)
    expect(node.commands).toEqual(['declareQueue', 'bind', 'consume'])
    node.socket.deliver(node.minted, 1, ['x'])
    await clock.settle()
    expect(bodies).toEqual(['x'])
  })

  it('takes no consumer that was asked for by an attempt that is over: the late answer is cancelled', async () => {
    const scene = await connected({ publishTimeoutMs: 1_000 })
    const { node, clock, client } = scene
    await lose(scene)
    const bodies: unknown[] = []
    const subscribing = watched(client.subscribe('a', ({ body }) => void bodies.push(body), { queue: 'q' }))
    await reopen(scene)
    Object.assign(node.auto, { open: true, welcome: true, control: false })
    node.socket.fault('SessionLost')
    await clock.settle()
    for (const sequence of [1, 2]) {
      node.socket.outcome({ sequence })
      await clock.settle()
    }
    expect(node.commands).toEqual(['declareQueue', 'bind', 'consume'])
    // No answer to the third by its deadline: all is asked for again.
    await clock.advance(1_000)
    expect(node.commands.slice(3)).toEqual(['declareQueue'])
    node.socket.outcome({ sequence: 3, result: { consumer: 777 } })
    await clock.settle()
    node.socket.deliver(777, 1, ['of the former'])
    for (const sequence of [4, 5, 6]) {
      node.socket.outcome({ sequence })
      await clock.settle()
    }
    const sent = node.controls.map(({ command }) => command)
    expect(sent).toContainEqual({ type: 'cancel', consumer: 777 })
    const last = node.controls.findLast(({ command }) => command.type === 'consume')!
    node.socket.outcome({ sequence: last.sequence, result: { consumer: 778 } })
    await clock.settle()
    expect(subscribing.isSettled).toBe(true)
    node.socket.deliver(778, 1, ['x'])
    await clock.settle()
    expect(bodies).toEqual(['x'])
    expect(node.settles.map(({ items }) => items[0]!.consumer)).toEqual([778])
  })

  it('is no news of a subscription that its user has closed while it was made again', async () => {
    const scene = await consuming()
    const { node, clock, client, subscription } = scene
    const told: unknown[] = []
    void (async () => {
      for await (const { type } of client.status()) told.push(type)
    })()
    await lose(scene)
    await reopen(scene)
    Object.assign(node.auto, { open: true, welcome: true, control: false })
    node.socket.fault('SessionLost')
    await clock.settle()
    await subscription.close()
    node.socket.outcome({ sequence: 1, code: 'Precondition' })
    await clock.settle()
    await expect(subscription.closed).resolves.toBeUndefined()
    expect(told).toContain('sessionLost')
    expect(told).not.toContain('subscriptionEnded')
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
