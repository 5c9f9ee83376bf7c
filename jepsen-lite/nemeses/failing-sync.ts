/**
 * Writes or syncs that fail with EIO, once or from then on. The node must stop itself; one that goes on would confirm what is not on its
 * disk. In some cases its power goes as well, so that what the failed sync left in the page cache is lost.
 */
import type { Fault, FileFault, Nemesis } from '../nemesis.ts'
import { sumOf, textOf } from './figures.ts'
import { BreakingDisks } from './own-end.ts'
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

function faultOf(victims: Victims, failure: FileFault & { type: 'fail' }, losesPower: boolean, holdMs: number): Fault {
  let disks: BreakingDisks | undefined
  return {
    name: `${failure.on}s fail ${failure.times} on ${victims.name}${losesPower ? ', then no power' : ''}`,
    holdMs,
    async begin(target) {
      const found = await victims.find(target)
      const nodes = found.filter((node) => target.isRunning(node))
      const hit = new BreakingDisks({ target, nodes, code: 'StorageFailed' })
      disks = hit
      await hit.break(failure)
      await hit.waitForEnd()
      const { ended } = hit
      const done = sumOf(losesPower ? await Promise.all(ended.map((node) => target.cutPower(node))) : [])
      const what = `${failure.on}s fail on ${nodes.join(',') || 'nobody'}; stopped: ${ended.join(',') || 'nobody'}`
      return { what: losesPower ? `${what}; then no power: ${textOf(done)}` : what, done }
    },
    async end() {
      if (disks === undefined) return { what: '', done: {} }
      const done = await disks.mended()
      return { what: `disks of ${disks.nodes.join(',') || 'nobody'} are well: ${textOf(done)}`, done }
    },
  }
}
