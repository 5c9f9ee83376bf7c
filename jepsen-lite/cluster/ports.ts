/**
 * Ports on loopback for nodes and proxies: below the range from which systems take the ports of outgoing connections (Linux: from 32768 on).
 * A port of that range that is free while its node is down may be taken by a dial, even by the very dial that looks for the node.
 *
 * While a node is down its port is free for other runs on this machine, too: what keeps them away is a socket of UDP on the same port, which each
 * run has as long as it goes on.
 */

import { randomInt } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { createServer } from 'node:net'

const HOST = '127.0.0.1'
const PORTS_FROM = 12_000
const PORTS_BELOW = 32_000

/** So many tries for each port before it is said that there are none. */
const TRIES = 50

export interface ClaimedPorts {
  readonly ports: readonly number[]
  /** Others may have them. */
  release(): void
}

/**
 * `count` free ports: from `basePort` upwards if it is given, else anywhere, whatever the seed: two runs of one seed may go on at the same time.
 * Rejects when they are not to be had.
 */
export async function claimPorts(count: number, basePort?: number): Promise<ClaimedPorts> {
  const claims = new Map<number, Socket>()
  const release = () => {
    for (const claim of claims.values()) claim.close()
    claims.clear()
  }
  try {
    if (basePort === undefined) await claimAny(count, claims)
    else await claimFrom(basePort, count, claims)
    return { ports: [...claims.keys()], release }
  } catch (error) {
    release()
    throw error
  }
}

async function claimAny(count: number, claims: Map<number, Socket>): Promise<void> {
  for (let tries = 0; claims.size < count; tries++) {
    if (tries === count * TRIES)
      throw new Error(`found no ${count} free ports between ${PORTS_FROM} and ${PORTS_BELOW}`)
    const port = randomInt(PORTS_FROM, PORTS_BELOW)
    const claim = await claimOf(port)
    if (claim !== undefined) claims.set(port, claim)
  }
}

async function claimFrom(basePort: number, count: number, claims: Map<number, Socket>): Promise<void> {
  for (let port = basePort; port < basePort + count; port++) {
    const claim = await claimOf(port)
    if (claim === undefined) throw new Error(`port ${port} is in use`)
    claims.set(port, claim)
  }
}

/** undefined: somebody has it, or has claimed it. */
async function claimOf(port: number): Promise<Socket | undefined> {
  const claim = createSocket('udp4').unref()
  const isClaimed = await new Promise<boolean>((resolve) => {
    claim.once('error', () => resolve(false))
    claim.bind({ port, address: HOST }, () => resolve(true))
  })
  if (isClaimed && (await isFree(port))) return claim
  claim.close()
  return undefined
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, HOST, () => probe.close(() => resolve(true)))
  })
}
