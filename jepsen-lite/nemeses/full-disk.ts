/**
 * A disk that is nearly full, or full: the shim lets no file grow beyond what is left, and says so when the node asks. A leader refuses publishes
 * then and does all else; a node that cannot write what it must write stops itself.
 */
import type { Fault, Nemesis } from '../nemesis.ts'
import { sumOf, textOf } from './figures.ts'
import { BreakingDisks, countFull, didFill } from './own-end.ts'
import { drawVictims, type Victims } from './victims.ts'

const MIB = 1024 * 1024
const HOLD_MS_MIN = 2_000
const HOLD_MS_MAX = 8_000
/** Small segments, so that a short run needs new ones; the least reserve that they allow. */
export const smallFiles = {
  segmentBytes: 2 * MIB,
  checkpointBytes: MIB,
  trailingLogBytesMax: 2 * MIB,
  diskReserveBytes: 12 * MIB,
}

export const fullDisk: Nemesis = {
  name: 'full-disk',
  about: 'leave nodes little or no room on their disks (ENOSPC): publishes are refused, or the node stops itself',
  launch: { shim: true, nodeOptions: smallFiles },
  draw: (random, nodes) =>
    faultOf(
      drawVictims(random, nodes),
      random.pick([0, MIB, 3 * MIB, 8 * MIB, 11 * MIB]),
      random.between(HOLD_MS_MIN, HOLD_MS_MAX),
    ),
  bite: didFill,
}

function faultOf(victims: Victims, roomBytes: number, holdMs: number): Fault {
  let disks: BreakingDisks | undefined
  return {
    name: `${roomBytes / MIB} MiB left on ${victims.name}`,
    holdMs,
    async begin(target) {
      const found = await victims.find(target)
      const nodes = found.filter((node) => target.isRunning(node))
      disks = new BreakingDisks({ target, nodes, code: 'NoSpace' })
      await disks.break({ type: 'full', roomBytes })
      return { what: `little room on ${nodes.join(',') || 'no node'}`, done: {} }
    },
    async end(target) {
      if (disks === undefined) return { what: '', done: {} }
      const { nodes } = disks
      const toldFull = await countFull(target, nodes)
      const done = sumOf([{ toldFull }, await disks.mended()])
      return { what: `room again on ${nodes.join(',') || 'no node'}: ${textOf(done)}`, done }
    },
  }
}
