/**
 * Partitions: which nodes do not hear which others, by lost bytes, by resets or by refusals; in some of them clients are cut off too. Beside clean cuts
 * there are those in which nobody agrees on who is there (traps 7 and 8): a bridge, a ring of majorities, one direction alone.
 */
import type { Fault, FaultTarget, Nemesis } from '../nemesis.ts'
import type { Random } from '../random.ts'
import { between, linkFault, towards, type WayName, without } from './link-fault.ts'
import { theLeader } from './victims.ts'

const HOLD_MS_MIN = 1_000
const HOLD_MS_MAX = 10_000

/** How often clients are cut off too. */
const CLIENTS_CHANCE = 0.3

type Shape = 'halves' | 'one' | 'leader' | 'majorities ring' | 'bridge' | 'deaf' | 'mute'

/** Which bytes are lost, given the nodes in drawn order. */
interface Cut {
  readonly what: string
  readonly ways: readonly WayName[]
  /** Whom clients lose, if they lose anybody. */
  readonly fromClients: readonly string[]
}

export const partition: Nemesis = {
  name: 'partition',
  about:
    'cut nodes off: halves, one, the leader, majorities ring, bridge, one-way; blackhole, reset or refusal; at times from clients too',
  impairments: ['blackhole', 'reset', 'refuse'],
  draw,
  bite: ({ bytesDropped = 0, socketsReset = 0 }) =>
    bytesDropped + socketsReset > 0 ? undefined : 'no byte was dropped and no socket reset',
}

function draw(random: Random, nodes: readonly string[]): Fault {
  const order = random.shuffle(nodes)
  const shape = random.pick(shapesFor(nodes.length))
  const isLeaderHit = random.chance(0.5)
  const areClientsCut = nodes.length === 1 || random.chance(CLIENTS_CHANCE)
  // A reset tells both ends: there is no such thing in one direction.
  const isOneWay = shape === 'deaf' || shape === 'mute' || (shape === 'majorities ring' && isRingOneWay(nodes))
  const type = isOneWay ? 'blackhole' : random.pick(['blackhole', 'blackhole', 'blackhole', 'reset', 'refuse'] as const)
  const find = async (target: FaultTarget) => {
    const [leader] = await theLeader(order).find(target)
    const aim = shape === 'leader' || (isLeaderHit && (shape === 'deaf' || shape === 'mute')) ? leader : undefined
    const nodesInOrder = aim === undefined ? order : [aim, ...without(order, aim)]
    const { what, ways, fromClients } = cutOf(shape, nodesInOrder)
    if (!areClientsCut) return { what, ways }
    const { clients } = target.links
    const withClients = [...ways, ...clientWays(shape, fromClients, clients)]
    return { what: `${what}; clients cut off from ${fromClients.join(',')}`, ways: withClients }
  }
  const name = `partition ${shape} (${type}${areClientsCut ? ', clients too' : ''})`
  return linkFault({ name, holdMs: random.between(HOLD_MS_MIN, HOLD_MS_MAX), impairment: { type }, find })
}

/** Those that cut anything in a cluster of this size. */
function shapesFor(nodes: number): readonly Shape[] {
  const ofTwo = ['one', 'leader', 'deaf', 'mute'] as const
  return nodes < 3 ? ofTwo : [...ofTwo, 'halves', 'halves', 'majorities ring', 'bridge']
}

export function cutOf(shape: Shape, order: readonly string[]): Cut {
  const [first, ...others] = order as [string, ...string[]]
  const half = Math.floor(order.length / 2)
  const [left, right] = [order.slice(0, half), order.slice(half)]
  switch (shape) {
    case 'one':
    case 'leader':
      return { what: `${first} | ${others}`, ways: between([first], others), fromClients: [first] }
    case 'halves':
      // The larger one: clients then see the minority alone.
      return { what: `${left} | ${right}`, ways: between(left, right), fromClients: right }
    case 'bridge': {
      const [bridge, ...rest] = right as [string, ...string[]]
      return { what: `${left} | ${rest}, both see ${bridge}`, ways: between(left, rest), fromClients: [bridge] }
    }
    case 'majorities ring':
      return ringOf(order)
    case 'deaf':
      return { what: `${first} does not hear ${others}`, ways: towards(others, [first]), fromClients: [first] }
    case 'mute':
      return { what: `${first} is not heard by ${others}`, ways: towards([first], others), fromClients: [first] }
  }
}

/** Each node sees the nearest on a ring, as many as make a majority, so that no two see the same one. */
function ringOf(order: readonly string[]): Cut {
  const count = order.length
  const reach = Math.ceil(Math.floor(count / 2) / 2)
  const stepsBetween = (i: number, j: number) => (j - i + count) % count
  const isCut = (i: number, j: number) => {
    const steps = stepsBetween(i, j)
    // Of three nodes each would see all: there each hears only the one before it.
    return isRingOneWay(order) ? steps !== 1 : Math.min(steps, count - steps) > reach
  }
  const ways = order.flatMap((from, i) =>
    order.flatMap((to, j): WayName[] => (i !== j && isCut(i, j) ? [[from, to]] : [])),
  )
  const what = isRingOneWay(order) ? 'each hears the one before it' : 'each sees its neighbours'
  return { what: `ring ${order}: ${what}`, ways, fromClients: order.slice(0, 1) }
}

function isRingOneWay(nodes: readonly string[]): boolean {
  return nodes.length < 4
}

function clientWays(shape: Shape, nodes: readonly string[], clients: string): WayName[] {
  if (shape === 'deaf') return towards([clients], nodes)
  if (shape === 'mute') return towards(nodes, [clients])
  return between(nodes, [clients])
}
