/**
 * The power goes: of one node, the leader, a majority or all at once. What they had not synced is lost, kept or torn (files/roll-back.ts). Since a
 * sync takes less than a millisecond on many a disk, the disk is slow for a moment before: then there is something that is not synced.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault, Nemesis } from '../nemesis.ts'
import { sumOf, textOf } from './figures.ts'
import { drawVictims, type Victims } from './victims.ts'

const DOWN_MS_MIN = 100
const DOWN_MS_MAX = 4_000
const SYNC_MS_MIN = 5
const SYNC_MS_MAX = 40

export const lostWrites: Nemesis = {
  name: 'lost-writes',
  about: 'take the power of one node, the leader, a majority or all: what was not synced is lost, kept or torn',
  launch: { shim: true },
  draw: (random, nodes) =>
    faultOf(drawVictims(random, nodes), {
      syncMs: random.between(SYNC_MS_MIN, SYNC_MS_MAX),
      afterMs: random.between(SYNC_MS_MIN, 4 * SYNC_MS_MAX),
      downMs: random.between(DOWN_MS_MIN, DOWN_MS_MAX),
    }),
  bite: ({ rolledBackBytes = 0 }) => (rolledBackBytes > 0 ? undefined : 'nothing was lost: all was synced in time'),
}

interface Times {
  readonly syncMs: number
  readonly afterMs: number
  readonly downMs: number
}

function faultOf(victims: Victims, { syncMs, afterMs, downMs }: Times): Fault {
  let hit: readonly string[] = []
  return {
    name: `no power for ${victims.name}`,
    holdMs: downMs,
    async begin(target) {
      const found = await victims.find(target)
      // It lasts as long as their processes: without power there is nothing left to be ended.
      await Promise.all(found.map((node) => target.breakFiles(node, { type: 'slow', ms: syncMs, jitterMs: syncMs })))
      await sleep(afterMs)
      hit = found.filter((node) => target.isRunning(node))
      const done = sumOf(await Promise.all(hit.map((node) => target.cutPower(node))))
      return { what: `${hit.join(',') || 'nobody'} without power: ${textOf(done)}`, done }
    },
    async end(target) {
      await Promise.all(hit.map((node) => target.start(node)))
      return { what: `started ${hit.join(',') || 'nobody'}`, done: {} }
    },
  }
}
