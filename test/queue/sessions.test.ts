import { describe, expect, it } from 'vitest'
import { OPENINGS_REMEMBERED_MAX } from '../../node/queue/constants.ts'
import { limits } from '../../wire/limits.ts'
import { encodeFrame, entryOf, type TestFrame } from './frames.ts'
import { codeOf, deliveriesOf, messagesOf, staleOf, typesOf, World } from './world.ts'

/** A session with a consumer that has `count` open deliveries, and another one that waits with credit. */
function withOpenDeliveries(count: number) {
  const world = new World()
  const client = world.open()
  const other = world.open({ node: 'n2' })
  client.queue('q', 'a')
  const { consumer } = client.consume('q', count)
  client.publish(...new Array<string>(count).fill('a'))
  const { consumer: waiting } = other.consume('q', 1000)
  return { world, client, consumer, other, waiting }
}

describe('sessions', () => {
  it('are minted by the log, each with its first epoch', () => {
    const world = new World()
    const command = { type: 'openSession', connection: 3, leaseMs: 1, detachGraceMs: 1, name: 'x' } as const
    const frame = (nonce: number): TestFrame => ({
      kind: 'node',
      command: { ...command, nonce, node: 'n1', bootId: 7 },
    })
    const effects = world.apply(frame(5), frame(6))
    expect(effects).toEqual(
      [4096, 4097].map((id, i) => ({
        type: 'attached',
        to: { session: id, node: 'n1', bootId: 7, epoch: id },
        nonce: 5 + i,
        connection: 3,
        lastSequence: 0,
        outcomes: [],
        consumers: [],
      })),
    )
    expect([...world.machine.sessionsOf('n1', 7)]).toHaveLength(2)
    expect([...world.machine.sessionsOf('n1', 6)]).toHaveLength(0)
  })

  it('are refused when there are too many', () => {
    const world = new World()
    const command = { type: 'openSession', connection: 1, leaseMs: 1, detachGraceMs: 1, name: 'x' } as const
    const frame = (nonce: number) =>
      encodeFrame({ kind: 'node', command: { ...command, nonce, node: 'n1', bootId: 7 } })
    for (let left = limits.sessionsMax; left > 0; left -= limits.entryFramesMax) {
      const count = Math.min(left, limits.entryFramesMax)
      world.applyBytes(
        entryOf(
          1,
          Array.from({ length: count }, (_, i) => frame(left - i)),
        ),
      )
    }
    expect(world.applyBytes(entryOf(1, [frame(limits.sessionsMax + 1)]))).toMatchObject([
      { type: 'attachRefused', code: 'LimitExceeded' },
    ])
  })

  it('are minted once for each nonce of a boot: a copy of the command gets the same attachment, or none', () => {
    const world = new World()
    const command = { type: 'openSession', connection: 1, leaseMs: 500, detachGraceMs: 1, name: 'x' } as const
    const open = (nonce: number, bootId = 7) => world.node({ ...command, nonce, node: 'n1', bootId })
    const first = open(5)
    expect(open(5)).toEqual(first)
    expect([...world.machine.sessionsOf('n1')]).toHaveLength(1)
    const [attached] = first
    if (attached?.type !== 'attached') throw new Error('the session was not opened')
    const { session, epoch } = attached.to
    world.node({ type: 'detach', session, epoch })
    expect(open(5)).toMatchObject([{ type: 'attachRefused', code: 'Precondition', nonce: 5 }])
    expect(world.machine.session(session)!.attachment).toBeUndefined()
    world.advance(500)
    expect(open(5)).toMatchObject([{ type: 'attachRefused', code: 'SessionLost', nonce: 5 }])
    // Nonces are a boot's own.
    expect(open(5, 8)).toMatchObject([{ type: 'attached', nonce: 5, to: { bootId: 8 } }])
  })

  it('are remembered by their nonces as long as they are among the latest of their boot', () => {
    const world = new World()
    const command = { type: 'openSession', connection: 1, leaseMs: 1, detachGraceMs: 1, name: 'x' } as const
    const frame = (nonce: number) =>
      encodeFrame({ kind: 'node', command: { ...command, nonce, node: 'n1', bootId: 7 } })
    const open = (...nonces: number[]) => typesOf(world.applyBytes(entryOf(1, nonces.map(frame))))
    open(0)
    open(...Array.from({ length: OPENINGS_REMEMBERED_MAX - 1 }, (_, i) => i + 1))
    open(0, 1)
    const count = () => [...world.machine.sessionsOf('n1')].length
    expect(count()).toBe(OPENINGS_REMEMBERED_MAX)
    open(OPENINGS_REMEMBERED_MAX, 1)
    expect(count()).toBe(OPENINGS_REMEMBERED_MAX + 1)
    open(0)
    expect(count()).toBe(OPENINGS_REMEMBERED_MAX + 2)
  })

  it('are lost when they are unknown', () => {
    const world = new World()
    const client = world.open()
    client.control({ type: 'closeSession' })
    expect(client.attach()).toMatchObject([{ type: 'attachRefused', code: 'SessionLost', node: 'n1', nonce: 2 }])
  })

  it('get a new epoch with each new connection; the old attachment is told that they moved', () => {
    const world = new World()
    const client = world.open()
    const first = client.epoch
    expect(client.attach([], { node: 'n2' })).toMatchObject([
      { type: 'detached', reason: 'moved', to: { node: 'n1', epoch: first } },
      { type: 'attached', to: { node: 'n2', epoch: client.epoch }, connection: 2 },
    ])
    expect(client.epoch).toBeGreaterThan(first)
    expect([...world.machine.sessionsOf('n1')]).toEqual([])
    expect([...world.machine.sessionsOf('n2')]).toMatchObject([{ session: client.session }])
  })

  it('get their first epoch again for the same connection, and are refused a lower one', () => {
    const world = new World()
    const client = world.open()
    client.attach()
    const { epoch } = client
    expect(client.attach([], { connection: 2 })).toMatchObject([{ type: 'attached', to: { epoch } }])
    expect(client.attach([], { connection: 1 })).toMatchObject([{ type: 'attachRefused', code: 'Precondition' }])
    expect(client.attach([], { connection: 2, node: 'n2' })).toMatchObject([{ type: 'attachRefused' }])
    expect(world.machine.session(client.session)).toMatchObject({ attachment: { node: 'n1', epoch } })
  })

  it('are not attached by a copy of a command whose connection is over', () => {
    const world = new World()
    const client = world.open()
    client.attach()
    client.detach()
    expect(client.attach([], { connection: 2 })).toMatchObject([{ type: 'attachRefused', code: 'Precondition' }])
    expect(world.machine.session(client.session)!.attachment).toBeUndefined()
  })

  it('ignore a detach of an epoch that is not in force', () => {
    const world = new World()
    const client = world.open()
    const { epoch } = client
    client.attach()
    expect(world.node({ type: 'detach', session: client.session, epoch })).toEqual([])
    expect(world.machine.session(client.session)!.attachment).toBeDefined()
  })

  it('expire when their lease is over, which runs only while they are detached', () => {
    const world = new World()
    const client = world.open({ leaseMs: 500 })
    world.advance(10_000)
    expect(world.machine.session(client.session)).toBeDefined()
    client.detach()
    world.advance(499)
    expect(world.machine.session(client.session)).toBeDefined()
    client.attach()
    world.advance(10_000)
    client.detach()
    expect(world.machine.nextTimerMs()).toBe(world.timeMs + 500)
    world.advance(500)
    expect(world.machine.session(client.session)).toBeUndefined()
    expect(world.machine.nextTimerMs()).toBeUndefined()
  })

  it('give all back when they are closed: consumers, listeners, exclusive queues', () => {
    const { world, client, waiting } = withOpenDeliveries(3)
    client.queue('mine', 'a', { exclusive: true })
    client.control({ type: 'listen', pattern: 'a' })
    const effects = client.control({ type: 'closeSession' })
    expect(typesOf(effects)).toEqual(['outcome', 'detached', 'deliver'])
    expect(effects[1]).toMatchObject({ reason: 'closed' })
    expect(deliveriesOf(effects)).toMatchObject([{ consumer: waiting, attempts: [2, 2, 2] }])
    expect(world.machine.queueNames()).toEqual(['q'])
    expect(world.machine.queueStats('q')).toMatchObject({ consumers: 1 })
    expect(world.machine.listeners('a')).toEqual([])
  })

  it('refuse settings that make no sense', () => {
    const world = new World()
    const good = { nonce: 1, connection: 1, leaseMs: 1, detachGraceMs: 1, name: 'x', node: 'n1', bootId: 1 }
    const bad = [
      { leaseMs: -1 },
      { leaseMs: 1e12 },
      { detachGraceMs: 0.5 },
      { name: 'x'.repeat(300) },
      { connection: 'a' },
    ]
    for (const each of bad) {
      const effects = world.node({ type: 'openSession', ...good, ...each } as never)
      expect(effects).toMatchObject([{ type: 'attachRefused', code: 'Validation' }])
    }
    for (const each of [{ node: '' }, { node: 5 }, { bootId: Number.NaN }, { nonce: 'x' }]) {
      expect(world.node({ type: 'openSession', ...good, ...each } as never)).toEqual([])
    }
    expect([...world.machine.sessionsOf('n1')]).toEqual([])
  })
})

describe('open deliveries of a session', () => {
  it('stay open after a detach until the grace is over, then go to others', () => {
    const { world, client, waiting } = withOpenDeliveries(3)
    client.detach()
    expect(deliveriesOf(world.advance(999))).toEqual([])
    expect(world.machine.nextTimerMs()).toBe(world.timeMs + 1)
    expect(deliveriesOf(world.advance(1))).toMatchObject([{ consumer: waiting, attempts: [2, 2, 2] }])
  })

  it('stay open when the client comes back within the grace and still holds them', () => {
    const { world, client, consumer } = withOpenDeliveries(4)
    client.detach()
    const effects = client.attach([{ consumer, runs: [[2, 2]] }])
    expect(messagesOf(effects)).toEqual([
      [6, 0],
      [6, 3],
    ])
    expect(deliveriesOf(world.advance(5000))).toEqual([])
    expect(staleOf(client.settle(consumer, 1, 4))).toEqual([
      [consumer, 1, 1],
      [consumer, 4, 1],
    ])
    expect(world.machine.totals.acked).toBe(2)
  })

  it('return at once when an attach does not hold them, without a detach before', () => {
    const { client, consumer, waiting } = withOpenDeliveries(2)
    expect(deliveriesOf(client.attach())).toMatchObject([
      { consumer: waiting, positions: [0], attempts: [2] },
      { consumer, firstDelivery: 3, positions: [1], attempts: [2] },
    ])
  })

  it('are not touched by a second answer to the same connection', () => {
    const { world, client, consumer } = withOpenDeliveries(2)
    client.attach([{ consumer, runs: [[1, 2]] }])
    client.attach([], { connection: client.connection })
    expect(world.machine.queueStats('q')).toMatchObject({ unsettled: 2 })
  })

  it('are held by runs in any order that overlap or reach beyond what is open', () => {
    const { world, client, consumer } = withOpenDeliveries(6)
    client.attach([
      { consumer, runs: [[5, 2 ** 40]] },
      {
        consumer,
        runs: [
          [3, 1],
          [1, 2],
          [1, 1],
          [9, 0],
        ],
      },
      { consumer: 99, runs: [[1, 10]] },
    ])
    expect(staleOf(client.settle(consumer, 1, 6))).toEqual([[consumer, 4, 1]])
    expect(world.machine.totals.acked).toBe(5)
  })

  it('are held by as many runs as a frame can carry', () => {
    const { world, client, consumer } = withOpenDeliveries(3)
    const one = { consumer, runs: [[3, 1] as const] }
    client.attach(new Array(30_000).fill(one))
    client.attach([{ consumer, runs: new Array(200_000).fill([3, 1]) }])
    expect(world.machine.queueStats('q')).toMatchObject({ unsettled: 3 })
    expect(staleOf(client.settle(consumer, 3, 1))).toEqual([])
  })

  it('come before all that is new, in their old order, when the session comes back to its queue', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a')
    client.consume('q', 3)
    client.publish('a', 'a', 'a', 'a', 'a')
    client.detach()
    world.advance(1000)
    client.publish('a')
    expect(messagesOf(client.attach())).toEqual([
      [5, 0],
      [5, 1],
      [5, 2],
    ])
  })
})

describe('credit of a session', () => {
  it('stops with its detach and comes back with its attach', () => {
    const world = new World()
    const client = world.open()
    const publisher = world.open()
    client.queue('q', 'a')
    const { consumer } = client.consume('q')
    client.detach()
    expect(deliveriesOf(publisher.publish('a', 'a'))).toEqual([])
    expect(deliveriesOf(client.attach())).toMatchObject([{ consumer, firstDelivery: 1, to: { epoch: client.epoch } }])
  })

  it('waits for the end of the round when it comes back', () => {
    const world = new World()
    const client = world.open()
    const other = world.open()
    client.queue('q', 'a')
    const { consumer } = client.consume('q')
    const second = other.consume('q').consumer
    client.detach()
    client.attach()
    expect(deliveriesOf(other.publish('a'))).toMatchObject([{ consumer: second }])
    expect(deliveriesOf(other.publish('a'))).toMatchObject([{ consumer }])
  })

  it('tells a client that comes back which of its consumers are alive', () => {
    const world = new World()
    const client = world.open()
    client.queue('a', 'a')
    client.queue('b', 'b')
    client.consume('a')
    const { consumer } = client.consume('b')
    client.detach()
    expect(world.open().control({ type: 'deleteQueue', queue: 'a' })).toHaveLength(1)
    expect(client.attach()).toMatchObject([{ type: 'attached', consumers: [consumer] }])
  })
})

describe('boots', () => {
  const started = (bootId: number) => ({ type: 'nodeStarted', node: 'n1', bootId }) as const

  it('detach what is attached to former boots of their node, and nothing else', () => {
    const world = new World()
    const client = world.open({ bootId: 1 })
    const other = world.open({ node: 'n2', bootId: 1 })
    expect(world.node(started(1))).toEqual([])
    expect(world.node(started(2))).toMatchObject([
      { type: 'detached', reason: 'nodeLost', to: { session: client.session, bootId: 1 } },
    ])
    expect([...world.machine.sessionsOf('n1')]).toEqual([])
    expect(world.machine.session(other.session)!.attachment).toBeDefined()
    expect([...world.machine.bootsOf()]).toContainEqual({ node: 'n1', bootId: 2, lost: false })
    expect([...world.machine.bootsOf()]).toContainEqual({ node: 'n2', bootId: 1, lost: false })
  })

  it('are refused below the latest, and so is what wants to attach to them', () => {
    const world = new World()
    const client = world.open({ bootId: 5 })
    expect(world.node(started(4))).toEqual([{ type: 'bootRefused', node: 'n1', bootId: 4 }])
    expect(client.attach([], { bootId: 4 })).toMatchObject([{ type: 'attachRefused', code: 'Precondition', bootId: 4 }])
    expect(() => world.open({ bootId: 4 })).toThrow()
    expect(world.machine.session(client.session)).toMatchObject({ attachment: { bootId: 5 } })
  })

  it('begin with an attachment that comes before nodeStarted', () => {
    const world = new World()
    const former = world.open({ bootId: 1 })
    const client = world.open({ bootId: 2 })
    expect(world.machine.session(former.session)!.attachment).toBeUndefined()
    expect(world.node(started(2))).toEqual([])
    expect(world.machine.session(client.session)!.attachment).toBeDefined()
  })

  it('that are lost have their sessions detached, with lease and grace from then on', () => {
    const { world, client, waiting } = withOpenDeliveries(2)
    const lost = { type: 'nodeLost', node: 'n1', bootId: 1 } as const
    expect(world.node(lost)).toMatchObject([{ type: 'detached', reason: 'nodeLost' }])
    expect([...world.machine.bootsOf()]).toContainEqual({ node: 'n1', bootId: 1, lost: true })
    expect(typesOf(client.publish('a'))).toEqual(['staleFrame'])
    expect(deliveriesOf(world.advance(1000))).toMatchObject([{ consumer: waiting }])
    expect(world.node(lost)).toEqual([])
    world.advance(59_000)
    expect(world.machine.session(client.session)).toBeUndefined()
  })

  it('that were lost but live on may be attached to again', () => {
    const world = new World()
    const client = world.open()
    world.node({ type: 'nodeLost', node: 'n1', bootId: 1 })
    expect(typesOf(client.attach())).toEqual(['attached'])
    expect([...world.machine.bootsOf()]).toEqual([{ node: 'n1', bootId: 1, lost: false }])
    expect(typesOf(client.publish('a'))).toEqual(['confirm'])
    world.node({ type: 'nodeLost', node: 'n1', bootId: 1 })
    expect(typesOf(client.publish('a'))).toEqual(['staleFrame'])
  })

  it('void an attachment for the rest of the very entry that ends them', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a')
    const lost: TestFrame = { kind: 'node', command: { type: 'nodeLost', node: 'n1', bootId: 1 } }
    expect(typesOf(world.apply(client.publishFrame('a'), lost, client.publishFrame('a')))).toEqual([
      'confirm',
      'detached',
      'staleFrame',
    ])
    expect(codeOf(client.attach())).toBe('none')
    expect(world.machine.queueStats('q')).toMatchObject({ ready: 1 })
  })
})
