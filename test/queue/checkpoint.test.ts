import { describe, expect, it } from 'vitest'
import { WORK_PER_ENTRY_MAX } from '../../node/queue/constants.ts'
import { CheckpointReader, type Effect, EntrySet, Machine } from '../../node/queue/index.ts'
import { limits } from '../../wire/limits.ts'
import { fc } from '../support/property.ts'
import { applyToBoth } from './beside-model.ts'
import { bytesOf, hexOf, MirroredWorld, restoredFrom } from './checkpoints.ts'
import type { TestFrame } from './frames.ts'
import { randomLog } from './random-log.ts'
import { type Client, deliveriesOf, messagesOf, World } from './world.ts'

const RUNS = 100
const NEVER_MS = limits.delayMsMax
const topics = (count: number) => new Array<string>(count).fill('a')

function publish(client: Client, count: number): void {
  for (let left = count; left > 0; left -= 8000) client.publish(...topics(Math.min(left, 8000)))
}

/** Applies the entries behind `from` to both and expects no difference. */
function expectTwins(machine: Machine, twin: Machine, entries: readonly Uint8Array[], from: number): void {
  for (let index = from + 1; index <= entries.length; index++) {
    const entry = entries[index - 1]!
    expect(twin.apply(index, 1, entry)).toEqual(machine.apply(index, 1, entry))
    expect(twin.stateHash()).toBe(machine.stateHash())
    expect(twin.nextTimerMs()).toBe(machine.nextTimerMs())
    expect(twin.totals).toEqual(machine.totals)
  }
  expect([...twin.bootsOf()]).toEqual([...machine.bootsOf()])
  for (const topic of ['x.y', 'w', 'x.z.z']) expect(twin.listeners(topic)).toEqual(machine.listeners(topic))
  expect(hexOf(bytesOf(twin.checkpoint()))).toBe(hexOf(bytesOf(machine.checkpoint())))
}

describe('a machine restored from a checkpoint', () => {
  it('does from then on what the captured one does, wherever a random log is cut', () => {
    fc.assert(
      fc.property(randomLog, fc.nat(), (log, at) => {
        const { entries } = applyToBoth(log)
        const cut = at % entries.length
        const machine = new Machine()
        for (let index = 1; index <= cut; index++) machine.apply(index, 1, entries[index - 1]!)
        expectTwins(machine, restoredFrom(bytesOf(machine.checkpoint())), entries, cut)
      }),
      { numRuns: RUNS },
    )
  })

  it('has the state of the capture, whatever was applied before the bytes were taken', () => {
    fc.assert(
      fc.property(randomLog, fc.nat(), (log, at) => {
        const { entries } = applyToBoth(log)
        const cut = at % entries.length
        const machine = new Machine()
        const still = new Machine()
        for (let index = 1; index <= cut; index++) {
          machine.apply(index, 1, entries[index - 1]!)
          still.apply(index, 1, entries[index - 1]!)
        }
        const captured = machine.checkpoint()
        expect(captured.index).toBe(cut)
        for (let index = cut + 1; index <= entries.length; index++) machine.apply(index, 1, entries[index - 1]!)
        const chunks = bytesOf(captured)
        expect(hexOf(chunks)).toBe(hexOf(bytesOf(still.checkpoint())))
        expectTwins(still, restoredFrom(chunks), entries, cut)
      }),
      { numRuns: RUNS },
    )
  })

  it('has the state of the capture, whatever is applied between its chunks', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a')
    client.queue('other', 'a')
    const { consumer } = client.consume('q', limits.prefetchMax)
    // Many runs, so that there are many chunks: every second message goes to nobody.
    for (let i = 0; i < 60; i++) client.publish(...new Array<string[]>(4000).fill(['a', 'b']).flat())
    client.settle(consumer, 1, 5000, 'released')
    client.control({ type: 'cancel', consumer })
    client.consume('other', 5000)
    const expected = hexOf(bytesOf(world.replica().checkpoint()))
    const captured = world.machine.checkpoint()
    const again = world.machine.checkpoint()
    const chunks: Uint8Array[] = []
    const late = client.consume('q', limits.prefetchMax).consumer
    let first = 1
    for (const chunk of captured.chunks()) {
      chunks.push(chunk)
      first += settleAll(client, late, first)
      publish(client, 500)
    }
    expect(chunks.length).toBeGreaterThan(5)
    expect(hexOf(chunks) === expected).toBe(true)
    expect(hexOf(bytesOf(again)) === expected).toBe(true)
  })

  it('serves an emptied queue from blocks that no capture reads', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a')
    client.publish('a', 'a', 'a')
    const expected = hexOf(bytesOf(world.replica().checkpoint()))
    const captured = world.machine.checkpoint()
    const { consumer } = client.consume('q')
    client.publish('a')
    client.settle(consumer, 1, 4)
    client.publish('a', 'a')
    expect(hexOf(bytesOf(captured))).toBe(expected)
  })

  it('is never the same state as the restored one', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a')
    client.publish('a', 'a')
    const twin = restoredFrom(bytesOf(world.machine.checkpoint()))
    const before = twin.stateHash()
    client.consume('q')
    expect(twin.stateHash()).toBe(before)
  })
})

/** Settles what a consumer has open, and lets it get more. */
function settleAll(client: Client, consumer: number, first: number): number {
  client.settle(consumer, first, limits.prefetchMax)
  return limits.prefetchMax
}

describe('a machine restored in the middle of work', () => {
  it('goes on with returns, with what is held meanwhile, and with the deletion of their queue', () => {
    const world = new MirroredWorld()
    const client = world.open({ leaseMs: NEVER_MS })
    client.queue('q', 'a')
    const consumers = [1, 2, 3, 4, 5, 6].map(() => client.consume('q', 5000, NEVER_MS).consumer)
    publish(client, 30_000)
    world.finish()
    const held = [{ consumer: consumers[5]!, runs: [[2, 3] as const, [4000, 2] as const] }]
    const other = world.open({ node: 'n2' })
    other.consume('q', 1000)
    client.attach(held)
    expect(world.machine.nextTimerMs()).toBe(world.machine.timeMs)
    client.control({ type: 'cancel', consumer: consumers[5]! })
    client.control({ type: 'closeSession' })
    other.control({ type: 'deleteQueue', queue: 'q' })
    world.finish()
    world.advance(NEVER_MS)
  })

  it('goes on with a boot that is over, and with sessions that come back to it', () => {
    const world = new MirroredWorld()
    const sessions = Array.from({ length: 5 }, () => openMany(world, 4000)).flat()
    world.node({ type: 'nodeLost', node: 'n1', bootId: 1 })
    expect(world.machine.nextTimerMs()).toBe(world.machine.timeMs)
    const attach = { type: 'attach', nonce: 1, connection: 2, held: [], node: 'n1', bootId: 1 } as const
    world.node({ ...attach, session: sessions.at(-1)! })
    world.node({ type: 'nodeStarted', node: 'n1', bootId: 2 })
    world.finish()
  })

  it('goes on with the boots of a node of which two are over', () => {
    const world = new MirroredWorld()
    for (let i = 0; i < 5; i++) openMany(world, 4000)
    const open = { type: 'openSession', nonce: 1, connection: 1, leaseMs: 9, detachGraceMs: 0, name: '' } as const
    world.apply(
      { kind: 'node', command: { type: 'nodeLost', node: 'n1', bootId: 1 } },
      { kind: 'node', command: { ...open, node: 'n1', bootId: 2 } },
      { kind: 'node', command: { type: 'nodeStarted', node: 'n1', bootId: 3 } },
    )
    world.finish()
  })

  it('goes on with the consumers of a deleted queue', () => {
    const world = new MirroredWorld()
    const clients = Array.from({ length: 18 }, () => world.open({ leaseMs: NEVER_MS }))
    clients[0]!.queue('q', 'a')
    for (const client of clients) {
      const consume = { type: 'consume', queue: 'q', prefetch: 1, visibilityTimeoutMs: NEVER_MS } as const
      world.apply(...Array.from({ length: 1000 }, () => client.controlFrame(consume)))
    }
    clients[0]!.publish(...topics(3000))
    clients[1]!.control({ type: 'deleteQueue', queue: 'q' })
    expect(world.machine.nextTimerMs()).toBe(world.machine.timeMs)
    clients[17]!.control({ type: 'declareQueue', queue: 'q', exclusive: true })
    world.finish()
  })

  it('goes on with the exclusive queues of ended sessions', () => {
    const world = new MirroredWorld()
    const clients = Array.from({ length: 17 }, () => world.open())
    for (const [n, client] of clients.entries()) {
      const declare = (i: number) => client.controlFrame({ type: 'declareQueue', queue: `q${n}.${i}`, exclusive: true })
      world.apply(...Array.from({ length: 1000 }, (_, i) => declare(i)))
    }
    world.apply(...clients.map((client) => client.controlFrame({ type: 'closeSession' })))
    const left = world.machine.queueNames()
    expect(left.length).toBe(17_000 - WORK_PER_ENTRY_MAX)
    world.open().control({ type: 'deleteQueue', queue: left[0]! })
    world.finish()
  })

  it('goes on with messages that are due, and with deliveries of several queues', () => {
    const world = new MirroredWorld()
    const client = world.open({ leaseMs: NEVER_MS })
    for (const queue of ['p', 'q', 'r']) client.queue(queue, 'a')
    const consumers = ['p', 'p', 'q', 'q', 'r'].map((queue) => client.consume(queue, 10_000, NEVER_MS).consumer)
    publish(client, 20_000)
    expect(world.machine.nextTimerMs()).toBeDefined()
    world.finish()
    for (const consumer of consumers) client.settle(consumer, 1, 10_000, 'released', 700)
    world.advance(700)
    expect(world.machine.nextTimerMs()).toBe(world.machine.timeMs)
    client.control({ type: 'deleteQueue', queue: 'p' })
    world.finish()
  })

  it('serves marked queues in their order, a deleted one among them', () => {
    const world = new MirroredWorld()
    const client = world.open()
    for (const queue of ['p', 'q', 'r', 's']) {
      client.queue(queue, 'a')
      for (let i = 0; i < 4; i++) client.consume(queue, 10_000, NEVER_MS)
    }
    // One entry marks all four queues, with more than it may deliver.
    const frames: TestFrame[] = Array.from({ length: 5 }, () => client.publishFrame(...topics(8000)))
    expect(messagesOf(world.apply(...frames)).length).toBe(32_768)
    client.control({ type: 'deleteQueue', queue: 'r' })
    const { effects } = world.finish()
    expect(deliveriesOf(effects).length).toBeGreaterThan(0)
  })
})

/** Sessions that are opened by one entry, on boot 1 of n1. */
function openMany(world: World, count: number): number[] {
  const command = { type: 'openSession', connection: 1, leaseMs: NEVER_MS, detachGraceMs: 0, name: 's' } as const
  const base = world.entries.length * 10_000
  const frames = Array.from({ length: count }, (_, i): TestFrame => {
    return { kind: 'node', command: { ...command, nonce: base + i, node: 'n1', bootId: 1 } }
  })
  return world.apply(...frames).flatMap((effect) => (effect.type === 'attached' ? [effect.to.session] : []))
}

describe('the bytes of a checkpoint', () => {
  it('are equal for equal states, whatever the history of heaps and sets', () => {
    const reach = (act: (client: Client, consumer: number) => void) => {
      const world = new World()
      const client = world.open()
      client.queue('q', 'a.#')
      const { consumer } = client.consume('q', 5)
      client.publish('a', 'a', 'a', 'a', 'a', 'a')
      act(client, consumer)
      return hexOf(bytesOf(world.machine.checkpoint()))
    }
    const release = (order: readonly number[]) =>
      reach((client, consumer) => {
        for (const delivery of order) client.settle(consumer, delivery, 1, 'released', 500)
      })
    expect(release([1, 2, 3, 4])).toBe(release([4, 2, 1, 3]))
    expect(release([1, 2, 3, 4])).not.toBe(release([1, 2, 3, 5]))
    const bind = (patterns: readonly string[]) =>
      reach((client) => {
        for (const pattern of patterns) client.control({ type: 'bind', queue: 'q', pattern })
      })
    expect(bind(['x', 'y', 'b'])).toBe(bind(['b', 'y', 'x']))
  })

  it('are few for a backlog that was published in frames, in chunks of at most 256 KiB', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a')
    for (let i = 0; i < 2000; i++) client.publish(...topics(100))
    const chunks = bytesOf(world.machine.checkpoint())
    expect(chunks.reduce((sum, chunk) => sum + chunk.length, 0)).toBeLessThan(8000)
    // One run each: every second message goes to nobody.
    for (let i = 0; i < 50; i++) client.publish(...new Array<string[]>(4000).fill(['a', 'b']).flat())
    const many = bytesOf(world.machine.checkpoint())
    expect(many.length).toBeGreaterThan(3)
    for (const chunk of many) expect(chunk.length).toBeLessThanOrEqual(256 * 1024)
  })
})

describe('the references of a checkpoint', () => {
  it('are the entries of all messages that are not settled, wherever they are', () => {
    fc.assert(
      fc.property(randomLog, (log) => {
        applyToBoth(log, (machine, model) => {
          const expected = [...new Set(model.messages.map(({ index }) => index))].sort((a, b) => a - b)
          const captured = machine.checkpoint()
          bytesOf(captured)
          expect([...captured.references()]).toEqual(expected)
          expect(captured.references().size).toBe(expected.length)
        })
      }),
      { numRuns: RUNS / 4 },
    )
  })

  it('are known to the restored state too, those of pending returns included', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a')
    for (let i = 0; i < 4; i++) client.consume('q', 10_000, NEVER_MS)
    publish(client, 40_000)
    world.finish()
    client.detach()
    world.advance(1000)
    expect(world.machine.nextTimerMs()).toBe(world.machine.timeMs)
    const captured = world.machine.checkpoint()
    publish(world.open({ node: 'n2' }), 1)
    const reader = new CheckpointReader()
    const again = world.machine.checkpoint()
    for (const chunk of again.chunks()) reader.push(chunk)
    expect([...again.references()]).toHaveLength(6)
    expect([...reader.finish().references()]).toEqual([...again.references()])
    // What came later is not among those of the first capture.
    bytesOf(captured)
    expect([...captured.references()]).toEqual([...again.references()].slice(0, 5))
  })

  it('are those of the restored state, wherever the messages are', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a')
    const { consumer } = client.consume('q', 3)
    for (let i = 0; i < 5; i++) client.publish('a')
    client.settle(consumer, 1, 1, 'released', 500)
    client.control({ type: 'cancel', consumer })
    client.consume('q', 1)
    const stats = world.machine.queueStats('q')
    expect(stats).toMatchObject({ ready: 3, unsettled: 1, delayed: 1 })
    const reader = new CheckpointReader()
    for (const chunk of world.machine.checkpoint().chunks()) reader.push(chunk)
    expect([...reader.finish().references()]).toEqual([5, 6, 7, 8, 9])
  })

  it('are not told before the last chunk is written', () => {
    const captured = new World().machine.checkpoint()
    expect(() => captured.references()).toThrow('before the last chunk')
  })
})

describe('a set of entries', () => {
  it('holds what a set of numbers would, in rising order', () => {
    const index = fc.oneof(
      fc.nat({ max: 200 }),
      fc.nat({ max: 2 ** 17 }),
      fc.integer({ min: 2 ** 40, max: 2 ** 40 + 99 }),
    )
    fc.assert(
      fc.property(fc.array(index, { maxLength: 200 }), fc.array(index), (indexes, others) => {
        const set = new EntrySet()
        for (const each of indexes) set.add(each)
        const expected = new Set(indexes)
        expect([...set]).toEqual([...expected].sort((a, b) => a - b))
        expect(set.size).toBe(expected.size)
        for (const each of [...indexes, ...others]) expect(set.has(each)).toBe(expected.has(each))
      }),
    )
  })
})

describe('resume', () => {
  it('tells each session in force where it stands, and what it has open, in order', () => {
    fc.assert(
      fc.property(randomLog, (log) => {
        applyToBoth(log, (machine, model) => {
          for (const { node, bootId } of model.boots) {
            const effects = [...machine.resume(node, bootId)]
            const attached = model.sessions
              .filter(({ to }) => to?.node === node && to.bootId === bootId)
              .sort((a, b) => a.to!.epoch - b.to!.epoch)
            const consumersOf = (id: number) => model.consumers.filter(({ session }) => session.id === id)
            expect(effects.filter(({ type }) => type === 'resumed')).toEqual(
              attached.map(({ id, to, lastSequence, outcomes }) => ({
                type: 'resumed',
                to,
                lastSequence,
                outcomes: [...outcomes.values()],
                consumers: consumersOf(id).map((consumer) => consumer.id),
              })),
            )
            expect(rowsOf(effects)).toEqual(
              attached.flatMap(({ id }) =>
                consumersOf(id).flatMap((consumer) =>
                  model
                    .openOf(consumer)
                    .map(({ index, position, attempts, state }) => ({
                      consumer: consumer.id,
                      delivery: state.is === 'open' ? state.delivery : 0,
                      place: [index, position],
                      attempt: attempts,
                    }))
                    .sort((a, b) => a.delivery - b.delivery),
                ),
              ),
            )
            expect([...machine.resume(node, bootId - 1), ...machine.resume('nowhere', bootId)]).toEqual([])
          }
        })
      }),
      { numRuns: RUNS / 4 },
    )
  })

  it('leaves out what is about to return, and consumers of a deleted queue', () => {
    const world = new World()
    const client = world.open({ leaseMs: NEVER_MS })
    client.queue('q', 'a')
    client.queue('gone', 'b')
    const consumers = [1, 2, 3, 4].map(() => client.consume('q', 10_000, NEVER_MS).consumer)
    publish(client, 40_000)
    world.finish()
    const last = consumers[3]!
    client.attach([{ consumer: last, runs: [[1, 2] as const, [9000, 1000] as const] }])
    expect(world.machine.nextTimerMs()).toBe(world.machine.timeMs)
    const rows = rowsOf([...world.machine.resume('n1', 1)])
    const ofLast = rows.filter(({ consumer }) => consumer === last).map(({ delivery }) => delivery)
    expect(ofLast).toEqual([1, 2, ...Array.from({ length: 1000 }, (_, i) => 9000 + i)])
    expect(rows.length).toBe(ofLast.length)
  })
})

/** The rows of deliver effects, one by one. */
function rowsOf(effects: readonly Effect[]) {
  return deliveriesOf(effects).flatMap(({ consumer, firstDelivery, indexes, positions, attempts }) =>
    indexes.map((index, i) => ({
      consumer,
      delivery: firstDelivery + i,
      place: [index, positions[i]!],
      attempt: attempts[i]!,
    })),
  )
}
