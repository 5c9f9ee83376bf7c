/**
 * Small file systems of their own, which a file of ballast fills: ENOSPC as the kernel gives it, for LevelDB's files too. Needs root.
 */
import { open, rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { smallDiskUnavailable } from '../files/small-disk.ts'
import type { Fault, FaultReport, FaultTarget, Nemesis } from '../nemesis.ts'
import { sumOf, textOf } from './figures.ts'
import { smallFiles } from './full-disk.ts'
import { BreakingDisks, countFull, didFill } from './own-end.ts'
import { drawVictims, type Victims } from './victims.ts'

const MIB = 1024 * 1024
const DISK_BYTES = 96 * MIB
const HOLD_MS_MIN = 2_000
const HOLD_MS_MAX = 8_000
const BALLAST = 'ballast'
const LAST_END_MS = 2_000

export const smallDisk: Nemesis = {
  name: 'small-disk',
  about: 'fill the small file systems that nodes were given (root): publishes are refused, or the node stops itself',
  // The shim does nothing there but to see which writes the system refused.
  launch: { smallDisk: DISK_BYTES, shim: true, nodeOptions: smallFiles },
  unavailable: async () => smallDiskUnavailable(),
  draw: (random, nodes) =>
    faultOf(
      drawVictims(random, nodes),
      random.pick([0, 0, MIB, 6 * MIB, 11 * MIB]),
      random.between(HOLD_MS_MIN, HOLD_MS_MAX),
    ),
  bite: didFill,
}

function faultOf(victims: Victims, roomBytes: number, holdMs: number): Fault {
  let disks: BreakingDisks | undefined
  return {
    name: `${roomBytes / MIB} MiB left on the small disk of ${victims.name}`,
    holdMs,
    async begin(target) {
      const nodes = await victims.find(target)
      const hit = new BreakingDisks({ target, nodes, code: 'NoSpace', isLasting: true })
      disks = hit
      await hit.break({ type: 'watch' })
      const bytes = await Promise.all(hit.nodes.map((node) => fill(ballastOf(target, node), roomBytes)))
      const ballastBytes = bytes.reduce((sum, each) => sum + each, 0)
      return { what: `${Math.round(ballastBytes / MIB)} MiB of ballast on ${hit.nodes}`, done: { ballastBytes } }
    },
    async end(target): Promise<FaultReport> {
      if (disks === undefined) return { what: '', done: {} }
      const { nodes } = disks
      const toldFull = await countFull(target, nodes)
      await Promise.all(nodes.map((node) => rm(ballastOf(target, node), { force: true })))
      // One whose last write has just failed is about to end.
      await sleep(LAST_END_MS)
      const done = sumOf([{ toldFull }, await disks.mended()])
      return { what: `room again on ${nodes}: ${textOf(done)}`, done }
    },
  }
}

function ballastOf(target: FaultTarget, node: string): string {
  return path.join(target.dataDir(node), BALLAST)
}

/** Writes until so much is left; gives how much it wrote. */
async function fill(file: string, roomBytes: number): Promise<number> {
  const handle = await open(file, 'w')
  const chunk = Buffer.alloc(MIB, 1)
  let written = 0
  try {
    for (;;) written += (await handle.write(chunk)).bytesWritten
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    written = Math.max(0, written - roomBytes)
    await handle.truncate(written)
  } finally {
    await handle.close()
  }
  return written
}
