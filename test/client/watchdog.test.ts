import { expect, it } from 'vitest'
import type { Status } from '../../client/index.ts'
import { FrameKind } from '../../wire/frame.ts'
import { type ConsumerScene, consuming } from './support/consuming.ts'

/** Lets half a minute pass and answers what the client asks about its queue. */
async function look({ node, clock }: ConsumerScene, ready: number): Promise<void> {
  const asked = node.queries.length
  await clock.advance(30_000)
  for (const { id, name } of node.queries.slice(asked)) {
    expect(name).toBe('q')
    node.socket.say(FrameKind.answer, { id, value: { ready } })
  }
  await clock.settle()
}

async function statusesOf({ client }: ConsumerScene): Promise<Status['type'][]> {
  const told: Status['type'][] = []
  void (async () => {
    for await (const { type } of client.status()) told.push(type)
  })()
  return told
}

it('a consumer that is passed over twice in a row attaches anew, and says so', async () => {
  const scene = await consuming()
  const told = await statusesOf(scene)
  await look(scene, 5)
  await look(scene, 5)
  expect(told).toEqual([])
  await look(scene, 5)
  expect(told.slice(0, 2)).toEqual(['stalled', 'disconnected'])
  expect(scene.node.sockets[0]!.ended).toBe('terminated')
  scene.node.auto.welcome = false
  await scene.clock.advance(100)
  expect(scene.node.hellos[1]).toEqual({ version: 1, session: 4096, connection: 2 })
})

it('a consumer is not suspected while its queue is empty, while it gets something, or while it holds something', async () => {
  const scene = await consuming()
  const { node, held, consumer, clock } = scene
  for (const ready of [0, 0, 5, 0, 5, 0]) await look(scene, ready)
  for (let i = 1; i <= 4; i++) {
    node.socket.deliver(consumer, i, ['x'])
    await clock.settle()
    held.finish(i - 1)
    await look(scene, 5)
  }
  node.socket.deliver(consumer, 5, ['x'])
  const asked = node.queries.length
  for (let i = 0; i < 4; i++) await look(scene, 5)
  expect(node.queries).toHaveLength(asked)
  expect(node.socket.ended).toBeUndefined()
})

it('a delivery that overtakes the answer clears the consumer', async () => {
  const scene = await consuming()
  const { node, clock, held, consumer } = scene
  await look(scene, 5)
  await look(scene, 5)
  await clock.advance(30_000)
  node.socket.deliver(consumer, 1, ['x'])
  await clock.settle()
  held.finish(0)
  await clock.settle()
  node.socket.say(FrameKind.answer, { id: node.queries.at(-1)!.id, value: { ready: 5 } })
  await clock.settle()
  expect(node.socket.ended).toBeUndefined()
})

it('nobody is asked about while nobody consumes, and a question without an answer accuses nobody', async () => {
  const scene = await consuming()
  const { node, clock, subscription } = scene
  await clock.advance(200_000)
  expect(node.queries.length).toBeGreaterThan(3)
  expect(node.sockets).toHaveLength(1)
  const closing = subscription.close()
  await clock.settle()
  await closing
  const asked = node.queries.length
  await clock.advance(200_000)
  expect(node.queries).toHaveLength(asked)
})
