import { describe, expect, it } from 'vitest'
import { ASSIGNMENTS_PER_ENTRY_MAX, WORK_PER_ENTRY_MAX } from '../../node/queue/constants.ts'
import type { Effect } from '../../node/queue/index.ts'
import { limits } from '../../wire/limits.ts'
import { encodeFrame, entryOf, type TestFrame } from './frames.ts'
import { type Client, codeOf, deliveriesOf, messagesOf, staleOf, World } from './world.ts'

const topics = (count: number) => new Array<string>(count).fill('a')
const NEVER_MS = limits.delayMsMax

/** Publishes without a look at what becomes of it. */
function publish(client: Client, count: number): void {
  for (let left = count; left > 0; left -= 8000) client.publish(...topics(Math.min(left, 8000)))
}

/** A session whose consumers hold 40,000 deliveries of one queue: more than one entry may return. */
function withManyOpen() {
  const world = new World()
  const client = world.open({ leaseMs: NEVER_MS })
  client.queue('q', 'a')
  const consumers = [1, 2, 3, 4, 5, 6, 7, 8].map(() => client.consume('q', 5000, NEVER_MS).consumer)
  publish(client, 40_000)
  world.finish()
  const stats = () => world.machine.queueStats('q')!
  expect(stats()).toMatchObject({ ready: 0, unsettled: 40_000 })
  return { world, client, consumers, stats }
}

/** Opens as many sessions as asked for, on boot 1 of n1. */
function openMany(world: World, count: number, leaseMs: number): number[] {
  const command = { type: 'openSession', connection: 1, leaseMs, detachGraceMs: 0, name: 's' } as const
  const frame = (nonce: number) => encodeFrame({ kind: 'node', command: { ...command, nonce, node: 'n1', bootId: 1 } })
  const sessions: number[] = []
  for (let left = count; left > 0; left -= 4000) {
    const effects = world.applyBytes(
      entryOf(
        world.timeMs,
        Array.from({ length: Math.min(left, 4000) }, (_, i) => frame(1_000_000 + left - i)),
      ),
    )
    for (const effect of effects) if (effect.type === 'attached') sessions.push(effect.to.session)
  }
  return sessions
}

function countOf(effects: readonly Effect[], type: Effect['type']): number {
  return effects.filter((effect) => effect.type === type).length
}

describe('a return of more than one entry may touch', () => {
  it('goes on with the next entries, and the queue assigns nothing meanwhile', () => {
    const { world, client, stats } = withManyOpen()
    const other = world.open({ node: 'n2' })
    other.consume('q', 1000)
    client.detach()
    publish(other, 10)
    const first = world.advance(1000)
    expect(deliveriesOf(first)).toEqual([])
    const returned = 40_000 - stats().unsettled
    expect(returned).toBeGreaterThanOrEqual(WORK_PER_ENTRY_MAX)
    expect(returned).toBeLessThan(WORK_PER_ENTRY_MAX + 10_000)
    expect(world.machine.nextTimerMs()).toBe(world.machine.timeMs)
    expect(world.replica().stateHash()).toBe(world.machine.stateHash())
    const { effects, entries } = world.finish()
    expect(entries).toBe(1)
    const places = messagesOf(effects).map(([index, number]) => index * 10_000 + number)
    expect(places).toHaveLength(990)
    expect(places).toEqual([...places].sort((a, b) => a - b))
    expect(messagesOf(effects)[0]![1]).toBe(0)
    expect(stats()).toMatchObject({ unsettled: 1000, ready: 39_010 })
  })

  it('counts from its own entry: what is pending is no longer open', () => {
    const { client, consumers } = withManyOpen()
    const held = [{ consumer: consumers[7]!, runs: [[4999, 1] as const] }]
    client.attach(held)
    expect(staleOf(client.settle(consumers[7]!, 4998, 3, 'extended', 5))).toEqual([
      [consumers[7], 4998, 1],
      [consumers[7], 5000, 1],
    ])
  })

  it('keeps only what both of two attachments hold', () => {
    const { world, client, consumers, stats } = withManyOpen()
    const consumer = consumers[7]!
    const frames = [
      { connection: 2, runs: [[1, 3]] as const },
      { connection: 3, runs: [[2, 3]] as const },
    ].map(
      ({ connection, runs }): TestFrame => ({
        kind: 'node',
        command: {
          type: 'attach',
          nonce: 1,
          session: client.session,
          connection,
          node: 'n1',
          bootId: 1,
          held: [{ consumer, runs }],
        },
      }),
    )
    const attached = world.apply(...frames).findLast((effect) => effect.type === 'attached')!
    expect(stats().unsettled).toBeGreaterThan(2)
    client.epoch = attached.to.epoch
    expect(staleOf(client.settle(consumer, 1, 4, 'extended', NEVER_MS))).toEqual([
      [consumer, 1, 1],
      [consumer, 4, 1],
    ])
    client.control({ type: 'deleteQueue', queue: 'q' })
    world.finish()
    expect(world.machine.session(client.session)).toMatchObject({ unsettled: 0, consumers: 0 })
  })

  it('survives the deletion of its queue', () => {
    const { world, client } = withManyOpen()
    client.detach()
    world.advance(1000)
    const other = world.open()
    expect(codeOf(other.control({ type: 'deleteQueue', queue: 'q' }))).toBe('ok')
    world.finish()
    expect(world.machine.session(client.session)).toMatchObject({ consumers: 0, unsettled: 0 })
    const { routedCopies, dropped } = world.machine.totals
    expect(dropped).toBe(routedCopies)
    expect(world.machine.nextTimerMs()).toBeGreaterThan(world.machine.timeMs)
  })
})

describe('a boot with more sessions than one entry may touch', () => {
  it('is void at once and detached by and by', () => {
    const world = new World()
    const sessions = openMany(world, 20_000, NEVER_MS)
    const first = world.node({ type: 'nodeLost', node: 'n1', bootId: 1 })
    expect(countOf(first, 'detached')).toBeLessThanOrEqual(WORK_PER_ENTRY_MAX)
    const last = sessions.at(-1)!
    const frame: TestFrame = { kind: 'publish', session: last, epoch: last, sequence: 1, seen: 0, topics: ['a'] }
    const second = world.apply(frame)
    expect(second).toContainEqual({ type: 'staleFrame', session: last, epoch: last })
    expect([...world.machine.sessionsOf('n1')]).toEqual([])
    const { effects } = world.finish()
    expect(world.machine.session(last)!.attachment).toBeUndefined()
    expect(countOf([...first, ...second, ...effects], 'detached')).toBe(20_000)
  })

  it('keeps the sessions that attach to it again meanwhile', () => {
    const world = new World()
    const sessions = openMany(world, 40_000, NEVER_MS)
    world.node({ type: 'nodeLost', node: 'n1', bootId: 1 })
    // Two entries do not reach the last session: it comes back before it was told that it is detached.
    const command = { type: 'attach', nonce: 1, connection: 2, held: [], node: 'n1', bootId: 1 } as const
    const back = world.node({ ...command, session: sessions.at(-1)! })
    expect(back.filter((effect) => effect.type === 'attached')).toHaveLength(1)
    expect(back).toContainEqual(expect.objectContaining({ type: 'detached', reason: 'nodeLost' }))
    world.finish()
    expect([...world.machine.sessionsOf('n1')].map(({ session }) => session)).toEqual([sessions.at(-1)])
  })

  it('lets its leases count from its end', () => {
    const world = new World()
    const sessions = openMany(world, 20_000, 5000)
    world.node({ type: 'nodeLost', node: 'n1', bootId: 1 })
    world.timeMs += 4999
    world.finish()
    expect(world.machine.session(sessions.at(-1)!)).toBeDefined()
    world.advance(1)
    expect(world.machine.session(sessions[0]!)).toBeUndefined()
    expect(world.machine.session(sessions.at(-1)!)).toBeDefined()
    world.finish()
    expect(world.machine.session(sessions.at(-1)!)).toBeUndefined()
  })
})

describe('a deleted queue with more consumers than one entry may touch', () => {
  it('is gone at once, and cancels each consumer once', () => {
    const world = new World()
    const clients = Array.from({ length: 20 }, () => world.open({ leaseMs: NEVER_MS }))
    clients[0]!.queue('q', 'a')
    for (const client of clients) {
      const consume = { type: 'consume', queue: 'q', prefetch: 1, visibilityTimeoutMs: NEVER_MS } as const
      world.apply(...Array.from({ length: 1000 }, () => client.controlFrame(consume)))
    }
    const last = clients.at(-1)!
    const effects = last.control({ type: 'deleteQueue', queue: 'q' })
    expect(countOf(effects, 'cancelled')).toBeLessThanOrEqual(WORK_PER_ENTRY_MAX)
    const attached = last.attach()
    expect(attached).toContainEqual(expect.objectContaining({ type: 'attached', consumers: [] }))
    const rest = world.finish()
    expect(world.machine.session(last.session)).toMatchObject({ consumers: 0 })
    expect(countOf([...effects, ...attached, ...rest.effects], 'cancelled')).toBe(20_000)
  })
})

describe('sessions that end with more exclusive queues than one entry may touch', () => {
  it('lose them all', () => {
    const world = new World()
    const clients = Array.from({ length: 20 }, () => world.open())
    for (const [n, client] of clients.entries()) {
      const declare = (i: number) =>
        client.controlFrame({ type: 'declareQueue', queue: `q${n * 1000 + i}`, exclusive: true })
      world.apply(...Array.from({ length: 1000 }, (_, i) => declare(i)))
    }
    world.apply(...clients.map((client) => client.controlFrame({ type: 'closeSession' })))
    expect(world.machine.queueNames().length).toBe(20_000 - WORK_PER_ENTRY_MAX)
    expect(codeOf(world.open().control({ type: 'declareQueue', queue: 'q19999' }))).toBe('ok')
    world.finish()
    expect(world.machine.queueNames()).toEqual(['q19999'])
  })
})

describe('more due messages than one entry may touch', () => {
  it('come back by and by; the queue assigns nothing before all are there', () => {
    const { world, client, consumers, stats } = withManyOpen()
    const other = world.open()
    for (const consumer of consumers) client.settle(consumer, 1, 5000, 'released', 700)
    for (const consumer of consumers) client.control({ type: 'cancel', consumer })
    expect(stats()).toMatchObject({ delayed: 40_000 })
    const consume = { type: 'consume', queue: 'q', prefetch: 10, visibilityTimeoutMs: NEVER_MS } as const
    other.control(consume)
    expect(deliveriesOf(world.advance(700))).toEqual([])
    expect(stats().delayed).toBe(40_000 - WORK_PER_ENTRY_MAX)
    const { effects } = world.finish()
    expect(messagesOf(effects).map(([, number]) => number)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it('expire by and by too', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a')
    for (let i = 0; i < 8; i++) client.consume('q', 5000, 100)
    publish(client, 40_000)
    world.advance(100)
    expect(world.machine.nextTimerMs()).toBeLessThanOrEqual(world.machine.timeMs)
    world.finish()
    expect(world.machine.totals.expired).toBe(40_000)
    expect(world.machine.totals.redelivered).toBe(40_000)
  })
})

describe('more deliveries than one entry may cause', () => {
  it('go on with the next entries, in order', () => {
    const world = new World()
    const publisher = world.open()
    const client = world.open()
    publisher.queue('q', 'a')
    const consumers = [1, 2, 3, 4].map(() =>
      client.controlFrame({
        type: 'consume',
        queue: 'q',
        prefetch: limits.prefetchMax,
        visibilityTimeoutMs: NEVER_MS,
      }),
    )
    publish(publisher, 40_000)
    const first = world.apply(...consumers)
    expect(messagesOf(first)).toHaveLength(ASSIGNMENTS_PER_ENTRY_MAX)
    expect(world.machine.nextTimerMs()).toBe(world.machine.timeMs)
    expect(world.replica().stateHash()).toBe(world.machine.stateHash())
    const { effects, entries } = world.finish()
    expect(entries).toBe(1)
    expect(messagesOf(effects)).toHaveLength(40_000 - ASSIGNMENTS_PER_ENTRY_MAX)
  })
})
