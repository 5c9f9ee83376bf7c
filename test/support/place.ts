/**
 * Where tests put real nodes: ports that nobody uses and a directory on a real disk.
 */
import { mkdtempSync, statfsSync } from 'node:fs'
import { createServer } from 'node:net'
import os from 'node:os'
import path from 'node:path'

/**
 * Below the range from which systems take the ports of outgoing connections (Linux: from 32768 on). A port of that range
 * that is free while its node is down may be taken by a dial, even by the very dial that looks for the node.
 */
const PORTS_FROM = 12_000
const PORTS_BELOW = 32_000

/** `count` free ports on loopback. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = PORTS_FROM + Math.floor(Math.random() * (PORTS_BELOW - PORTS_FROM))
    if (await isFree(port)) ports.add(port)
  }
  return [...ports]
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
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
