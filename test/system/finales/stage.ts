/** What the end of a run plays on: a cluster that has healed, with nothing left to do. */
import type { NodeCore } from '../../../node/core.ts'
import type { Trace } from '../../sim/trace.ts'
import type { Random } from '../../support/random.ts'
import type { Scene } from '../actors.ts'
import type { Network } from '../network.ts'
import type { SimulatedNode } from '../node.ts'
import type { Workload } from '../workload.ts'

export interface Stage {
  readonly network: Network
  readonly trace: Trace
  readonly nodes: readonly SimulatedNode[]
  readonly random: Random
  readonly scene: Scene
  readonly workload: Workload
  readonly leader: () => NodeCore | undefined
  /** Lets time pass; ends early when `until` holds. */
  readonly run: (ms: number, until?: () => boolean) => Promise<void>
  /** Lets all work at hand come to its end, and looks into the books. */
  readonly conclude: () => Promise<void>
}

export type Finale = (stage: Stage) => Promise<void>

/** Cuts ways between `one` and all other nodes; the returned function mends them. */
export function cutOff({ network, nodes }: Stage, one: SimulatedNode, ways: 'both' | 'in'): () => void {
  const mends = nodes.flatMap(({ id }) => {
    if (id === one.id) return []
    return ways === 'both' ? [network.cut(id, one.id), network.cut(one.id, id)] : [network.cut(id, one.id)]
  })
  return () => {
    for (const mend of mends) mend()
  }
}

/** One that does not lead. */
export function anyFollower({ nodes, random }: Stage): SimulatedNode {
  return random.pick(nodes.filter((node) => !node.claimsToLead))
}
