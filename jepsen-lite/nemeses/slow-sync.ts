/** Disks on which syncs take long: one node's, the leader's, a majority's or all. Nothing fails; it takes time. */
import type { EndFileFault, Fault, Nemesis } from '../nemesis.ts'
import { sumOf, textOf } from './figures.ts'
import { drawVictims, type Victims } from './victims.ts'

const HOLD_MS_MIN = 1_000
const HOLD_MS_MAX = 8_000
/** From a busy disk to one that stands still for longer than an election takes. */
const SYNC_MS = [3, 20, 100, 400, 1_500]

export const slowSync: Nemesis = {
  name: 'slow-sync',
  about:
    "make syncs slow on one node, the leader, a majority or all: from a few milliseconds to longer than an election's timeout",
  launch: { shim: true },
  draw: (random, nodes) =>
    faultOf(drawVictims(random, nodes), random.pick(SYNC_MS), random.between(HOLD_MS_MIN, HOLD_MS_MAX)),
  bite: ({ slowSyncs = 0 }) => (slowSyncs > 0 ? undefined : 'no sync was slow'),
}

function faultOf(victims: Victims, ms: number, holdMs: number): Fault {
  let slowed: readonly string[] = []
  const ends: EndFileFault[] = []
  return {
    name: `syncs of ${ms} ms or more on ${victims.name}`,
    holdMs,
    async begin(target) {
      slowed = await victims.find(target)
      const slow = { type: 'slow', ms, jitterMs: ms } as const
      await Promise.all(slowed.map(async (node) => ends.push(await target.breakFiles(node, slow))))
      return { what: `syncs of ${slowed.join(',')} are slow`, done: {} }
    },
    async end() {
      const done = sumOf(await Promise.all(ends.map((end) => end())))
      return { what: `${slowed.join(',')} as fast as before: ${textOf(done)}`, done }
    },
  }
}
