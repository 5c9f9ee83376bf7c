/**
 * A rolling restart as an operator does it: SIGTERM to one node after the other, the next one only when all are ready again. If they do not get
 * ready, since another fault is in the way, the round ends there.
 */
import type { Fault, FaultReport, FaultTarget, Nemesis } from '../nemesis.ts'

/** For a node to be ready in the middle of other faults. */
const READY_MS = 15_000

export const rolling: Nemesis = {
  name: 'rolling',
  about: 'SIGTERM and start one node after the other, waiting until all are ready',
  draw: (random, nodes) => faultOf(random.shuffle(nodes)),
  bite: ({ restarts = 0 }) => (restarts > 0 ? undefined : 'no node was restarted'),
}

/** Clusters in which a round is under way: nobody begins a second one. */
const underWay = new WeakSet<FaultTarget>()

function faultOf(order: readonly string[]): Fault {
  let stopped: string | undefined
  return {
    name: `rolling restart ${order}`,
    holdMs: 0,
    async begin(target): Promise<FaultReport> {
      if (underWay.has(target)) return { what: 'nothing: another round is under way', done: {} }
      underWay.add(target)
      try {
        return await round(target, order, (node) => (stopped = node))
      } finally {
        underWay.delete(target)
      }
    },
    async end(target) {
      if (stopped === undefined) return { what: '', done: {} }
      await target.start(stopped)
      return { what: `started ${stopped}`, done: {} }
    },
  }
}

/** `down` hears who is down at the moment. */
async function round(
  target: FaultTarget,
  order: readonly string[],
  down: (node: string | undefined) => void,
): Promise<FaultReport> {
  let restarts = 0
  for (const node of order) {
    const late = await firstLate(target)
    if (late !== undefined) return { what: `given up after ${restarts}: ${late} is not ready`, done: { restarts } }
    down(node)
    await target.stop(node)
    await target.start(node)
    down(undefined)
    restarts++
  }
  return { what: `restarted ${order}`, done: { restarts } }
}

async function firstLate(target: FaultTarget): Promise<string | undefined> {
  const ready = await Promise.all(target.nodes.map((node) => target.ready(node, READY_MS)))
  return target.nodes.find((_, i) => !ready[i])
}
