/**
 * What joins the nodes of a cluster with each other and with their clients: proxies on loopback (proxy-network.ts), or network namespaces
 * (namespaces/network.ts). A cluster asks it where everything is, and to be rid of it at the end.
 */
import type { Links } from '../nemesis.ts'
import type { Layout } from './layout.ts'

export interface Network {
  readonly layout: Layout
  readonly links: NetworkLinks
  /** Settings that nodes need there. Those of nemeses and users go before them. */
  readonly nodeOptions: Readonly<Record<string, unknown>>
  /** Whether every way leads to its node: at the start, when all of them listen. */
  readonly isOpen: boolean
  /** The command that runs a node's own in its place; empty where it needs none. It must become the node's process, not its parent. */
  commandFor(node: string): readonly string[]
  /** Its process is gone. */
  nodeEnded(node: string): void
  /** Takes all of it away, at once: it is called when the process ends. */
  close(): void
}

export interface NetworkLinks extends Links {
  readonly socketsReset: number
  /** Takes all impairments away; who began them learns what they did all the same. */
  heal(): void | Promise<void>
}
