/**
 * Where everything of a cluster is: ports, directories, configurations. A node's configuration has its own port as its own address, and the
 * proxies in front of the other nodes as theirs; clients get the proxies of the clients' links.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { CLIENTS, type LinkPlan } from './links.ts'
import { freePorts } from './ports.ts'

export interface NodePlan {
  readonly id: string
  readonly port: number
  /** Its own, not a proxy's: for the harness alone. */
  readonly url: string
  readonly dataDir: string
  readonly config: string
  readonly log: string
  /** Of the file shim; beside the data, since it outlives it. */
  readonly journal: string
}

export interface Layout {
  readonly nodes: readonly NodePlan[]
  readonly links: readonly LinkPlan[]
}

export async function layOut(folder: string, count: number, basePort?: number): Promise<Layout> {
  const ids = Array.from({ length: count }, (_, i) => `n${i + 1}`)
  const ways = ids.flatMap((to) => [CLIENTS, ...ids].filter((from) => from !== to).map((from) => ({ from, to })))
  const ports = await freePorts(ids.length + ways.length, basePort)
  const root = path.resolve(folder)
  const nodes = ids.map((id, i) => ({
    id,
    port: ports[i]!,
    url: urlOf(ports[i]!),
    dataDir: path.join(root, 'data', id),
    config: path.join(root, `${id}.json`),
    log: path.join(root, `${id}.log`),
    journal: path.join(root, 'journal', id),
  }))
  return { nodes, links: ways.map((way, i) => ({ ...way, port: ports[ids.length + i]! })) }
}

/** The addresses that `from` knows: of the others, by way of its proxies. */
export function addressesFrom(from: string, { links }: Layout): Record<string, string> {
  return Object.fromEntries(links.filter((link) => link.from === from).map(({ to, port }) => [to, urlOf(port)]))
}

/** `options` are the users' own; what the layout decides wins over them. */
export function writeConfig(node: NodePlan, layout: Layout, options: Readonly<Record<string, unknown>>): void {
  mkdirSync(path.dirname(node.dataDir), { recursive: true })
  const addresses = { [node.id]: node.url, ...addressesFrom(node.id, layout) }
  // In one order everywhere: the members are a list to the eye.
  const cluster = Object.fromEntries(layout.nodes.map(({ id }) => [id, addresses[id]]))
  const decided = { id: node.id, listen: `127.0.0.1:${node.port}`, dataDir: node.dataDir, cluster }
  writeFileSync(node.config, `${JSON.stringify({ logger: 'info', ...options, ...decided }, null, 2)}\n`)
}

function urlOf(port: number): string {
  return `ws://127.0.0.1:${port}`
}
