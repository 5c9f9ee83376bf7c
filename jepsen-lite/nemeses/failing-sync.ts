/**
 * Writes or syncs that fail with EIO, once or from then on. The node must stop itself; one that goes on would confirm what is not on its
 * disk. In some cases its power goes as well, so that what the failed sync left in the page cache is lost.
 */
import type { Fault, Nemesis, ShimCommand, Totals } from '../nemesis.ts'
import { sumOf, textOf } from './figures.ts'
import { BreakingDisks, clearShims } from './own-end.ts'
import { drawVictims, type Victims } from './victims.ts'

const HOLD_MS_MIN = 200
const HOLD_MS_MAX = 4_000

export const failingSync: Nemesis = {
  name: 'failing-sync',
  about: 'let writes or syncs fail (EIO): the node must stop itself; then start it again',
  launch: { shim: true },
  draw(random, nodes) {
    const on = random.pick(['write', 'sync'] as const)
    const times = random.pick(['once', 'always'] as const)
    const victims = drawVictims(random, nodes)
    return faultOf(victims, { type: 'fail', on, times }, random.chance(0.5), random.between(HOLD_MS_MIN, HOLD_MS_MAX))
  },
  bite: ({ ownEnds = 0 }) => (ownEnds > 0 ? undefined : 'no node met a failing disk'),
}

function faultOf(
  victims: Victims,
  command: ShimCommand & { type: 'fail' },
  losesPower: boolean,
  holdMs: number,
): Fault {
  let disks: BreakingDisks | undefined
  return {
    name: `${command.on}s fail ${command.times} on ${victims.name}${losesPower ? ', then no power' : ''}`,
    holdMs,
    async begin(target) {
      const found = await victims.find(target)
      const hit = new BreakingDisks(
        target,
        found.filter((node) => target.isRunning(node)),
      )
      disks = hit
      await Promise.all(hit.nodes.map((node) => target.shim(node, command)))
      await hit.waitForEnd()
      const { ended } = hit
      const lost = losesPower ? await Promise.all(ended.map((node) => target.cutPower(node))) : []
      const done = sumOf([{ ownEnds: ended.length }, ...lost])
      return { what: `${command.on}s fail on ${hit.nodes.join(',') || 'nobody'}: ${textOf(done)}`, done }
    },
    async end(target) {
      if (disks === undefined) return { what: '', done: {} }
      const bites = await clearShims(target, disks.nodes)
      await disks.mended(disks.nodes.filter((node) => failures(bites.get(node)) > 0))
      return { what: `disks of ${disks.nodes.join(',') || 'nobody'} are well`, done: {} }
    },
  }
}

function failures(done: Totals | false | undefined): number {
  return done ? (done.failedWrites ?? 0) + (done.failedSyncs ?? 0) : 0
}
