import { describe, expect, it } from 'vitest'
import {
  NODES_MAX,
  OUTCOMES_RESERVED,
  ROUTE_ITEMS_CACHED_MAX,
  ROUTES_CACHED_MAX,
  ROUTING_PER_ENTRY_MAX,
} from '../../node/queue/constants.ts'
import { TopicCache } from '../../node/queue/topic-cache.ts'
import type { ControlCommand } from '../../wire/control-frame.ts'
import { viewOf } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import { bytesOf, restoredFrom } from './checkpoints.ts'
import { encodeFrame, entryOf, type TestFrame } from './frames.ts'
import { type Client, codeOf, typesOf, World } from './world.ts'

/** Gives commands in entries of a thousand. */
function giveAll(world: World, client: Client, count: number, commandAt: (i: number) => ControlCommand): void {
  for (let i = 0; i < count; ) {
    const frames: TestFrame[] = []
    for (; frames.length < 1000 && i < count; i++) frames.push(client.controlFrame(commandAt(i)))
    world.apply(...frames)
  }
}

describe('what the whole cluster may have', () => {
  it('of exclusive queues is bounded for each session', () => {
    const world = new World()
    const client = world.open()
    const declare = (i: number) => ({ type: 'declareQueue', queue: `q${i}`, exclusive: true }) as const
    giveAll(world, client, limits.exclusiveQueuesPerSessionMax, declare)
    expect(codeOf(client.control(declare(-1)))).toBe('LimitExceeded')
    expect(codeOf(client.control(declare(5)))).toBe('ok')
    expect(codeOf(world.open().control({ type: 'declareQueue', queue: 'other', exclusive: true }))).toBe('ok')
    expect(codeOf(client.control({ type: 'declareQueue', queue: 'shared' }))).toBe('ok')
    client.control({ type: 'deleteQueue', queue: 'q5' })
    expect(codeOf(client.control(declare(-1)))).toBe('ok')
  })

  it('of bindings is bounded over all queues', () => {
    const world = new World()
    const client = world.open()
    const perQueue = 1000
    for (let queue = 0; queue < limits.bindingsMax / perQueue; queue++) {
      client.control({ type: 'declareQueue', queue: `q${queue}` })
      giveAll(world, client, perQueue, (i) => ({ type: 'bind', queue: `q${queue}`, pattern: `p.${i}` }))
    }
    const one = { type: 'bind', queue: 'q7', pattern: 'one.more' } as const
    expect(codeOf(client.control(one))).toBe('LimitExceeded')
    expect(codeOf(client.control({ type: 'bind', queue: 'q7', pattern: 'p.7' }))).toBe('ok')
    client.control({ type: 'unbind', queue: 'q8', pattern: 'p.8' })
    client.control({ type: 'unbind', queue: 'q8', pattern: 'p.8' })
    expect(codeOf(client.control(one))).toBe('ok')
    expect(codeOf(client.control({ ...one, pattern: 'two.more' }))).toBe('LimitExceeded')
    client.control({ type: 'deleteQueue', queue: 'q9' })
    expect(codeOf(client.control({ ...one, pattern: 'two.more' }))).toBe('ok')
  })

  it('of consumers is bounded over all sessions', () => {
    const world = new World()
    const first = world.open()
    first.control({ type: 'declareQueue', queue: 'q' })
    const consume = { type: 'consume', queue: 'q', prefetch: 1, visibilityTimeoutMs: 1000 } as const
    for (let left = limits.consumersMax; left > 0; left -= 1000) giveAll(world, world.open(), 1000, () => consume)
    expect(codeOf(first.control(consume))).toBe('LimitExceeded')
    const [session] = [...world.machine.sessionsOf('n1')].filter(({ consumers }) => consumers > 0)
    world.node({ type: 'detach', session: session!.session, epoch: session!.attachment!.epoch })
    world.advance(60_000)
    expect(codeOf(first.control(consume))).toBe('ok')
  })

  it('of listeners is bounded over all sessions', () => {
    const world = new World()
    const first = world.open()
    const listen = { type: 'listen', pattern: 'a' } as const
    for (let left = limits.listenersMax; left > 0; left -= 1000) giveAll(world, world.open(), 1000, () => listen)
    expect(codeOf(first.control(listen))).toBe('LimitExceeded')
    const twin = restoredFrom(bytesOf(world.machine.checkpoint()))
    expect(
      codeOf(twin.apply(world.entries.length + 1, 1, entryOf(9999, [encodeFrame(first.controlFrame(listen))]))),
    ).toBe('LimitExceeded')
  })

  it('of nodes is bounded', () => {
    const world = new World()
    const start = (i: number) => world.node({ type: 'nodeStarted', node: `node${i}`, bootId: 1 })
    for (let i = 0; i < NODES_MAX; i++) expect(start(i)).toEqual([])
    expect(start(NODES_MAX)).toMatchObject([{ type: 'bootRefused' }])
    expect(start(3)).toEqual([])
    const open = { type: 'openSession', nonce: 1, connection: 1, leaseMs: 9, detachGraceMs: 0, name: '' } as const
    expect(world.node({ ...open, node: 'another', bootId: 1 })).toMatchObject([
      { type: 'attachRefused', code: 'LimitExceeded' },
    ])
    expect([...world.machine.bootsOf()]).toHaveLength(NODES_MAX)
  })

  it('of outcomes is bounded over all sessions, and leaves each of them a few', () => {
    const world = new World()
    const perSession = 4000
    const clients = Array.from({ length: limits.outcomesMax / perSession }, () => world.open())
    const bad = (count: number) => new Array<string>(count).fill('not ok')
    for (const client of clients) expect(typesOf(client.publish(...bad(perSession)))).not.toContain('gap')
    const last = world.open()
    expect(last.publish(...bad(OUTCOMES_RESERVED + 1)).slice(-2)).toMatchObject([
      { type: 'confirm', upTo: OUTCOMES_RESERVED },
      { type: 'gap', expected: OUTCOMES_RESERVED + 1 },
    ])
    const again = (count: number) => world.apply(last.publishAt(OUTCOMES_RESERVED + 1, ...bad(count)))
    expect(again(1)).toMatchObject([{ type: 'confirm' }, { type: 'gap' }])
    // Seen ones make room, closed sessions too.
    clients[0]!.seen = 10
    clients[0]!.settleItems()
    expect(typesOf(again(2))).toEqual(['confirm', 'gap'])
    clients[0]!.seen = perSession
    clients[0]!.settleItems()
    expect(typesOf(again(1))).toEqual(['outcome', 'confirm'])
    const twin = restoredFrom(bytesOf(world.machine.checkpoint()))
    const rest = last.publishAt(OUTCOMES_RESERVED + 2, ...bad(4000))
    const entry = entryOf(world.timeMs, [encodeFrame(rest)])
    expect(twin.apply(world.entries.length + 1, 1, entry)).toEqual(world.applyBytes(entry))
    const next = () => world.apply(last.publishAt(world.machine.session(last.session)!.lastSequence + 1, ...bad(1)))
    expect(typesOf(next())).toEqual(['confirm', 'gap'])
    clients[1]!.detach()
    world.advance(60_000)
    expect(typesOf(next())).toEqual(['outcome', 'confirm'])
  })
})

/** Publishes full frames of one topic, as many as are asked for, without making each of them anew. */
function publishFrames(world: World, client: Client, topic: string, frames: number): void {
  const count = limits.frameMessagesMax
  const frame = encodeFrame(client.publishAt(1, ...new Array<string>(count).fill(topic)))
  for (let i = 0; i < frames; i++) {
    viewOf(frame).setFloat64(24, client.sequence, true)
    client.sequence += count
    world.machine.apply(world.entries.push(new Uint8Array()), 1, entryOf(world.timeMs, [frame]))
  }
}

describe('a queue that is full', () => {
  it('refuses messages for all queues that they are for, each message by itself, until something is settled', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a.*')
    client.queue('other', '*.b')
    const { consumer } = client.consume('q', 100)
    const max = limits.queueMessagesMax
    publishFrames(world, client, 'a.x', Math.floor(max / limits.frameMessagesMax))
    client.publish(...new Array<string>((max % limits.frameMessagesMax) - 1).fill('a.x'))
    const ready = () => [world.machine.queueStats('q')!, world.machine.queueStats('other')!].map(({ ready: r }) => r)
    expect(ready()).toEqual([max - 101, 0])
    const first = client.sequence
    const effects = client.publish('a.b', 'a.b', 'c.b', 'a.x', 'a.b')
    expect(effects).toMatchObject([
      { type: 'outcome', outcome: { sequence: first + 1, code: 'QueueFull', message: expect.stringContaining("'q'") } },
      { type: 'outcome', outcome: { sequence: first + 3, code: 'QueueFull' } },
      { type: 'outcome', outcome: { sequence: first + 4, code: 'QueueFull' } },
      { type: 'confirm', upTo: first + 4 },
    ])
    expect(ready()).toEqual([max - 100, 2])
    expect(world.machine.totals).toMatchObject({ published: max + 1, routedCopies: max + 2 })
    // What was refused stays so; what is settled makes room.
    client.settle(consumer, 1, 1)
    expect(codeOf(world.apply(client.publishAt(first + 1, 'a.b')))).toBe('QueueFull')
    expect(typesOf(client.publish('a.b'))).toEqual(['confirm'])
    expect(codeOf(client.publish('a.b'))).toBe('QueueFull')
    client.settle(consumer, 2, 1, 'released', 5000)
    expect(codeOf(client.publish('a.b'))).toBe('QueueFull')
  })

  it('is not the only bound: all queues together have one', () => {
    const world = new World()
    const client = world.open()
    const queues = 5
    for (let i = 0; i < queues; i++) client.queue(`q${i}`, 'a')
    client.queue('last', 'b')
    const max = limits.queuedMessagesMax
    publishFrames(world, client, 'a', Math.floor(max / queues / limits.frameMessagesMax))
    const left = max - queues * limits.frameMessagesMax * Math.floor(max / queues / limits.frameMessagesMax)
    const one = new Array<string>(left - 7).fill('b')
    for (let i = 0; i < one.length; i += 8000) client.publish(...one.slice(i, i + 8000))
    // Seven copies are left: one message for five queues, then two for one.
    expect(
      client.publish('a', 'a', 'b', 'b', 'b').map((effect) => (effect.type === 'outcome' ? effect.outcome : 0)),
    ).toMatchObject([
      { code: 'QueueFull', message: expect.stringContaining('the queues hold') },
      { code: 'QueueFull' },
      0,
    ])
    expect(world.machine.totals.routedCopies).toBe(max)
    expect(codeOf(client.publish('b'))).toBe('QueueFull')
    expect(typesOf(client.publish('nobody'))).toEqual(['confirm'])
    const twin = restoredFrom(bytesOf(world.machine.checkpoint()))
    expect(twin.stateHash()).toBe(world.machine.stateHash())
    client.control({ type: 'deleteQueue', queue: 'q0' })
    expect(typesOf(client.publish('a'))).toEqual(['confirm'])
  })
})

describe('the publishes of one entry', () => {
  /** Queues that all get every message. */
  function wide(queues: number) {
    const world = new World()
    const client = world.open()
    for (let i = 0; i < queues; i++) {
      client.control({ type: 'declareQueue', queue: `q${i}` })
      client.control({ type: 'bind', queue: `q${i}`, pattern: '#' })
    }
    return { world, client }
  }

  it('take a bounded number of ways to queues; the rest is a gap, to be sent again', () => {
    const queues = 1000
    const { world, client } = wide(queues)
    const alternating = new Array<string[]>(1000).fill(['a', 'b']).flat()
    const first = client.sequence
    const frame = client.publishFrame(...alternating)
    const effects = world.apply(frame)
    expect(typesOf(effects)).toEqual(['confirm', 'gap'])
    const judged = world.machine.totals.published
    // Each topic costs what it takes to find its queues, then each run takes a way to each of them.
    expect(judged).toBeGreaterThan(ROUTING_PER_ENTRY_MAX / queues - 5)
    expect(judged).toBeLessThanOrEqual(ROUTING_PER_ENTRY_MAX / queues + 1)
    expect(effects).toMatchObject([
      { type: 'confirm', upTo: first + judged - 1 },
      { type: 'gap', expected: first + judged },
    ])
    expect(typesOf(world.apply(frame))).toEqual(['confirm'])
    expect(world.machine.totals.published).toBe(2000)
    expect(world.machine.queueStats('q7')).toMatchObject({ ready: 2000 })
  })

  it('are few for a run of one topic, however long', () => {
    const { world, client } = wide(1000)
    expect(typesOf(client.publish(...new Array<string>(8000).fill('a')))).toEqual(['confirm'])
    expect(world.machine.totals.routedCopies).toBe(8_000_000)
  })

  it('share the bound among the frames of the entry', () => {
    const { world, client } = wide(1000)
    const other = world.open()
    const alternating = new Array<string[]>(1000).fill(['a', 'b']).flat()
    const effects = world.apply(client.publishFrame(...alternating), other.publishFrame('a'))
    expect(typesOf(effects)).toEqual(['confirm', 'gap', 'confirm', 'gap'])
    expect(effects.at(-1)).toMatchObject({ type: 'gap', expected: 1, to: { session: other.session } })
  })

  it('cost the same on a replica that remembers no routes', () => {
    const { world, client } = wide(700)
    const topics = Array.from({ length: 900 }, (_, i) => `t.${i}`)
    client.publish(...topics.slice(0, 200))
    const twin = restoredFrom(bytesOf(world.machine.checkpoint()))
    const entry = entryOf(world.timeMs, [encodeFrame(client.publishFrame(...topics))])
    const effects = world.applyBytes(entry)
    expect(typesOf(effects)).toEqual(['confirm', 'gap'])
    expect(twin.apply(world.entries.length, 1, entry)).toEqual(effects)
    expect(twin.stateHash()).toBe(world.machine.stateHash())
  })

  it('pay for patterns that are looked at and do not match', () => {
    const world = new World()
    const client = world.open()
    // Every mix of words and wildcards before a last word that no topic has: many trie nodes for each topic, no queue.
    for (let mix = 0; mix < 2 ** 15; mix++) {
      const words = Array.from({ length: 15 }, (_, i) => ((mix >> i) & 1 ? 'w' : '*'))
      if (mix % 1000 === 0) client.control({ type: 'declareQueue', queue: `q${Math.floor(mix / 1000)}` })
      client.control({ type: 'bind', queue: `q${Math.floor(mix / 1000)}`, pattern: [...words, 'never'].join('.') })
    }
    const topics = Array.from({ length: 500 }, (_, i) => `${new Array<string>(15).fill('w').join('.')}.${i}`)
    const before = world.machine.totals.published
    expect(typesOf(client.publish(...topics))).toEqual(['confirm', 'gap'])
    expect(world.machine.totals.published - before).toBeLessThan(20)
  })
})

describe('the memory of routes', () => {
  it('is bounded in topics and in what they lead to together', () => {
    const cache = new TopicCache<number>()
    for (let i = 0; i < ROUTES_CACHED_MAX; i++) cache.set(`t${i}`, i, 1)
    expect([cache.size, cache.get('t0')]).toEqual([ROUTES_CACHED_MAX, 0])
    cache.set('more', 1, 1)
    expect([cache.size, cache.get('t0'), cache.get('more')]).toEqual([1, undefined, 1])
    cache.set('large', 2, ROUTE_ITEMS_CACHED_MAX - 1)
    expect(cache.size).toBe(2)
    cache.set('small', 3, 1)
    expect([cache.size, cache.get('small')]).toEqual([1, 3])
    cache.clear()
    cache.set('large', 2, ROUTE_ITEMS_CACHED_MAX)
    expect(cache.size).toBe(1)
  })
})
