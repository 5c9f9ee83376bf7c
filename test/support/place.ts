/**
 * Where tests put real nodes: ports that are theirs and a directory on a real disk.
 */
import { mkdtempSync, statfsSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { claimPorts } from '../../jepsen-lite/cluster/ports.ts'

/**
 * `count` free ports on loopback, which nobody else gets while this test file runs: tests stop nodes and start them again, and other workers,
 * and runs of jepsen-lite on the same machine, look for ports meanwhile.
 */
export async function freePorts(count: number): Promise<number[]> {
  return [...(await claimPorts(count)).ports]
}

/** The first of `count` such ports in a row. */
export async function freePortRow(count: number): Promise<number> {
  for (;;) {
    const { ports, release } = await claimPorts(1)
    release()
    const row = await claimPorts(count, ports[0]!).catch(() => undefined)
    if (row !== undefined) return row.ports[0]!
  }
}

/** statfs's f_type of file systems in memory: tmpfs and ramfs. */
const MEMORY_FILE_SYSTEMS = [0x01021994, 0x858458f6]

/**
 * A new directory on a real disk. Throws where the temporary folder is in memory: what survives a crash there proves nothing. Set
 * TMPDIR to a folder on a disk then.
 */
export function realDiskFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'meshmq-test-'))
  if (MEMORY_FILE_SYSTEMS.includes(statfsSync(folder).type)) {
    throw new Error(`${folder} is in memory, so nothing about durability can be shown there: set TMPDIR`)
  }
  return folder
}
