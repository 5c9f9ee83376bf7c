import { expect, it } from 'vitest'
import { FrameKind } from '../../wire/frame.ts'
import { connected, watched } from './support/scene.ts'

it('publishes, consumes, requests, responds, asks and closes', async () => {
  const { node, clock, client } = await connected({}, (n) => {
    n.auto.confirm = true
  })
  const acks = [client.publish('a.b', 1), client.publish('a.c', { x: 2 })]
  await clock.settle()
  expect(await Promise.all(acks)).toEqual([{ id: '0-4096-1' }, { id: '0-4096-2' }])
  const got: unknown[] = []
  const subscribing = client.subscribe('orders.*', ({ body }) => void got.push(body), { queue: 'q' })
  await clock.settle()
  await subscribing
  node.socket.deliver(node.minted, 1, ['x', 'y'])
  await clock.settle()
  expect(got).toEqual(['x', 'y'])
  expect(node.settles[0]!.items).toMatchObject([{ firstDelivery: 1, count: 2, outcome: 1 }])
  const asked = client.request('price', 1)
  await clock.settle()
  node.socket.say(FrameKind.replied, [[node.requests[0]![0], Uint8Array.of(0, 7)]])
  expect((await asked).body).toBe(7)
  const stats = client.queue('q').stats()
  await clock.settle()
  node.socket.say(FrameKind.answer, { id: node.queries[0]!.id, value: { ready: 3 } })
  expect(await stats).toEqual({ ready: 3 })
  const responding = client.respond('price', ({ body }) => body)
  await clock.settle()
  await responding
  node.socket.say(FrameKind.requested, [['t', 'price', Uint8Array.of(0, 9)]])
  await clock.settle()
  expect(node.replies).toEqual([['t', expect.anything()]])
  const closing = watched(client.close())
  await clock.settle()
  expect(closing.isSettled).toBe(true)
  expect(node.commands.at(-1)).toBe('closeSession')
  expect(clock.timers).toBe(0)
})
