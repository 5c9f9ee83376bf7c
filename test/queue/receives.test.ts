import { describe, expect, it } from 'vitest'
import { ASSIGNMENTS_PER_ENTRY_MAX, WORK_PER_ENTRY_MAX } from '../../node/queue/constants.ts'
import { limits } from '../../wire/limits.ts'
import { bytesOf, MirroredWorld, restoredFrom } from './checkpoints.ts'
import { codeOf, deliveriesOf, messagesOf, receivedOf, staleOf, typesOf, World } from './world.ts'

const receive = { type: 'receive', queue: 'q', max: 1, waitMs: 0, visibilityTimeoutMs: 1000 } as const

function scene(settings: { durable?: boolean; exclusive?: boolean } = {}) {
  const world = new MirroredWorld()
  const client = world.open()
  client.queue('q', 'a', settings)
  return { world, client }
}

describe('a receive', () => {
  it('takes what is there, at most its max, first in first out, and is over when that is settled', () => {
    const { world, client } = scene()
    client.publish('a', 'a', 'a')
    const { consumer, effects } = client.receive('q', 2)
    expect(messagesOf(effects)).toEqual([
      [4, 0],
      [4, 1],
    ])
    expect(receivedOf(effects)).toEqual([[consumer, 2]])
    expect(world.machine.queueStats('q')).toMatchObject({ ready: 1, unsettled: 2, consumers: 0 })
    client.settle(consumer, 1, 1)
    expect(world.machine.session(client.session)!.consumers).toBe(1)
    client.settle(consumer, 2, 1)
    expect(world.machine.session(client.session)).toMatchObject({ consumers: 0, unsettled: 0 })
    expect(world.machine.queueStats('q')).toMatchObject({ ready: 1, unsettled: 0, settled: 2 })
  })

  it('tells in the same entry that there is nothing, and leaves nothing behind', () => {
    const { world, client } = scene()
    const { consumer, effects } = client.receive('q')
    expect(typesOf(effects)).toEqual(['outcome', 'received'])
    expect(receivedOf(effects)).toEqual([[consumer, 0]])
    expect(world.machine.session(client.session)!.consumers).toBe(0)
    expect(world.machine.nextTimerMs()).toBeUndefined()
  })

  it('sees what was published before it in its own entry', () => {
    const { world, client } = scene()
    const effects = world.apply(client.publishFrame('a'), client.controlFrame(receive))
    expect(receivedOf(effects).map(([, count]) => count)).toEqual([1])
  })

  it('waits for the first message by the time of the machine, takes all that one entry brings, and nothing more', () => {
    const { world, client } = scene()
    const { consumer } = client.receive('q', 3, 500)
    expect(world.machine.nextTimerMs()).toBe(world.timeMs + 500)
    world.advance(499)
    const effects = client.publish('a', 'a')
    expect(receivedOf(effects)).toEqual([[consumer, 2]])
    expect(typesOf(client.publish('a'))).toEqual(['confirm'])
    expect(receivedOf(world.advance(500))).toEqual([])
  })

  it('whose time is over found nothing', () => {
    const { world, client } = scene()
    const { consumer } = client.receive('q', 1, 500)
    expect(receivedOf(world.advance(499))).toEqual([])
    expect(receivedOf(world.advance(1))).toEqual([[consumer, 0]])
    expect(typesOf(client.publish('a'))).toEqual(['confirm'])
    expect(staleOf(client.settle(consumer, 1, 1))).toEqual([[consumer, 1, 1]])
  })

  it('gives what it does not keep back to its place, with its attempts', () => {
    const { client } = scene()
    client.publish('a', 'a')
    const first = client.receive('q').consumer
    client.settle(first, 1, 1, 'released')
    const [again] = deliveriesOf(client.receive('q', 2).effects)
    expect(again).toMatchObject({ indexes: [4, 4], positions: [0, 1], attempts: [2, 1] })
  })

  it('whose holder goes silent loses its messages to others, and is over', () => {
    const { world, client } = scene()
    client.publish('a')
    const { consumer } = client.receive('q', 1, 0, 1000)
    const other = world.open()
    const waiting = other.receive('q', 1, 60_000)
    expect(receivedOf(world.advance(1000))).toEqual([[waiting.consumer, 1]])
    expect(world.machine.session(client.session)!.consumers).toBe(0)
    expect(staleOf(client.settle(consumer, 1, 1))).toEqual([[consumer, 1, 1]])
  })

  it('takes turns with consumers, and with other receives', () => {
    const { world, client } = scene()
    const other = world.open()
    const waiting = [client.receive('q', 2, 100).consumer, other.receive('q', 2, 100).consumer]
    expect(receivedOf(client.publish('a', 'a'))).toEqual(waiting.map((consumer) => [consumer, 1]))
  })

  it('is refused on a queue of another session, on none, and beyond its bounds', () => {
    const { world, client } = scene({ exclusive: true })
    const other = world.open()
    expect(codeOf(other.control(receive))).toBe('Precondition')
    expect(codeOf(client.control({ ...receive, queue: 'none' }))).toBe('NotFound')
    for (const wrong of [{ max: 0 }, { max: limits.receiveMessagesMax + 1 }, { waitMs: -1 }, { waitMs: 0.5 }]) {
      expect(codeOf(client.control({ ...receive, ...wrong }))).toBe('Validation')
    }
    expect(codeOf(client.control({ ...receive, waitMs: limits.delayMsMax + 1 }))).toBe('Validation')
    expect(codeOf(client.control({ ...receive, visibilityTimeoutMs: 0 }))).toBe('Validation')
    expect(codeOf(client.control({ ...receive, max: limits.receiveMessagesMax, waitMs: limits.delayMsMax }))).toBe('ok')
  })

  it('counts among the consumers of its session while it waits or holds something', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a')
    for (let i = 0; i < limits.consumersPerSessionMax; i++) client.control({ ...receive, waitMs: 10 + i })
    expect(codeOf(client.control(receive))).toBe('LimitExceeded')
    world.advance(10)
    expect(codeOf(client.control(receive))).toBe('ok')
  })

  it('neither keeps a queue that is not durable nor takes it away', () => {
    const { world, client } = scene({ durable: false })
    client.receive('q')
    const { consumer } = client.consume('q')
    const waiting = client.receive('q', 1, 1000)
    const effects = client.control({ type: 'cancel', consumer })
    expect(effects).toMatchObject([{ type: 'outcome' }, { type: 'cancelled', consumer: waiting.consumer }])
    expect(world.machine.queueNames()).toEqual([])
  })

  it('is cancelled with its queue, also when time takes the queue away before its own delivery is due', () => {
    const { world, client } = scene({ durable: false })
    const owner = world.open({ leaseMs: 500, detachGraceMs: 0 })
    owner.consume('q', 1)
    client.publish('a', 'a')
    const { consumer, effects } = client.receive('q', 1, 0, 800)
    expect(receivedOf(effects)).toEqual([[consumer, 1]])
    owner.detach()
    expect(typesOf(world.advance(900))).toEqual(['cancelled'])
    expect(world.machine.totals).toMatchObject({ dropped: 2, expired: 0 })
    expect(world.machine.session(client.session)).toMatchObject({ consumers: 0, unsettled: 0 })
  })
})

describe('a receive whose client comes back', () => {
  it('and names what it got goes on', () => {
    const { client } = scene()
    client.publish('a', 'a')
    const { consumer } = client.receive('q', 3)
    client.detach()
    const effects = client.attach([{ consumer, runs: [[2, 1]] }])
    expect(effects).toMatchObject([{ type: 'attached', consumers: [consumer] }])
    expect(staleOf(client.settle(consumer, 1, 2))).toEqual([[consumer, 1, 1]])
    expect(messagesOf(client.receive('q', 5).effects)).toEqual([[4, 0]])
  })

  it('and names nothing is over, its messages free for the next one in the same entry', () => {
    const { world, client } = scene()
    client.publish('a')
    client.receive('q', 1)
    const other = world.open()
    const waiting = other.receive('q', 1, 10_000).consumer
    const effects = client.attach()
    expect(effects).toMatchObject([{ type: 'detached' }, { type: 'attached', consumers: [] }, {}, {}])
    expect(receivedOf(effects)).toEqual([[waiting, 1]])
    expect(deliveriesOf(effects)).toMatchObject([{ consumer: waiting, attempts: [2] }])
  })

  it('goes on waiting, and gets nothing while it is away', () => {
    const { client } = scene()
    const { consumer } = client.receive('q', 1, 10_000)
    client.detach()
    expect(typesOf(client.publish('a'))).toEqual(['staleFrame'])
    expect(client.attach()).toMatchObject([{ type: 'attached', consumers: [consumer] }])
    client.sequence = 4
    expect(receivedOf(client.publish('a'))).toEqual([[consumer, 1]])
  })

  it('after its time is over there is none', () => {
    const { world, client } = scene()
    client.receive('q', 1, 100)
    client.detach()
    expect(world.advance(100)).toEqual([])
    expect(client.attach()).toMatchObject([{ type: 'attached', consumers: [] }])
  })

  it('gets the same answer to the same sequence, and nothing is taken twice', () => {
    const { world, client } = scene()
    client.publish('a', 'a')
    const { consumer } = client.receive('q')
    const again = world.apply(client.controlFrame({ ...receive, queue: 'q' }, client.sequence - 1))
    expect(again).toMatchObject([{ type: 'outcome', outcome: { result: { consumer } } }])
    expect(world.machine.queueStats('q')).toMatchObject({ ready: 1, unsettled: 1 })
  })

  it('is told again what it got when the node of its client has jumped', () => {
    const { world, client } = scene()
    client.publish('a')
    const { consumer } = client.receive('q', 3)
    const twin = restoredFrom(bytesOf(world.machine.checkpoint()))
    const effects = [...twin.resume('n1', 1)]
    expect(effects).toMatchObject([
      { type: 'resumed', consumers: [consumer] },
      { type: 'deliver' },
      { type: 'received' },
    ])
    expect(receivedOf(effects)).toEqual([[consumer, 1]])
  })
})

describe('whether there is nothing', () => {
  it('is told only when all messages that come back are back', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a')
    client.queue('p', 'b')
    const owner = world.open()
    // So many rows come back before the one that the receive looks for that an entry's work ends there.
    const others = Math.ceil(WORK_PER_ENTRY_MAX / limits.prefetchMax)
    for (let i = 0; i < others; i++) owner.consume('p', limits.prefetchMax)
    owner.consume('q', 1)
    for (let i = 0; i < others; i++) {
      client.publish(...new Array<string>(5000).fill('b'))
      client.publish(...new Array<string>(5000).fill('b'))
    }
    client.publish('a')
    const effects = world.apply(owner.controlFrame({ type: 'closeSession' }), client.controlFrame(receive))
    expect(receivedOf(effects)).toEqual([])
    expect(world.machine.nextTimerMs()).toBe(world.machine.timeMs)
    expect(receivedOf(world.advance(0)).map(([, count]) => count)).toEqual([1])
  })

  it('is told only when all messages are assigned that can be', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a')
    client.queue('p', 'b')
    for (let left = ASSIGNMENTS_PER_ENTRY_MAX + 1; left > 0; left -= 8000)
      client.publish(...new Array<string>(Math.min(8000, left)).fill('b'))
    client.publish('a')
    const consumers = Array.from({ length: 4 }, () =>
      client.controlFrame({ type: 'consume', queue: 'p', prefetch: limits.prefetchMax, visibilityTimeoutMs: 30_000 }),
    )
    const effects = world.apply(...consumers, client.controlFrame(receive))
    expect(receivedOf(effects)).toEqual([])
    expect(world.machine.nextTimerMs()).toBe(world.machine.timeMs)
    expect(receivedOf(world.advance(0)).map(([, count]) => count)).toEqual([1])
  })
})
