/** Nodes on loopback, a proxy on every way between them and their clients (links.ts). It needs no rights, and runs everywhere. */
import type { Random } from '../random.ts'
import { type Layout, layOut } from './layout.ts'
import { ClusterLinks } from './links.ts'
import type { Network } from './network.ts'
import { Target } from './target.ts'

export interface ProxyNetworkOptions {
  readonly folder: string
  readonly nodes: number
  readonly basePort?: number
  readonly random: Random
}

export class ProxyNetwork implements Network {
  readonly layout: Layout
  readonly links: ClusterLinks
  readonly nodeOptions = {}
  readonly #releasePorts: () => void
  readonly #targets: ReadonlyMap<string, Target>

  static async open({ folder, nodes, basePort, random }: ProxyNetworkOptions): Promise<ProxyNetwork> {
    const { layout, release } = await layOut(folder, nodes, basePort)
    return new ProxyNetwork(layout, release, random)
  }

  private constructor(layout: Layout, releasePorts: () => void, random: Random) {
    this.layout = layout
    this.#releasePorts = releasePorts
    this.#targets = new Map(layout.nodes.map(({ id, port }) => [id, new Target(port)]))
    this.links = new ClusterLinks(layout.links, this.#targets, random)
  }

  get isOpen(): boolean {
    return this.links.silentPorts.length === 0
  }

  commandFor(): readonly string[] {
    return []
  }

  nodeEnded(node: string): void {
    void this.#targets.get(node)?.check()
  }

  close(): void {
    this.links.close()
    for (const target of this.#targets.values()) target.close()
    this.#releasePorts()
  }
}
