import { describe, expect, it } from 'vitest'
import type { Client } from './world.ts'
import { World } from './world.ts'

interface Scene {
  readonly world: World
  readonly client: Client
  readonly consumer: number
}

function scene(): Scene {
  const world = new World()
  const client = world.open()
  client.queue('q', 'a.#')
  client.control({ type: 'declareQueue', queue: 'other' })
  const { consumer } = client.consume('q', 5)
  client.publish('a', 'a', 'a', 'a', 'a', 'a')
  return { world, client, consumer }
}

function hashAfter(...acts: ((scene: Scene) => unknown)[]): string {
  const set = scene()
  for (const act of acts) act(set)
  return set.world.machine.stateHash()
}

describe('the hash of the state', () => {
  it('is equal for equal states, whatever the history of sets and heaps', () => {
    const release = (delivery: number) => (set: Scene) => set.client.settle(set.consumer, delivery, 1, 'released', 500)
    expect(hashAfter(release(1), release(2), release(3), release(4))).toBe(
      hashAfter(release(4), release(2), release(1), release(3)),
    )
    const bind = (pattern: string) => (set: Scene) => set.client.control({ type: 'bind', queue: 'q', pattern })
    expect(hashAfter(bind('x'), bind('y'), bind('b'))).toBe(hashAfter(bind('b'), bind('y'), bind('x')))
    expect(hashAfter()).toMatch(/^[0-9a-f]{16}$/)
  })

  it('does not change when the machine is asked something', () => {
    const ask = ({ world }: Scene) => {
      world.machine.listeners('a')
      world.machine.queueStats('q')
      world.machine.nextTimerMs()
      world.machine.stateHash()
    }
    expect(hashAfter(ask)).toBe(hashAfter())
  })

  it('tells states apart that differ in one thing', () => {
    const open = (options: object) => (set: Scene) => set.world.open(options)
    const openWith = (nonce: number) => (set: Scene) =>
      set.world.node({
        type: 'openSession',
        nonce,
        connection: 1,
        name: 'd',
        leaseMs: 1,
        detachGraceMs: 1,
        node: 'n1',
        bootId: 1,
      })
    const consume = (prefetch: number, visibilityTimeoutMs: number) => (set: Scene) =>
      set.client.consume('other', prefetch, visibilityTimeoutMs)
    const settle =
      (delivery: number, outcome: Parameters<Client['settle']>[3], ms = 0) =>
      (set: Scene) =>
        set.client.settle(set.consumer, delivery, 1, outcome, ms)
    const control = (command: Parameters<Client['control']>[0]) => (set: Scene) => set.client.control(command)
    const hashes = [
      hashAfter((set) => set.world.advance(0)),
      hashAfter((set) => set.world.advance(1)),
      hashAfter((set) => set.client.detach()),
      hashAfter((set) => set.client.attach([{ consumer: set.consumer, runs: [[1, 5]] }])),
      hashAfter((set) => set.client.attach([], { connection: 7 })),
      hashAfter((set) => set.world.node({ type: 'nodeLost', node: 'n1', bootId: 1 })),
      hashAfter((set) => set.world.node({ type: 'nodeStarted', node: 'n2', bootId: 1 })),
      hashAfter((set) => set.world.node({ type: 'nodeStarted', node: 'n2', bootId: 2 })),
      hashAfter(open({})),
      hashAfter(open({ leaseMs: 5 })),
      hashAfter(openWith(77)),
      hashAfter(openWith(78)),
      hashAfter(open({ detachGraceMs: 5 })),
      hashAfter(open({ node: 'n3' })),
      hashAfter(open({ node: 'n3', bootId: 9 })),
      hashAfter(consume(5, 100)),
      hashAfter(consume(6, 100)),
      hashAfter(consume(5, 101)),
      hashAfter(settle(1, 'accepted')),
      hashAfter(settle(2, 'accepted')),
      hashAfter(settle(1, 'rejected')),
      hashAfter(settle(1, 'released')),
      hashAfter(settle(1, 'released', 5)),
      hashAfter(settle(1, 'released', 6)),
      hashAfter(settle(1, 'extended', 5)),
      hashAfter(settle(1, 'extended', 6)),
      hashAfter((set) => set.client.publish('a')),
      hashAfter((set) => set.client.publish('b')),
      hashAfter((set) => set.client.publish('not ok')),
      hashAfter(control({ type: 'bind', queue: 'q', pattern: 'x' })),
      hashAfter(control({ type: 'bind', queue: 'q', pattern: 'y' })),
      hashAfter(control({ type: 'bind', queue: 'other', pattern: 'y' })),
      hashAfter(control({ type: 'unbind', queue: 'q', pattern: 'a.#' })),
      hashAfter(control({ type: 'listen', pattern: 'x' })),
      hashAfter(control({ type: 'listen', pattern: 'y' })),
      hashAfter(control({ type: 'declareQueue', queue: 'new' })),
      hashAfter(control({ type: 'declareQueue', queue: 'new', durable: false })),
      hashAfter(control({ type: 'declareQueue', queue: 'new', exclusive: true })),
      hashAfter(control({ type: 'deleteQueue', queue: 'other' })),
      hashAfter(control({ type: 'deleteQueue', queue: 'q' })),
      hashAfter(control({ type: 'closeSession' })),
    ]
    // Clears outcomes that were kept.
    const seen = (upTo: number) => (set: Scene) => {
      set.client.seen = upTo
      set.client.settleItems()
    }
    expect(hashAfter(seen(4))).not.toBe(hashAfter(seen(3)))
    expect(new Set(hashes).size).toBe(hashes.length)
  })
})
