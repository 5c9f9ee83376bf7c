import { describe, expect, it } from 'vitest'
import { limits } from '../../wire/limits.ts'
import { codeOf, deliveriesOf, messagesOf, resultOf, typesOf, World } from './world.ts'

describe('a queue', () => {
  it('is declared once; the same settings again are fine, others are not', () => {
    const client = new World().open()
    const queue = 'q'
    expect(codeOf(client.control({ type: 'declareQueue', queue }))).toBe('ok')
    expect(codeOf(client.control({ type: 'declareQueue', queue, durable: true, exclusive: false }))).toBe('ok')
    expect(codeOf(client.control({ type: 'declareQueue', queue, durable: false }))).toBe('Precondition')
    expect(codeOf(client.control({ type: 'declareQueue', queue, exclusive: true }))).toBe('Precondition')
  })

  it('has a name that is allowed, and settings that are booleans', () => {
    const world = new World()
    const client = world.open()
    for (const command of [{ queue: 'a..b' }, { queue: '' }, { queue: 7 }, {}, { queue: 'q', durable: 'no' }]) {
      expect(codeOf(client.control({ type: 'declareQueue', ...command } as never))).toBe('Validation')
    }
    expect(codeOf(client.control({ type: 'declareQueue', queue: 'q', durable: undefined } as never))).toBe('ok')
    expect(world.machine.queueNames()).toEqual(['q'])
  })

  it('gets each message once, however many of its bindings match', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a.*')
    client.control({ type: 'bind', queue: 'q', pattern: 'a.#' })
    client.control({ type: 'bind', queue: 'q', pattern: '#' })
    client.control({ type: 'bind', queue: 'q', pattern: '#' })
    client.publish('a.b')
    expect(world.machine.queueStats('q')).toMatchObject({ ready: 1, bindings: ['#', 'a.#', 'a.*'] })
  })

  it('shares a message with every other bound queue by reference', () => {
    const world = new World()
    const client = world.open()
    for (const queue of ['a', 'b', 'c']) client.queue(queue, `*.${queue}`)
    client.control({ type: 'bind', queue: 'a', pattern: '#' })
    client.publish('x.a', 'x.b', 'x.z')
    expect(messagesOf(client.consume('a').effects)).toEqual([
      [9, 0],
      [9, 1],
      [9, 2],
    ])
    expect(messagesOf(client.consume('b').effects)).toEqual([[9, 1]])
    expect(world.machine.queueStats('c')).toMatchObject({ ready: 0 })
    expect(world.machine.totals).toMatchObject({ published: 3, routedCopies: 4, unroutable: 0 })
  })

  it('is served in order of its id, whatever the order of the bindings', () => {
    const client = new World().open()
    for (const queue of ['a', 'b', 'c']) client.control({ type: 'declareQueue', queue })
    for (const queue of ['c', 'a', 'b']) client.control({ type: 'bind', queue, pattern: 'x' })
    const consumers = ['a', 'b', 'c'].map((queue) => client.consume(queue).consumer)
    expect(deliveriesOf(client.publish('x')).map(({ consumer }) => consumer)).toEqual(consumers)
  })

  it('gets nothing of a topic any more once it is unbound, at once', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a')
    client.publish('a')
    expect(codeOf(client.control({ type: 'unbind', queue: 'q', pattern: 'a' }))).toBe('ok')
    expect(codeOf(client.control({ type: 'unbind', queue: 'q', pattern: 'a' }))).toBe('ok')
    client.publish('a')
    expect(world.machine.queueStats('q')).toMatchObject({ ready: 1, bindings: [] })
    expect(world.machine.totals.unroutable).toBe(1)
  })

  it('confirms and counts a message that no queue is bound for', () => {
    const world = new World()
    expect(typesOf(world.open().publish('a', 'b'))).toEqual(['confirm'])
    expect(world.machine.totals).toMatchObject({ published: 2, unroutable: 2, routedCopies: 0 })
  })

  it('refuses patterns that are none, and commands on a queue that is not there', () => {
    const client = new World().open()
    client.queue('q', 'a')
    expect(codeOf(client.control({ type: 'bind', queue: 'q', pattern: 'a.' }))).toBe('Validation')
    expect(codeOf(client.control({ type: 'bind', queue: 'q' } as never))).toBe('Validation')
    expect(codeOf(client.control({ type: 'unbind', queue: 'q' } as never))).toBe('Validation')
    for (const type of ['deleteQueue', 'bind', 'unbind', 'consume'] as const) {
      expect(codeOf(client.control({ type, queue: 'none', pattern: 'a' } as never))).toBe('NotFound')
      expect(codeOf(client.control({ type } as never))).toBe('Validation')
    }
  })

  it('is not named in an outcome unless its name is allowed, since outcomes are kept', () => {
    const effects = new World().open().control({ type: 'deleteQueue', queue: 'x'.repeat(1_000_000) })
    expect(codeOf(effects)).toBe('Validation')
    expect(JSON.stringify(effects).length).toBeLessThan(1000)
  })

  it('takes its messages, bindings and consumers with it when it is deleted', () => {
    const world = new World()
    const client = world.open()
    const other = world.open()
    client.queue('q', 'a')
    const { consumer } = other.consume('q', 2)
    client.publish('a', 'a', 'a')
    other.settle(consumer, 1, 1, 'released', 500)
    const effects = client.control({ type: 'deleteQueue', queue: 'q' })
    expect(effects).toMatchObject([
      { type: 'outcome', to: { session: client.session } },
      { type: 'cancelled', to: { session: other.session }, consumer },
    ])
    expect(world.machine.totals).toMatchObject({ dropped: 3, routedCopies: 3 })
    expect(codeOf(other.control({ type: 'cancel', consumer }))).toBe('NotFound')
    expect(world.machine.session(other.session)).toMatchObject({ consumers: 0, unsettled: 0 })
    client.queue('q', 'b')
    client.publish('a')
    expect(deliveriesOf(world.advance(100_000))).toEqual([])
    expect(world.machine.queueStats('q')).toMatchObject({ ready: 0, consumers: 0, bindings: ['b'] })
  })

  it('that is exclusive obeys its session alone, and goes with it', () => {
    const world = new World()
    const owner = world.open()
    const other = world.open()
    owner.queue('q', 'a', { exclusive: true })
    expect(codeOf(owner.control({ type: 'declareQueue', queue: 'q', exclusive: true }))).toBe('ok')
    for (const command of [
      { type: 'declareQueue', queue: 'q', exclusive: true },
      { type: 'declareQueue', queue: 'q' },
      { type: 'bind', queue: 'q', pattern: 'b' },
      { type: 'unbind', queue: 'q', pattern: 'a' },
      { type: 'consume', queue: 'q', prefetch: 1, visibilityTimeoutMs: 1 },
      { type: 'deleteQueue', queue: 'q' },
    ] as const) {
      expect(codeOf(other.control(command))).toBe('Precondition')
    }
    other.publish('a')
    expect(world.machine.queueStats('q')).toMatchObject({ ready: 1, exclusive: true, bindings: ['a'], consumers: 0 })
    owner.control({ type: 'closeSession' })
    expect(world.machine.queueStats('q')).toBeUndefined()
    expect(world.machine.totals.dropped).toBe(1)
  })

  it('that is exclusive goes with an expired session too, but not with a detached one', () => {
    const world = new World()
    const owner = world.open({ leaseMs: 100 })
    owner.queue('q', 'a', { exclusive: true })
    owner.detach()
    world.advance(99)
    expect(world.machine.queueNames()).toEqual(['q'])
    world.advance(1)
    expect(world.machine.queueNames()).toEqual([])
  })

  it('that is not durable goes with its last consumer', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a', { durable: false })
    client.publish('a')
    const first = client.consume('q').consumer
    const second = client.consume('q').consumer
    client.control({ type: 'cancel', consumer: first })
    expect(world.machine.queueNames()).toEqual(['q'])
    client.control({ type: 'cancel', consumer: second })
    expect(world.machine.queueNames()).toEqual([])
    expect(world.machine.totals).toMatchObject({ routedCopies: 1, dropped: 1 })
  })
})

describe('limits', () => {
  it('on queues, bindings, consumers and listeners are rejections', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'p')
    for (let i = 1; i < limits.bindingsPerQueueMax; i++) client.control({ type: 'bind', queue: 'q', pattern: `p.${i}` })
    expect(codeOf(client.control({ type: 'bind', queue: 'q', pattern: 'one.more' }))).toBe('LimitExceeded')
    expect(codeOf(client.control({ type: 'bind', queue: 'q', pattern: 'p.1' }))).toBe('ok')
    for (let i = 0; i < limits.consumersPerSessionMax; i++) {
      client.seen = client.sequence - 1
      client.consume('q')
    }
    const consume = { type: 'consume', queue: 'q', prefetch: 1, visibilityTimeoutMs: 1 } as const
    expect(codeOf(client.control(consume))).toBe('LimitExceeded')
    const listen = { type: 'listen', pattern: 'a' } as const
    for (let i = 0; i < limits.listenersPerSessionMax; i++) {
      client.seen = client.sequence - 1
      client.control(listen)
    }
    expect(codeOf(client.control(listen))).toBe('LimitExceeded')
  })

  it('on queues count all of the cluster', () => {
    const world = new World()
    const client = world.open()
    const declare = (i: number) => client.controlFrame({ type: 'declareQueue', queue: `q${i}` })
    for (let i = 0; i < limits.queuesMax; ) {
      const frames = []
      for (; frames.length < 4000 && i < limits.queuesMax; i++) frames.push(declare(i))
      world.apply(...frames)
    }
    expect(codeOf(world.apply(declare(limits.queuesMax)))).toBe('LimitExceeded')
    expect(codeOf(world.apply(declare(1)))).toBe('ok')
    client.control({ type: 'deleteQueue', queue: 'q5' })
    expect(codeOf(world.apply(declare(limits.queuesMax)))).toBe('ok')
  })

  it('on prefetch and visibility are validated', () => {
    const client = new World().open()
    client.queue('q', 'a')
    const good = {
      type: 'consume',
      queue: 'q',
      prefetch: limits.prefetchMax,
      visibilityTimeoutMs: limits.delayMsMax,
    } as const
    expect(codeOf(client.control(good))).toBe('ok')
    for (const prefetch of [0, -1, 1.5, limits.prefetchMax + 1, Number.NaN, '5', undefined]) {
      expect(codeOf(client.control({ ...good, prefetch } as never))).toBe('Validation')
    }
    for (const visibilityTimeoutMs of [0, -1, 0.5, limits.delayMsMax + 1, null]) {
      expect(codeOf(client.control({ ...good, visibilityTimeoutMs } as never))).toBe('Validation')
    }
  })
})

describe('listeners', () => {
  it('are the attached sessions whose pattern matches, in order of their ids', () => {
    const world = new World()
    const a = world.open()
    const b = world.open({ node: 'n2' })
    const first = resultOf(b.control({ type: 'listen', pattern: 'x.*' })).listener
    const second = resultOf(a.control({ type: 'listen', pattern: '#' })).listener
    const third = resultOf(b.control({ type: 'listen', pattern: 'x.y' })).listener
    expect(world.machine.listeners('x.y')).toMatchObject([
      { listener: first, session: b.session, to: { node: 'n2', epoch: b.epoch } },
      { listener: second, session: a.session, to: { node: 'n1' } },
      { listener: third, session: b.session },
    ])
    expect(world.machine.listeners('z')).toMatchObject([{ listener: second }])
    expect(world.machine.listeners('z')).toBe(world.machine.listeners('z'))
    b.detach()
    expect(world.machine.listeners('x.y')).toMatchObject([{ listener: second }])
    b.attach([], { node: 'n3' })
    expect(world.machine.listeners('x.y')).toMatchObject([{ to: { node: 'n3' } }, {}, { to: { epoch: b.epoch } }])
    world.node({ type: 'nodeStarted', node: 'n3', bootId: 2 })
    expect(world.machine.listeners('x.y')).toMatchObject([{ listener: second }])
    a.control({ type: 'unlisten', listener: second as number })
    expect(world.machine.listeners('x.y')).toEqual([])
  })

  it('belong to their session', () => {
    const world = new World()
    const a = world.open()
    const b = world.open()
    const listener = resultOf(a.control({ type: 'listen', pattern: 'x' })).listener as number
    expect(codeOf(b.control({ type: 'unlisten', listener }))).toBe('NotFound')
    expect(codeOf(a.control({ type: 'listen', pattern: 'x..' }))).toBe('Validation')
    expect(codeOf(a.control({ type: 'unlisten', listener }))).toBe('ok')
    expect(codeOf(a.control({ type: 'unlisten', listener }))).toBe('NotFound')
  })
})
