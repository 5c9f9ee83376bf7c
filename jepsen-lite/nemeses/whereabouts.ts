/** Which ways become slow: those of one node, of the leader, of all nodes; with their clients or without. */
import type { FaultTarget } from '../nemesis.ts'
import type { Random } from '../random.ts'
import { between, towards, type WayName, without } from './link-fault.ts'
import { theLeader } from './victims.ts'

export interface Whereabouts {
  readonly name: string
  find(target: FaultTarget): Promise<{ readonly what: string; readonly ways: readonly WayName[] }>
}

export function drawWhereabouts(random: Random, nodes: readonly string[]): Whereabouts {
  const order = random.shuffle(nodes)
  const kind = random.pick(['one', 'leader', 'out of', 'all'] as const)
  // Alone, a node has no other links.
  const hasClients = nodes.length === 1 || random.chance(0.4)
  const name = { one: order[0]!, leader: 'leader', 'out of': 'out of the leader', all: 'all nodes' }[kind]
  return {
    name: hasClients ? `${name}, clients too` : name,
    async find(target) {
      const { clients } = target.links
      const around = hasClients ? [clients] : []
      const [leader] = await theLeader(order).find(target)
      const node = kind === 'one' ? order[0]! : leader!
      const others = [...without(order, node), ...around]
      if (kind === 'out of') return { what: `from ${node} to ${others}`, ways: towards([node], others) }
      if (kind !== 'all') return { what: `between ${node} and ${others}`, ways: between([node], others) }
      const pairs = order.flatMap((from) => towards([from], without(order, from)))
      return { what: 'between all nodes', ways: [...pairs, ...between(order, around)] }
    },
  }
}
