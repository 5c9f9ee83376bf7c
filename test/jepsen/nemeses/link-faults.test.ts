/** Partitions and slow links: which ways they hit, that a seed draws the same, and that nothing is left of them. */

import { describe, expect, it } from 'vitest'
import { delay } from '../../../jepsen-lite/nemeses/delay.ts'
import { lag } from '../../../jepsen-lite/nemeses/lag.ts'
import { cutOf, partition } from '../../../jepsen-lite/nemeses/partition.ts'
import { slowConsumer } from '../../../jepsen-lite/nemeses/slow-consumer.ts'
import { slowLink } from '../../../jepsen-lite/nemeses/slow-link.ts'
import { stall } from '../../../jepsen-lite/nemeses/stall.ts'
import type { Fault, Nemesis } from '../../../jepsen-lite/nemesis.ts'
import { seeded } from '../../../jepsen-lite/random.ts'
import { fc } from '../../support/property.ts'
import { RecordedTarget } from './recorded-target.ts'

const order = (count: number) => Array.from({ length: count }, (_, i) => `n${i + 1}`)

/** By node: whose bytes it still gets, its own included. */
function heardBy(shape: Parameters<typeof cutOf>[0], count: number): Map<string, string[]> {
  const nodes = order(count)
  const cut = new Set(cutOf(shape, nodes).ways.map(([from, to]) => `${from}>${to}`))
  return new Map(nodes.map((to) => [to, nodes.filter((from) => from === to || !cut.has(`${from}>${to}`))]))
}

/** By node: with whom it can talk in both directions, itself included. */
function seenBy(shape: Parameters<typeof cutOf>[0], count: number): Map<string, string[]> {
  const heard = heardBy(shape, count)
  return new Map([...heard].map(([node, from]) => [node, from.filter((other) => heard.get(other)!.includes(node))]))
}

describe('the shape of a partition', () => {
  it('halves: each half sees itself', () => {
    expect([...seenBy('halves', 5).values()].map((nodes) => nodes.join(''))).toEqual([
      'n1n2',
      'n1n2',
      'n3n4n5',
      'n3n4n5',
      'n3n4n5',
    ])
  })

  it('one and leader: the first node sees itself alone, the others each other', () => {
    for (const shape of ['one', 'leader'] as const) {
      expect(Object.fromEntries(seenBy(shape, 3))).toEqual({ n1: ['n1'], n2: ['n2', 'n3'], n3: ['n2', 'n3'] })
    }
  })

  it.each([3, 4, 5, 7])('bridge: of %i nodes one sees all, the others their side', (count) => {
    const seen = seenBy('bridge', count)
    const bridges = [...seen].filter(([, nodes]) => nodes.length === count).map(([node]) => node)
    expect(bridges).toHaveLength(1)
    for (const [node, nodes] of seen) {
      if (bridges.includes(node)) continue
      for (const other of nodes) if (!bridges.includes(other)) expect(seen.get(other)).toEqual(nodes)
    }
  })

  it.each([4, 5, 6, 7, 9])('majorities ring: each of %i nodes sees a majority, and no two the same one', (count) => {
    const seen = [...seenBy('majorities ring', count).values()]
    for (const nodes of seen) {
      expect(nodes.length).toBeGreaterThan(count / 2)
      expect(nodes.length).toBeLessThan(count)
    }
    expect(new Set(seen.map(String)).size).toBe(count)
  })

  it('majorities ring of three: each hears the one before it, and nobody talks with anybody', () => {
    expect([...heardBy('majorities ring', 3).values()]).toEqual([
      ['n1', 'n3'],
      ['n1', 'n2'],
      ['n2', 'n3'],
    ])
    expect([...seenBy('majorities ring', 3).values()]).toEqual([['n1'], ['n2'], ['n3']])
  })

  it('deaf and mute: one direction of one node alone', () => {
    expect(Object.fromEntries(heardBy('deaf', 3))).toEqual({ n1: ['n1'], n2: order(3), n3: order(3) })
    expect(Object.fromEntries(heardBy('mute', 3))).toEqual({ n1: order(3), n2: ['n2', 'n3'], n3: ['n2', 'n3'] })
  })
})

const linkNemeses: readonly Nemesis[] = [partition, delay, lag, stall, slowLink, slowConsumer]

const draws = fc.record({
  nemesis: fc.constantFrom(...linkNemeses),
  seed: fc.integer({ min: 0 }),
  count: fc.integer({ min: 1, max: 7 }),
})

describe('every fault of links', () => {
  it('hits ways that there are, each once, and leaves none of them hurt', async () => {
    await fc.assert(
      fc.asyncProperty(draws, async ({ nemesis, seed, count }) => {
        const target = new RecordedTarget(count)
        const fault = nemesis.draw(seeded(seed), target.nodes)
        expect(fault.holdMs).toBeGreaterThan(0)
        await fault.begin(target)
        const { ways } = target
        expect(ways.length).toBeGreaterThan(0)
        expect(new Set(ways).size).toBe(ways.length)
        for (const { from, to } of target.impaired.values()) {
          expect(from).not.toBe(to)
          for (const end of [from, to]) expect([...target.nodes, 'clients']).toContain(end)
        }
        const { done } = await fault.end(target)
        expect(target.ways).toEqual([])
        const hit = ways.length
        expect(done).toEqual({ bytesDropped: 3 * hit, bytesDelayed: 2 * hit, socketsReset: hit })
        expect(nemesis.bite(done)).toBeUndefined()
      }),
    )
  })

  it('is the same for the same seed, whoever leads or not', async () => {
    await fc.assert(
      fc.asyncProperty(draws, async ({ nemesis, seed, count }) => {
        const [one, other] = [new RecordedTarget(count), new RecordedTarget(count)]
        other.currentLeader = undefined
        const faults = [one, other].map(({ nodes }) => nemesis.draw(seeded(seed), nodes)) as [Fault, Fault]
        expect([faults[0].name, faults[0].holdMs]).toEqual([faults[1].name, faults[1].holdMs])
        await faults[0].begin(one)
        await faults[1].begin(other)
        expect(one.impaired.size).toBe(other.impaired.size)
      }),
    )
  })

  it('did not bite where nothing was lost, reset or held back', () => {
    for (const { bite, name } of linkNemeses) {
      expect(bite({}), name).toBeDefined()
      expect(bite({ bytesDropped: 0, bytesDelayed: 0, socketsReset: 0 }), name).toBeDefined()
    }
    expect(delay.bite({ bytesDropped: 5 })).toBeDefined()
    expect(partition.bite({ bytesDelayed: 5 })).toBeDefined()
    expect(partition.bite({ socketsReset: 1 })).toBeUndefined()
  })
})

it('partitions in every shape, by loss, reset and refusal, with clients and without, one direction by loss alone', () => {
  const names = Array.from({ length: 400 }, (_, seed) => partition.draw(seeded(seed), order(5)).name)
  for (const shape of ['halves', 'one', 'leader', 'majorities ring', 'bridge']) {
    for (const rest of ['blackhole', 'blackhole, clients too', 'reset', 'reset, clients too', 'refuse']) {
      expect(names).toContain(`partition ${shape} (${rest})`)
    }
  }
  for (const shape of ['deaf', 'mute']) {
    expect(names).toContain(`partition ${shape} (blackhole)`)
    expect(names.filter((name) => name.includes(shape) && !name.includes('blackhole'))).toEqual([])
  }
})

it('lets one follower lag, whoever leads, behind all others and not behind its clients', async () => {
  const nodes = order(3)
  for (let seed = 0; seed < 50; seed++) {
    const target = new RecordedTarget(3, nodes[seed % 3]!)
    await lag.draw(seeded(seed), nodes).begin(target)
    const follower = nodes.find((node) => target.ways.every((way) => way.includes(node)))!
    const others = nodes.filter((node) => node !== follower)
    expect(follower).not.toBe(target.currentLeader)
    expect(target.ways).toEqual(others.flatMap((other) => [`${follower}>${other}`, `${other}>${follower}`]).sort())
  }
})

it('cuts the leader of the moment off, not the one of the draw', async () => {
  const nodes = order(3)
  const seeds = Array.from({ length: 100 }, (_, i) => i)
  const seed = seeds.find((i) => partition.draw(seeded(i), nodes).name === 'partition leader (blackhole)')!
  for (const leader of nodes) {
    const target = new RecordedTarget(3, leader)
    await partition.draw(seeded(seed), nodes).begin(target)
    const others = nodes.filter((node) => node !== leader)
    expect(target.ways).toEqual(others.flatMap((other) => [`${leader}>${other}`, `${other}>${leader}`]).sort())
  }
})
