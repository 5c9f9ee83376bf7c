import { describe, expect, it } from 'vitest'
import { limits } from '../../wire/limits.ts'
import { codeOf, deliveriesOf, messagesOf, staleOf, World } from './world.ts'

function withConsumer(prefetch = 100, visibilityTimeoutMs = 30_000) {
  const world = new World()
  const client = world.open()
  client.queue('q', 'a')
  const { consumer } = client.consume('q', prefetch, visibilityTimeoutMs)
  return { world, client, consumer, stats: () => world.machine.queueStats('q')! }
}

const topics = (count: number) => new Array<string>(count).fill('a')

describe('a consumer', () => {
  it('gets messages in order, under consecutive delivery numbers, one effect an entry', () => {
    const { world, client, consumer } = withConsumer()
    expect(deliveriesOf(client.publish('a', 'b', 'a'))).toMatchObject([
      { consumer, firstDelivery: 1, indexes: [5, 5], positions: [0, 2], attempts: [1, 1] },
    ])
    const effects = world.apply(client.publishFrame('a'), client.publishFrame('b', 'a'))
    expect(deliveriesOf(effects)).toMatchObject([{ firstDelivery: 3, indexes: [6, 6], positions: [0, 2 ** 20 + 1] }])
  })

  it('never has more open deliveries than its prefetch', () => {
    const { client, consumer, stats } = withConsumer(3)
    expect(messagesOf(client.publish(...topics(5)))).toHaveLength(3)
    expect(stats()).toMatchObject({ ready: 2, unsettled: 3 })
    expect(messagesOf(client.settle(consumer, 2, 1))).toEqual([[5, 3]])
    expect(stats()).toMatchObject({ ready: 1, unsettled: 3 })
    expect(messagesOf(client.settle(consumer, 1, 4))).toEqual([[5, 4]])
    expect(stats()).toMatchObject({ ready: 0, unsettled: 1, settled: 4, delivered: 5 })
  })

  it('takes turns with the others that have credit', () => {
    const { world, client, consumer } = withConsumer(3)
    const second = client.consume('q', 10).consumer
    const third = client.consume('q', 1).consumer
    expect(deliveriesOf(client.publish(...topics(8)))).toMatchObject([
      { consumer, positions: [0, 3, 5] },
      { consumer: second, positions: [1, 4, 6, 7] },
      { consumer: third, positions: [2] },
    ])
    // A credit that comes back waits for the end of the round.
    client.settle(third, 1, 1)
    client.settle(consumer, 1, 3)
    expect(deliveriesOf(client.publish(...topics(3)))).toMatchObject([
      { consumer: second, positions: [0] },
      { consumer: third, positions: [1] },
      { consumer, positions: [2] },
    ])
    expect(world.machine.totals.delivered).toBe(11)
  })

  it('is found among hundreds without credit when its own comes back', () => {
    const { world, client, consumer } = withConsumer(1)
    const idle = world.open()
    for (let i = 0; i < 500; i++) idle.consume('q', 1)
    client.publish(...topics(501))
    expect(world.machine.queueStats('q')).toMatchObject({ ready: 0, unsettled: 501 })
    client.publish('a')
    expect(deliveriesOf(client.settle(consumer, 1, 1))).toMatchObject([{ consumer, firstDelivery: 2 }])
  })

  it('gives its open deliveries back at once when it is cancelled', () => {
    const { world, client, consumer, stats } = withConsumer(3)
    client.publish(...topics(4))
    const second = client.consume('q', 10).consumer
    expect(deliveriesOf(client.control({ type: 'cancel', consumer }))).toMatchObject([
      { consumer: second, firstDelivery: 2, positions: [0, 1, 2], attempts: [2, 2, 2] },
    ])
    expect(codeOf(client.control({ type: 'cancel', consumer }))).toBe('NotFound')
    expect(stats()).toMatchObject({ consumers: 1, unsettled: 4, redelivered: 3 })
    expect(world.machine.totals.returned).toBe(3)
  })

  it('can be cancelled by its own session alone', () => {
    const { world, consumer } = withConsumer()
    expect(codeOf(world.open().control({ type: 'cancel', consumer }))).toBe('NotFound')
    expect(world.machine.queueStats('q')).toMatchObject({ consumers: 1 })
  })
})

describe('visibility', () => {
  it('ends at its deadline: the delivery returns to its place with the next attempt', () => {
    const { world, client, consumer } = withConsumer(2, 100)
    client.publish(...topics(3))
    expect(world.machine.nextTimerMs()).toBe(world.timeMs + 100)
    expect(deliveriesOf(world.advance(99))).toEqual([])
    expect(deliveriesOf(world.advance(1))).toMatchObject([
      { consumer, firstDelivery: 3, positions: [0, 1], attempts: [2, 2] },
    ])
    expect(staleOf(client.settle(consumer, 1, 3))).toEqual([[consumer, 1, 2]])
    expect(world.machine.totals).toMatchObject({ expired: 2, acked: 1 })
  })

  it('is due in any entry that carries the time, before its frames', () => {
    const { world, client, consumer } = withConsumer(2, 100)
    client.publish('a')
    world.timeMs += 100
    expect(staleOf(client.settle(consumer, 1, 1))).toEqual([[consumer, 1, 1]])
  })

  it('is extended for the listed deliveries alone, from the time of the extension', () => {
    const { world, client, consumer } = withConsumer(3, 100)
    client.publish(...topics(3))
    world.advance(50)
    expect(staleOf(client.settle(consumer, 2, 1, 'extended', 100))).toEqual([])
    expect(messagesOf(world.advance(50))).toEqual([
      [5, 0],
      [5, 2],
    ])
    expect(messagesOf(world.advance(49))).toEqual([])
    expect(messagesOf(world.advance(1))).toEqual([[5, 1]])
  })

  it('can be shortened', () => {
    const { world, client, consumer } = withConsumer(3, 1000)
    client.publish(...topics(2))
    client.settle(consumer, 1, 1, 'extended', 10)
    expect(world.machine.nextTimerMs()).toBe(world.timeMs + 10)
    expect(messagesOf(world.advance(10))).toEqual([[5, 0]])
  })

  it('leaves no timer behind when nothing is open', () => {
    const { world, client, consumer } = withConsumer(3, 1000)
    client.publish(...topics(2))
    client.settle(consumer, 1, 2)
    world.advance(1000)
    expect(world.machine.nextTimerMs()).toBeUndefined()
  })
})

describe('a settle', () => {
  it('removes what is accepted or rejected for good', () => {
    const { world, client, consumer, stats } = withConsumer()
    client.publish(...topics(3))
    client.settle(consumer, 1, 1)
    client.settle(consumer, 2, 1, 'rejected')
    expect(stats()).toMatchObject({ unsettled: 1, ready: 0, settled: 2 })
    expect(world.machine.totals).toMatchObject({ acked: 1, rejected: 1 })
  })

  it('releases a delivery to its place, before all that was never delivered', () => {
    const { world, client, consumer } = withConsumer(2)
    client.publish(...topics(3))
    expect(deliveriesOf(client.settle(consumer, 2, 1, 'released'))).toMatchObject([
      { firstDelivery: 3, positions: [1], attempts: [2] },
    ])
    expect(deliveriesOf(client.settle(consumer, 1, 3, 'released'))).toMatchObject([
      { firstDelivery: 4, positions: [0, 1], attempts: [2, 3] },
    ])
    expect(world.machine.totals).toMatchObject({ released: 3, redelivered: 3 })
  })

  it('releases with a delay: the message comes back to its place when that is over', () => {
    const { world, client, consumer, stats } = withConsumer(1)
    client.publish(...topics(2))
    expect(messagesOf(client.settle(consumer, 1, 1, 'released', 200))).toEqual([[5, 1]])
    expect(stats()).toMatchObject({ delayed: 1, unsettled: 1 })
    expect(world.machine.nextTimerMs()).toBe(world.timeMs + 200)
    world.advance(200)
    expect(stats()).toMatchObject({ delayed: 0, ready: 1 })
    client.publish('a')
    expect(messagesOf(client.settle(consumer, 2, 1))).toEqual([[5, 0]])
  })

  it('bounds a delay', () => {
    const { world, client, consumer } = withConsumer(1)
    client.publish('a')
    client.settle(consumer, 1, 1, 'released', 2 ** 32 - 1)
    world.advance(limits.delayMsMax)
    expect(world.machine.queueStats('q')).toMatchObject({ delayed: 0 })
  })

  it('names what was not open, as runs, and settles the rest', () => {
    const { client, consumer } = withConsumer()
    client.publish(...topics(6))
    client.settle(consumer, 3, 2)
    const first = client.settle(consumer, 2, 100)
    expect(first).toMatchObject([{ type: 'settled', notice: { tag: 9 } }])
    expect(staleOf(first)).toEqual([
      [consumer, 3, 2],
      [consumer, 7, 95],
    ])
    expect(staleOf(client.settle(consumer, 1, 6))).toEqual([[consumer, 2, 5]])
  })

  it('touches only consumers of its own session, and never a redelivery', () => {
    const { world, client, consumer, stats } = withConsumer(1, 100)
    const thief = world.open()
    client.publish('a')
    expect(staleOf(thief.settle(consumer, 1, 1))).toEqual([[consumer, 1, 1]])
    client.detach()
    world.advance(1000)
    client.attach()
    expect(staleOf(client.settle(consumer, 1, 1))).toEqual([[consumer, 1, 1]])
    expect(stats()).toMatchObject({ unsettled: 1, settled: 0 })
    expect(staleOf(client.settle(consumer, 2, 1))).toEqual([])
  })

  it('answers items that make no sense as stale, whatever they claim', () => {
    const { client, consumer, stats } = withConsumer()
    client.publish(...topics(2))
    const item = { consumer, firstDelivery: 1, count: 1, outcome: 1, ms: 0 } as const
    const bad = [
      { ...item, firstDelivery: Number.NaN },
      { ...item, firstDelivery: 0 },
      { ...item, firstDelivery: -1 },
      { ...item, firstDelivery: 0.5 },
      { ...item, firstDelivery: Number.POSITIVE_INFINITY },
      { ...item, consumer: Number.NaN },
      { ...item, outcome: 0 as never },
      { ...item, outcome: 5 as never },
      { ...item, firstDelivery: 2 ** 53 - 1, count: 2 ** 32 - 1 },
    ]
    expect(staleOf(client.settleItems(...bad))).toEqual(
      bad.map((each) => [each.consumer, each.firstDelivery, each.count]),
    )
    expect(staleOf(client.settleItems({ ...item, count: 0 }))).toEqual([])
    expect(stats()).toMatchObject({ unsettled: 2 })
  })

  it('costs what is open, not what its runs claim', () => {
    const { client, consumer } = withConsumer()
    client.publish(...topics(100))
    const item = { consumer, firstDelivery: 1, count: 2 ** 32 - 1, outcome: 4, ms: 1000 } as const
    // Walking what they claim would take hours.
    const stale = staleOf(client.settleItems(...new Array(limits.frameSettlesMax).fill(item)))
    expect(stale[0]).toEqual([consumer, 101, 2 ** 32 - 101])
  })
})
