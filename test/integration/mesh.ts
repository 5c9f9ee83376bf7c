/**
 * Real nodes on loopback in this process, and clients of them. Clients end with their test; so does a mesh that is handed to
 * `closeAfterTest`, others with their file.
 */
import { rmSync } from 'node:fs'
import path from 'node:path'
import { afterEach } from 'vitest'
import { type Client, type ConnectOptions, connect } from '../../client/index.ts'
import { type MeshNode, type NodeOptions, startNode } from '../../node/index.ts'
import { agreedLeader, agreedState } from '../support/admin.ts'
import { freePorts, realDiskFolder } from '../support/place.ts'

/** Options of every node, or of single ones, beside what the mesh decides. */
export type MeshNodeOptions = Omit<NodeOptions, 'id' | 'listen' | 'dataDir' | 'cluster'>

const open: { close(): Promise<void> }[] = []

afterEach(async () => {
  // The youngest first: clients before the nodes that serve them.
  for (const each of open.splice(0).reverse()) await each.close()
})

export function closeAfterTest<T extends { close(): Promise<void> }>(opened: T): T {
  open.push(opened)
  return opened
}

export class TestMesh {
  readonly ids: readonly string[]
  readonly #folder = realDiskFolder()
  readonly #members: Readonly<Record<string, string>>
  readonly #options: MeshNodeOptions
  readonly #nodes = new Map<string, MeshNode>()

  private constructor(members: Readonly<Record<string, string>>, options: MeshNodeOptions) {
    this.#members = members
    this.ids = Object.keys(members)
    this.#options = options
  }

  /** A mesh whose nodes are not started yet. */
  static async prepare(options: MeshNodeOptions = {}, count = 3): Promise<TestMesh> {
    const ports = await freePorts(count)
    const members = Object.fromEntries(ports.map((port, i) => [`n${i + 1}`, `ws://127.0.0.1:${port}`]))
    return new TestMesh(members, { logger: false, ...options })
  }

  /** All nodes of it run and are ready. */
  static async start(options: MeshNodeOptions = {}, count = 3): Promise<TestMesh> {
    const mesh = await TestMesh.prepare(options, count)
    await Promise.all(mesh.ids.map((id) => mesh.startNode(id)))
    await mesh.ready()
    return mesh
  }

  /** As many founded a cluster as are to be members, and then have the addresses of the others, which do not run. */
  static async startWithSpares(options: MeshNodeOptions, members: number, spares: number): Promise<TestMesh> {
    const mesh = await TestMesh.prepare(options, members + spares)
    const founders = mesh.ids.slice(0, members)
    const cluster = Object.fromEntries(founders.map((id) => [id, mesh.url(id)]))
    await Promise.all(founders.map((id) => mesh.startNode(id, { cluster })))
    await mesh.ready()
    for (const id of founders) {
      await mesh.stopNode(id)
      await mesh.startNode(id)
      await mesh.ready()
    }
    return mesh
  }

  /** Resolves when all nodes that run are ready. */
  async ready(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map((node) => node.ready()))
  }

  /** All members, or those that run. */
  get urls(): string[] {
    return Object.values(this.#members)
  }

  get runningUrls(): string[] {
    return [...this.#nodes.keys()].map((id) => this.url(id))
  }

  url(id: string): string {
    return this.#members[id]!
  }

  node(id: string): MeshNode {
    const node = this.#nodes.get(id)
    if (node === undefined) throw new Error(`${id} does not run`)
    return node
  }

  dataDir(id: string): string {
    return path.join(this.#folder, id)
  }

  /** Starts a node, or starts it again with what is in its directory. */
  async startNode(id: string, options: Partial<NodeOptions> = {}): Promise<MeshNode> {
    const place = { id, listen: new URL(this.url(id)).host, dataDir: this.dataDir(id), cluster: this.#members }
    const node = await startNode({ ...this.#options, ...place, ...options })
    this.#nodes.set(id, node)
    return node
  }

  async stopNode(id: string): Promise<void> {
    const node = this.node(id)
    this.#nodes.delete(id)
    await node.stop()
  }

  /** The id of the node that all running ones follow. */
  leader(): Promise<string> {
    return agreedLeader(this.runningUrls)
  }

  /** A client of this node alone. */
  client(id: string, options: Partial<ConnectOptions> = {}): Promise<Client> {
    return this.clientOf([this.url(id)], options)
  }

  /** A client that tries these servers in turn; of all nodes by default. */
  async clientOf(servers: string[] = this.urls, options: Partial<ConnectOptions> = {}): Promise<Client> {
    return closeAfterTest(await connect({ servers, ...options }))
  }

  agreedState(): Promise<string> {
    return agreedState(this.runningUrls)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map((node) => node.stop()))
    this.#nodes.clear()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
