/**
 * Nodes in network namespaces of their own, on one bridge, faults by the kernel's packet filter. Nothing stands between two nodes but the kernel's
 * own TCP: what is lost is sent again, and comes late. Linux and root alone.
 */
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { type Layout, nodeFiles } from '../layout.ts'
import { CLIENTS } from '../links.ts'
import type { Network } from '../network.ts'
import { inside } from './commands.ts'
import { NamespaceLinks } from './links.ts'
import { type Place, Wires } from './wires.ts'

/** Each node has all ports of its address for itself. */
const PORT = 7100

export class NamespaceNetwork implements Network {
  readonly layout: Layout
  readonly links: NamespaceLinks
  /** Beyond loopback a node asks everybody who they are. */
  readonly nodeOptions = { secret: randomBytes(16).toString('hex'), tokens: [randomBytes(16).toString('hex')] }
  readonly isOpen = true
  readonly #wires: Wires

  static async open({ folder, nodes }: { readonly folder: string; readonly nodes: number }): Promise<NamespaceNetwork> {
    const ids = Array.from({ length: nodes }, (_, i) => `n${i + 1}`)
    return new NamespaceNetwork(folder, await Wires.lay(ids))
  }

  private constructor(folder: string, wires: Wires) {
    this.#wires = wires
    this.links = new NamespaceLinks(wires)
    this.layout = layOutIn(path.resolve(folder), [...wires.places.values()])
  }

  commandFor(node: string): readonly string[] {
    const place = this.#wires.places.get(node)
    if (place === undefined) throw new Error(`no node ${node}`)
    return inside(place.name)
  }

  nodeEnded(): void {
    // The kernel refuses dials by itself.
  }

  close(): void {
    this.#wires.remove()
  }
}

function layOutIn(root: string, places: readonly Place[]): Layout {
  const nodes = places.map(({ id, address, harnessAddress }) => ({
    ...nodeFiles(root, id),
    port: PORT,
    // Under both addresses.
    listen: `0.0.0.0:${PORT}`,
    ownUrl: `ws://${address}:${PORT}`,
    url: `ws://${harnessAddress}:${PORT}`,
  }))
  const links = places.flatMap(({ id: to, address: host }) =>
    [CLIENTS, ...places.map(({ id }) => id)]
      .filter((from) => from !== to)
      .map((from) => ({ from, to, host, port: PORT })),
  )
  return { nodes, links }
}
