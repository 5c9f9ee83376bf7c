import { describe, expect, it } from 'vitest'
import { limits } from '../../wire/limits.ts'
import type { TestFrame } from './frames.ts'
import { messagesOf, typesOf, World } from './world.ts'

type PublishFrame = Extract<TestFrame, { kind: 'publish' | 'refused' }>

function scene() {
  const world = new World()
  const client = world.open()
  client.queue('q', '#')
  const { consumer } = client.consume('q')
  const refused = (...topics: string[]): TestFrame => ({
    ...(client.publishFrame(...topics) as PublishFrame),
    kind: 'refused',
  })
  return { world, client, consumer, refused }
}

const diskFull = (sequence: number) => ({ type: 'outcome', outcome: { sequence, code: 'DiskFull' } })

describe('publishes refused for want of disk', () => {
  it('consume their sequences, are told one by one and reach no queue', () => {
    const { world, client, refused } = scene()
    expect(world.apply(refused('a', 'b'))).toMatchObject([diskFull(4), diskFull(5), { type: 'confirm', upTo: 5 }])
    expect(world.machine.queueStats('q')).toMatchObject({ published: 0, unsettled: 0 })
    expect(world.machine.totals).toMatchObject({ published: 0, unroutable: 0 })
    expect(messagesOf(client.publish('c'))).toHaveLength(1)
  })

  it('stay refused when the publish frame itself comes later, and stay published when they were', () => {
    const { world, client, refused } = scene()
    world.apply(refused('a', 'b'))
    expect(world.apply(client.publishAt(4, 'a', 'b', 'c'))).toMatchObject([
      diskFull(4),
      diskFull(5),
      { type: 'confirm', upTo: 6 },
      { type: 'deliver', firstDelivery: 1, indexes: [world.entries.length] },
    ])
    const late = { ...(client.publishAt(6, 'c', 'd') as PublishFrame), kind: 'refused' } as const
    expect(world.apply(late)).toMatchObject([diskFull(7), { type: 'confirm', upTo: 7 }])
    expect(world.machine.queueStats('q')).toMatchObject({ published: 1, unsettled: 1 })
  })

  it('are a gap behind a gap, and stale under another epoch', () => {
    const { world, client } = scene()
    const ahead = { ...(client.publishAt(6, 'a') as PublishFrame), kind: 'refused' } as const
    expect(world.apply(ahead)).toMatchObject([{ type: 'gap', expected: 4 }])
    expect(typesOf(world.apply({ ...ahead, sequence: 4, epoch: 1 }))).toEqual(['staleFrame'])
    expect(world.machine.session(client.session)).toMatchObject({ lastSequence: 3 })
  })

  it('wait for room for their outcomes like any other refusal, and are forgotten once seen', () => {
    const { world, client, refused } = scene()
    client.seen = 3
    const max = limits.outcomesPerSessionMax
    const frame = refused(...new Array<string>(max + 1).fill('a'))
    const effects = world.apply(frame)
    expect(effects.slice(-2)).toMatchObject([
      { type: 'confirm', upTo: max + 3 },
      { type: 'gap', expected: max + 4 },
    ])
    expect(world.machine.session(client.session)).toMatchObject({ outcomes: max })
    client.seen = max + 3
    client.settleItems()
    expect(world.machine.session(client.session)).toMatchObject({ outcomes: 0 })
    expect(world.apply(frame)).toMatchObject([diskFull(max + 4), { type: 'confirm' }])
  })

  it('let settles through', () => {
    const { world, client, consumer, refused } = scene()
    client.publish('a')
    world.apply(refused('b'))
    client.settle(consumer, 1, 1)
    expect(world.machine.queueStats('q')).toMatchObject({ unsettled: 0, settled: 1 })
  })
})
