/**
 * A cluster of real processes: each node is `meshmq start` of the packed package, on a port and a directory of its own, to be
 * killed like any process. Nothing in here reaches into a node: what it tells comes over its socket.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { NodeOptions } from '../../node/config.ts'
import { agreedLeader, agreedState, isReady } from '../support/admin.ts'
import { eventually } from '../support/eventually.ts'
import { freePorts, realDiskFolder } from '../support/place.ts'
import { packedBin } from './packed.ts'

/** Options of every node beside what the cluster decides. */
export type SharedOptions = Omit<NodeOptions, 'id' | 'listen' | 'dataDir' | 'cluster'>

/** Of the end of a node's output, for a failure's report. */
const OUTPUT_BYTES_MAX = 64 * 1024
const READY_MS = 30_000
/** A graceful stop that takes longer hangs. */
const STOP_MS_MAX = 15_000

export class NodeProcess {
  readonly id: string
  readonly url: string
  readonly #config: string
  #child: ChildProcess | undefined
  #output = ''
  /** What was not asked for: an end of the process that no test brought about. */
  #surprise: string | undefined

  constructor(id: string, url: string, config: string) {
    this.id = id
    this.url = url
    this.#config = config
  }

  get output(): string {
    return this.#output
  }

  get surprise(): string | undefined {
    return this.#surprise
  }

  get running(): boolean {
    return this.#child !== undefined
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error(`${this.id} does not run`)
    return this.#child.pid
  }

  start(): void {
    if (this.#child !== undefined) throw new Error(`${this.id} runs already`)
    const args = [packedBin(), 'start', '--config', this.#config]
    // By the channel a node hears that its parent is gone: no test that was ended from outside leaves one behind.
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) {
      stream!.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_BYTES_MAX)
      })
    }
    child.once('exit', (code, signal) => {
      // `kill` and `stop` let go of the child before they end it.
      if (this.#child === child) this.#surprise = `${this.id} ended by itself: ${signal ?? `exit code ${code}`}`
    })
  }

  /** SIGKILL. Resolves when the process is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** SIGTERM. Resolves with the exit code, or with null if the process had to be killed. */
  stop(): Promise<number | null> {
    return this.#end('SIGTERM')
  }

  /** The process keeps its sockets and does nothing: what it is sent waits for it. */
  freeze(): void {
    process.kill(this.pid, 'SIGSTOP')
  }

  thaw(): void {
    process.kill(this.pid, 'SIGCONT')
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#child
    if (child === undefined) return null
    this.#child = undefined
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
    const exit = once(child, 'exit')
    child.kill(signal)
    const tooLate = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
    const [code] = (await exit) as [number | null]
    clearTimeout(tooLate)
    return code
  }
}

export class ProcessCluster {
  readonly nodes: readonly NodeProcess[]
  readonly #folder: string

  /** Resolves when all nodes are ready. */
  static async start(options: SharedOptions = {}, count = 3): Promise<ProcessCluster> {
    const cluster = new ProcessCluster(realDiskFolder(), await freePorts(count), options)
    for (const node of cluster.nodes) node.start()
    await cluster.ready()
    return cluster
  }

  private constructor(folder: string, ports: readonly number[], options: SharedOptions) {
    this.#folder = folder
    const members = ports.map((port, i) => [`n${i + 1}`, `ws://127.0.0.1:${port}`] as const)
    this.nodes = members.map(([id, url]) => {
      const config = path.join(folder, `${id}.json`)
      const own = {
        id,
        listen: new URL(url).host,
        dataDir: path.join(folder, id),
        cluster: Object.fromEntries(members),
      }
      writeFileSync(config, JSON.stringify({ logger: 'info', ...options, ...own }))
      return new NodeProcess(id, url, config)
    })
  }

  get urls(): string[] {
    return this.nodes.map(({ url }) => url)
  }

  get running(): NodeProcess[] {
    return this.nodes.filter((node) => node.running)
  }

  node(id: string): NodeProcess {
    const found = this.nodes.find((node) => node.id === id)
    if (found === undefined) throw new Error(`no node ${id}`)
    return found
  }

  /** Resolves when every node that runs is ready. */
  async ready(): Promise<void> {
    const what = `${this.running.map(({ id }) => id).join(', ')} are ready`
    const isSettled = async () => {
      if (this.nodes.some(({ surprise }) => surprise !== undefined)) return true
      return (await Promise.all(this.running.map(({ url }) => isReady(url)))).every(Boolean)
    }
    await eventually(isSettled, { withinMs: READY_MS, what })
    this.#throwSurprise()
  }

  /** The node that all running ones follow. */
  async leader(): Promise<NodeProcess> {
    return this.node(await agreedLeader(this.running.map(({ url }) => url)))
  }

  /** The state hash that all running nodes share once they are quiet. */
  agreedState(): Promise<string> {
    return agreedState(this.running.map(({ url }) => url))
  }

  report(): string {
    return this.nodes.map(({ id, output }) => `--- ${id}\n${output}`).join('\n')
  }

  /** Ends all nodes and removes their data. Rejects if one ended by itself before, or does not stop in good order. */
  async stop(): Promise<void> {
    try {
      // A test that failed may have left some frozen; to all others it means nothing.
      for (const node of this.running) node.thaw()
      const codes = await Promise.all(this.nodes.map((node) => (node.running ? node.stop() : 0)))
      this.#throwSurprise()
      const bad = this.nodes.filter((_, i) => codes[i] !== 0).map(({ id }) => id)
      if (bad.length > 0) throw new Error(`${bad.join(', ')} did not stop in good order (${codes})\n${this.report()}`)
    } finally {
      for (const node of this.nodes) await node.kill()
      rmSync(this.#folder, { recursive: true, force: true })
    }
  }

  #throwSurprise(): void {
    const surprises = this.nodes.map(({ surprise }) => surprise).filter((each) => each !== undefined)
    if (surprises.length > 0) throw new Error(`${surprises.join('; ')}\n${this.report()}`)
  }
}
