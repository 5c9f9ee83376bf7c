/**
 * A rolling restart as an operator does it: SIGTERM to one node after the other, the next one only when all are ready again. If they do not get
 * ready, since another fault is in the way, the round ends there.
 */
import type { Fault, FaultTarget, Nemesis } from '../nemesis.ts'

/** For a node to be ready in the middle of other faults. */
const READY_MS = 15_000

export const rolling: Nemesis = {
  name: 'rolling',
  about: 'SIGTERM and start one node after the other, waiting until all are ready',
  draw: (random, nodes) => faultOf(random.shuffle(nodes)),
  bite: ({ restarts = 0 }) => (restarts > 0 ? undefined : 'no node was restarted'),
}

function faultOf(order: readonly string[]): Fault {
  let stopped: string | undefined
  return {
    name: `rolling restart ${order}`,
    holdMs: 0,
    async begin(target) {
      let restarts = 0
      for (const node of order) {
        const late = await firstLate(target)
        if (late !== undefined) return { what: `given up after ${restarts}: ${late} is not ready`, done: { restarts } }
        stopped = node
        await target.stop(node)
        await target.start(node)
        stopped = undefined
        restarts++
      }
      return { what: `restarted ${order}`, done: { restarts } }
    },
    async end(target) {
      if (stopped === undefined) return { what: '', done: {} }
      await target.start(stopped)
      return { what: `started ${stopped}`, done: {} }
    },
  }
}

async function firstLate(target: FaultTarget): Promise<string | undefined> {
  const ready = await Promise.all(target.nodes.map((node) => target.ready(node, READY_MS)))
  return target.nodes.find((_, i) => !ready[i])
}
