/**
 * Ports on loopback for nodes and proxies: below the range from which systems take the ports of outgoing connections (Linux: from 32768 on).
 * A port of that range that is free while its node is down may be taken by a dial, even by the very dial that looks for the node.
 */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

const PORTS_FROM = 12_000
const PORTS_BELOW = 32_000

/** So many tries for each port before it is said that there are none. */
const TRIES = 50

/**
 * `count` free ports: from `basePort` upwards if it is given, else anywhere, whatever the seed: two runs of one seed may go on at the same time.
 * Rejects when they are not to be had.
 */
export async function freePorts(count: number, basePort?: number): Promise<number[]> {
  if (basePort !== undefined) return portsFrom(basePort, count)
  const ports = new Set<number>()
  for (let tries = 0; ports.size < count; tries++) {
    if (tries === count * TRIES)
      throw new Error(`found no ${count} free ports between ${PORTS_FROM} and ${PORTS_BELOW}`)
    const port = randomInt(PORTS_FROM, PORTS_BELOW)
    if (await isFree(port)) ports.add(port)
  }
  return [...ports]
}

async function portsFrom(basePort: number, count: number): Promise<number[]> {
  const ports = Array.from({ length: count }, (_, i) => basePort + i)
  for (const port of ports) if (!(await isFree(port))) throw new Error(`port ${port} is in use`)
  return ports
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
