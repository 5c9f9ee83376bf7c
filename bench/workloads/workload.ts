/** What all workloads share: the cluster under test, a client for setting queues up, and how one run is measured. */
import type { Client } from '../../client/index.ts'
import type { BenchCluster } from '../cluster.ts'
import { sleep } from '../figures.ts'
import type { BenchOptions } from '../options.ts'
import { RoleProcess } from '../role-process.ts'
import type { RoleName, Roles } from '../roles/roles.ts'
import { cpuSeconds, diskFlushes, machineTime } from '../system.ts'

/** One row of the results: a workload at one size or kind, and the figures of each of its runs. */
export interface Row {
  readonly name: string
  readonly runs: readonly Readonly<Record<string, number>>[]
  /** What must not happen in a run that counts: duplicates, errors, leftovers, losses. */
  readonly problems: readonly string[]
}

export interface Measured<T> {
  readonly result: T
  /** Of all nodes, from before the run to SETTLING_MS after it. */
  readonly nodeCpuSeconds: number
  /** Share of all cores that was busy during the run. */
  readonly busy: number
  readonly flushes: number
}

/** Followers apply, and the log is synced, for a moment after the last confirmation: that work belongs to the run. */
const SETTLING_MS = 1_500

export class Bench {
  readonly options: BenchOptions
  readonly cluster: BenchCluster
  readonly client: Client
  readonly problems: string[] = []
  readonly #running = new Set<RoleProcess<RoleName>>()
  #names = 0

  constructor(options: BenchOptions, cluster: BenchCluster, client: Client) {
    this.options = options
    this.cluster = cluster
    this.client = client
  }

  /** A topic that no run before used, and as many durable queues that are bound to it. */
  async declareQueues(count: number): Promise<{ topic: string; queues: string[] }> {
    const topic = `bench.run${++this.#names}`
    const queues = Array.from({ length: count }, (_, i) => `${topic}.queue${i + 1}`)
    for (const name of queues) {
      const queue = this.client.queue(name)
      await queue.declare()
      await queue.bind(topic)
    }
    return { topic, queues }
  }

  async deleteQueues(queues: readonly string[]): Promise<void> {
    for (const name of queues) await this.client.queue(name).delete()
  }

  /** Messages that a queue holds, by a majority's word. */
  async messagesIn(queue: string): Promise<number> {
    const { ready, unsettled } = await this.client.queue(queue).stats({ consistent: true })
    return ready + unsettled
  }

  /** Starts a role in a process of its own; resolves when it is connected. */
  async role<K extends RoleName>(name: K, params: Roles[K]['params']): Promise<RoleProcess<K>> {
    const role = new RoleProcess(name, params, this.options)
    this.#running.add(role as unknown as RoleProcess<RoleName>)
    await role.ready()
    return role
  }

  async measure<T>(run: () => Promise<T>): Promise<Measured<T>> {
    const { pids, directory } = this.cluster
    const before = { cpu: cpuSeconds(pids), flushes: diskFlushes(directory), machine: machineTime() }
    const result = await run()
    const machine = machineTime()
    await sleep(SETTLING_MS)
    const idle = machine.idle - before.machine.idle
    return {
      result,
      nodeCpuSeconds: cpuSeconds(pids) - before.cpu,
      busy: 1 - idle / (machine.total - before.machine.total),
      flushes: diskFlushes(directory) - before.flushes,
    }
  }

  problem(text: string): void {
    this.problems.push(text)
  }

  killRoles(): void {
    for (const role of this.#running) role.kill()
  }
}
