/**
 * Which nodes a fault hits: drawn beforehand, but for the leader, who is looked up when it begins.
 */
import type { FaultTarget } from '../nemesis.ts'
import type { Random } from '../random.ts'

export interface Victims {
  /** As far as it is known beforehand. */
  readonly name: string
  find(target: FaultTarget): Promise<readonly string[]>
}

/** One node, the leader, a majority or all: the first two most often, since the cluster has to go on under them. */
export function drawVictims(random: Random, nodes: readonly string[]): Victims {
  const shuffled = random.shuffle(nodes)
  const kind = random.pick(['one', 'one', 'one', 'leader', 'leader', 'leader', 'majority', 'majority', 'all'] as const)
  switch (kind) {
    case 'one':
      return these(shuffled.slice(0, 1))
    case 'leader':
      return theLeader(shuffled)
    case 'majority':
      return these(shuffled.slice(0, Math.floor(nodes.length / 2) + 1))
    case 'all':
      return these(shuffled)
  }
}

/** While nobody leads: the first of `nodes`. */
export function theLeader(nodes: readonly string[]): Victims {
  return { name: 'leader', find: async (target) => [(await target.leader()) ?? nodes[0]!] }
}

function these(nodes: readonly string[]): Victims {
  const sorted = [...nodes].sort()
  return { name: sorted.join(','), find: async () => sorted }
}
