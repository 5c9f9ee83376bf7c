/** Three `meshmq start` processes of the built package on 127.0.0.1, as an operator would run them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { NodeStatus } from '../node/admin/index.ts'
import { sleep } from './figures.ts'
import type { BenchOptions } from './options.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const NODES = 3
const READY_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 20_000

/** The file behind the package's `bin`. */
export function builtProgram(): string {
  const { bin } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { bin: { meshmq: string } }
  const program = path.join(root, bin.meshmq)
  if (!existsSync(program)) throw new Error(`${bin.meshmq} is missing: run 'npm run build' first`)
  return program
}

export class BenchCluster {
  /** WebSocket URL of each node. */
  readonly urls: readonly string[]
  readonly directory: string
  readonly #options: BenchOptions
  readonly #processes: (ChildProcess | undefined)[] = []

  /** An empty cluster; resolves when all nodes are ready. What a former one left in the directory is removed. */
  static async start(options: BenchOptions): Promise<BenchCluster> {
    const cluster = new BenchCluster(options)
    rmSync(cluster.directory, { recursive: true, force: true })
    mkdirSync(cluster.directory, { recursive: true })
    for (let i = 0; i < NODES; i++) cluster.startNode(i)
    try {
      await cluster.ready()
    } catch (error) {
      await cluster.stop()
      throw error
    }
    return cluster
  }

  private constructor(options: BenchOptions) {
    this.#options = options
    this.directory = path.join(options.directory, 'cluster')
    this.urls = Array.from({ length: NODES }, (_, i) => `ws://127.0.0.1:${options.port + i}`)
  }

  /** Of the nodes that run. */
  get pids(): number[] {
    return this.#processes.flatMap((node) => (node?.pid === undefined ? [] : [node.pid]))
  }

  startNode(i: number): void {
    const id = nodeId(i)
    const log = openSync(path.join(this.directory, `${id}.log`), 'a')
    const profiled = this.#options.profile.includes(id)
    const nodeArgs = profiled ? profileArgs(this.#options, id) : []
    const place = ['--listen', new URL(this.urls[i]!).host, '--data', path.join(this.directory, id)]
    const members = this.urls.map((url, k) => `${nodeId(k)}=${url}`).join(',')
    const child = spawn(
      process.execPath,
      [...nodeArgs, builtProgram(), 'start', '--id', id, ...place, '--cluster', members, '--log-level', 'warn'],
      // The IPC channel ends a node whose benchmark died.
      { stdio: ['ignore', log, log, 'ipc'] },
    )
    closeSync(log)
    this.#processes[i] = child
    child.once('exit', () => {
      if (this.#processes[i] === child) this.#processes[i] = undefined
    })
  }

  /** `kill -9`; resolves when the process is gone. */
  async kill(i: number): Promise<void> {
    const child = this.#processes[i]
    if (child === undefined) throw new Error(`${nodeId(i)} does not run`)
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  /** Resolves when every node serves clients. */
  async ready(): Promise<void> {
    const deadline = performance.now() + READY_TIMEOUT_MS
    for (const [i, url] of this.urls.entries()) {
      for (;;) {
        if (this.#processes[i] === undefined)
          throw new Error(`${nodeId(i)} ended: see ${this.directory}/${nodeId(i)}.log`)
        const response = await fetch(httpUrl(url, '/readyz')).catch(() => undefined)
        if (response?.ok) break
        if (performance.now() > deadline) throw new Error(`${nodeId(i)} is not ready after ${READY_TIMEOUT_MS} ms`)
        await sleep(50)
      }
    }
  }

  /** Undefined while the node does not answer. */
  async status(i: number, options = { stateHash: false }): Promise<NodeStatus | undefined> {
    const where = `/status?stateHash=${Number(options.stateHash)}`
    const response = await fetch(httpUrl(this.urls[i]!, where)).catch(() => undefined)
    return response?.ok ? ((await response.json()) as NodeStatus) : undefined
  }

  /** Number of the node that leads. */
  async leader(): Promise<number> {
    const deadline = performance.now() + READY_TIMEOUT_MS
    while (performance.now() < deadline) {
      for (let i = 0; i < NODES; i++) if ((await this.status(i))?.role === 'leader') return i
      await sleep(50)
    }
    throw new Error('no node leads')
  }

  /** The URL that clients connect to, by --on. */
  async clientUrl(): Promise<string> {
    const leader = await this.leader()
    return this.urls[this.#options.on === 'leader' ? leader : (leader + 1) % NODES]!
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#processes.map(async (child) => {
        if (child === undefined) return
        const gone = once(child, 'exit')
        child.kill('SIGTERM')
        const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
        await gone
        clearTimeout(timer)
      }),
    )
  }
}

export function nodeId(i: number): string {
  return `n${i + 1}`
}

/** A folder for each: the files are named by process id alone. */
export function profileArgs(options: BenchOptions, nodeOrRole: string): string[] {
  return ['--cpu-prof', `--cpu-prof-dir=${path.join(options.directory, 'profiles', nodeOrRole)}`]
}

function httpUrl(url: string, where: string): URL {
  return new URL(where, url.replace(/^ws/, 'http'))
}
