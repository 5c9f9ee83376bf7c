/**
 * Where everything of a cluster is: ports, directories, configurations. With proxies, a node's configuration has its own port as its own address,
 * and the proxies in front of the other nodes as theirs; clients get the proxies of the clients' links.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { CLIENTS, type LinkPlan } from './links.ts'
import { claimPorts } from './ports.ts'

export interface NodePlan {
  readonly id: string
  readonly port: number
  readonly listen: string
  /** Its own address, as it knows it. */
  readonly ownUrl: string
  /** For the harness alone: no fault of links touches it. */
  readonly url: string
  readonly dataDir: string
  readonly config: string
  readonly log: string
  /** Of the file shim; beside the data, since it outlives it. */
  readonly journal: string
}

export interface Layout {
  readonly nodes: readonly NodePlan[]
  readonly links: readonly (LinkPlan & { readonly host: string })[]
}

const LOOPBACK = '127.0.0.1'

/** With proxies; `release` when nothing of it runs any more. */
export async function layOut(
  folder: string,
  count: number,
  basePort?: number,
): Promise<{ readonly layout: Layout; readonly release: () => void }> {
  const ids = Array.from({ length: count }, (_, i) => `n${i + 1}`)
  const ways = ids.flatMap((to) => [CLIENTS, ...ids].filter((from) => from !== to).map((from) => ({ from, to })))
  const { ports, release } = await claimPorts(ids.length + ways.length, basePort)
  const root = path.resolve(folder)
  const nodes = ids.map((id, i) => ({
    ...nodeFiles(root, id),
    port: ports[i]!,
    listen: `${LOOPBACK}:${ports[i]!}`,
    ownUrl: urlOf(LOOPBACK, ports[i]!),
    url: urlOf(LOOPBACK, ports[i]!),
  }))
  const links = ways.map((way, i) => ({ ...way, host: LOOPBACK, port: ports[ids.length + i]! }))
  return { layout: { nodes, links }, release }
}

export function nodeFiles(root: string, id: string) {
  return {
    id,
    dataDir: path.join(root, 'data', id),
    config: path.join(root, `${id}.json`),
    log: path.join(root, `${id}.log`),
    journal: path.join(root, 'journal', id),
  }
}

/** The addresses that `from` knows: of the others, by way of its links to them. */
export function addressesFrom(from: string, { links }: Layout): Record<string, string> {
  return Object.fromEntries(
    links.filter((link) => link.from === from).map(({ to, host, port }) => [to, urlOf(host, port)]),
  )
}

/** `options` are the users' own; what the layout decides wins over them. */
export function writeConfig(node: NodePlan, layout: Layout, options: Readonly<Record<string, unknown>>): void {
  mkdirSync(path.dirname(node.dataDir), { recursive: true })
  const addresses = { [node.id]: node.ownUrl, ...addressesFrom(node.id, layout) }
  // In one order everywhere: the members are a list to the eye.
  const cluster = Object.fromEntries(layout.nodes.map(({ id }) => [id, addresses[id]]))
  const decided = { id: node.id, listen: node.listen, dataDir: node.dataDir, cluster }
  writeFileSync(node.config, `${JSON.stringify({ logger: 'info', ...options, ...decided }, null, 2)}\n`)
}

function urlOf(host: string, port: number): string {
  return `ws://${host}:${port}`
}
