/**
 * A cluster of real node processes, with a network that can be broken between them and their clients: what faults are done to, and what tells
 * afterwards what they did. It knows the nodes from outside alone: the CLI, HTTP and signals.
 */
import { performance } from 'node:perf_hooks'
import type { EndFileFault, ExpectedEnd, FaultTarget, FileFault, LaunchNeeds, OwnEndings, Totals } from '../nemesis.ts'
import type { Random } from '../random.ts'
import { Admin } from './admin.ts'
import { type Agreement, agreement } from './agreement.ts'
import { type CommandResult, runCommand } from './command.ts'
import { requireRealDisk } from './disk-check.ts'
import { NodeLaunch } from './launch.ts'
import { addressesFrom, type NodePlan, writeConfig } from './layout.ts'
import { CLIENTS } from './links.ts'
import { NamespaceNetwork } from './namespaces/network.ts'
import type { Network, NetworkLinks } from './network.ts'
import type { NetworkKind } from './networks.ts'
import { NodeProcess, type Wrong } from './node-process.ts'
import { Observer, type Sample, type Word } from './observer.ts'
import { ProxyNetwork } from './proxy-network.ts'
import { Wounds } from './wounds.ts'

export interface ClusterOptions {
  readonly nodes: number
  /** For everything that the run leaves behind; data is in `data/n1`, what a node said in `n1.log`. */
  readonly folder: string
  /** The CLI's JavaScript file. */
  readonly bin: string
  /** Default: proxies. */
  readonly network?: NetworkKind['name']
  /** With proxies, the first of the ports, the others follow it. Default: any free ones. */
  readonly basePort?: number
  readonly launch?: LaunchNeeds
  /** Users' own settings, merged into the configuration of each node. */
  readonly nodeOptions?: Readonly<Record<string, unknown>>
  readonly random: Random
}

/** A node that ended though no fault asked it to, or went on though it had to end. */
export interface Crash {
  readonly type: Wrong
  readonly node: string
  readonly ending: string
  /** The end of what it said. */
  readonly output: string
}

/** For the first start: everything is new. */
const START_MS = 60_000

/** Between two looks at something that is waited for, milliseconds. */
const LOOK_AGAIN_MS = 50
const ANSWER_MS = 1_000
/** For an answer with the state's hash. */
const HASH_MS = 10_000

interface Member extends NodePlan {
  readonly launch: NodeLaunch
  readonly process: NodeProcess
  readonly admin: Admin
}

export class Cluster implements FaultTarget {
  readonly nodes: readonly string[]
  readonly links: NetworkLinks
  /** By way of the clients' links. */
  readonly clientUrls: readonly string[]
  readonly folder: string
  /** Ends a worker process of the run; resolves with how many processes of the history that were. Set by whoever has workers. */
  onWorkerKill: (random: number) => Promise<number> = async () => 0
  readonly #network: Network
  readonly #bin: string
  readonly #token: string | undefined
  readonly #members: ReadonlyMap<string, Member>
  readonly #observer: Observer
  readonly #wounds: Wounds
  readonly #crashes: Crash[] = []
  /** Nodes end when their parent is gone, but not those that are paused. */
  readonly #atExit = () => this.close()
  readonly #counts = { kills: 0, stops: 0, starts: 0, pauses: 0 }

  /** Resolves when all nodes are ready. Rejects when they do not get that far; nothing of them is left then but the folder. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    requireRealDisk(options.folder)
    const network = await openNetwork(options)
    let cluster: Cluster | undefined
    try {
      cluster = new Cluster(options, network)
      await cluster.#begin()
      return cluster
    } catch (error) {
      const failed = cluster ?? network
      failed.close()
      throw error
    }
  }

  private constructor(options: ClusterOptions, network: Network) {
    const { bin, folder, launch: needs = {}, random } = options
    const { layout, links } = network
    const nodeOptions = { ...network.nodeOptions, ...needs.nodeOptions, ...options.nodeOptions }
    this.#network = network
    this.links = links
    this.#bin = bin
    this.#token = tokenOf(nodeOptions)
    this.folder = folder
    this.nodes = layout.nodes.map(({ id }) => id)
    this.clientUrls = Object.values(addressesFrom(CLIENTS, layout))
    this.#wounds = new Wounds(this.nodes.length)
    const members = layout.nodes.map((plan): Member => {
      writeConfig(plan, layout, nodeOptions)
      const launch = new NodeLaunch(plan, needs, random.fork(`files of ${plan.id}`))
      const process = new NodeProcess({
        ...plan,
        bin,
        nodeArgs: launch.nodeArgs,
        env: launch.env,
        runBy: network.commandFor(plan.id),
        onStart: () => launch.starting(),
        onWrong: (type, ending, output) => this.#crashes.push({ type, node: plan.id, ending, output }),
        onExit: () => network.nodeEnded(plan.id),
      })
      return { ...plan, launch, process, admin: new Admin(plan.url, this.#token) }
    })
    this.#members = new Map(members.map((member) => [member.id, member]))
    const watched = members.map(({ id, admin, process }) => ({
      id,
      admin,
      get running() {
        return process.running
      },
      get paused() {
        return process.paused
      },
    }))
    this.#observer = new Observer(watched, (word) => this.#hear(word))
  }

  /** For `connect`. */
  get connectOptions(): { readonly servers: readonly string[]; readonly token?: string } {
    return { servers: this.clientUrls, ...(this.#token !== undefined && { token: this.#token }) }
  }

  get crashes(): readonly Crash[] {
    return this.#crashes
  }

  /** What was counted since the start. */
  evidence(): Totals {
    const { bytesDropped, bytesDelayed, socketsReset } = this.links
    return { ...this.#counts, elections: this.#observer.elections, bytesDropped, bytesDelayed, socketsReset }
  }

  /** Calls back some five times a second; returns how to end that. */
  watch(callback: (sample: Sample) => void): () => void {
    return this.#observer.watch(callback)
  }

  leader(): Promise<string | undefined> {
    return this.#observer.leader()
  }

  isRunning(node: string): boolean {
    return this.#member(node).process.running
  }

  async kill(node: string): Promise<boolean> {
    const ran = await this.#member(node).process.kill()
    if (ran) this.#counts.kills++
    return ran
  }

  async cutPower(node: string): Promise<Totals | undefined> {
    const { launch } = this.#member(node)
    if (!launch.hasShim) return undefined
    return this.whileDown(node, async () => launch.rollBack())
  }

  async whileDown<T>(node: string, work: () => Promise<T>): Promise<T> {
    return this.#member(node).process.whileDown((ran) => {
      if (ran) this.#counts.kills++
      return work()
    })
  }

  expectEnd(node: string, endings: OwnEndings): ExpectedEnd {
    return this.#member(node).process.expectEnd(endings)
  }

  mustEnd(node: string): Promise<void> {
    return this.#member(node).process.mustEnd()
  }

  async start(node: string): Promise<void> {
    if (await this.#member(node).process.start()) this.#counts.starts++
  }

  async stop(node: string): Promise<void> {
    if (await this.#member(node).process.stop()) this.#counts.stops++
  }

  pause(node: string): void {
    const { process } = this.#member(node)
    if (process.running) this.#counts.pauses++
    process.pause()
  }

  resume(node: string): void {
    this.#member(node).process.resume()
  }

  async ready(node: string, withinMs: number): Promise<boolean> {
    const { admin } = this.#member(node)
    return eventually(withinMs, () => admin.isReady(ANSWER_MS))
  }

  /** Asks the leader first, since whoever is asked else leads to it through the clients' links. */
  async cli(args: readonly string[]): Promise<CommandResult> {
    const leader = await this.leader()
    const awake = [...this.#members.values()].filter(({ process }) => process.running && !process.paused)
    const servers = awake.sort((a, b) => Number(b.id === leader) - Number(a.id === leader)).map(({ url }) => url)
    return runCommand(this.#bin, args, {
      MESHMQ_SERVERS: servers.join(','),
      ...(this.#token !== undefined && { MESHMQ_TOKEN: this.#token }),
    })
  }

  dataDir(node: string): string {
    return this.#member(node).dataDir
  }

  wound(node: string): boolean {
    return this.#wounds.wound(node)
  }

  healed(node: string): void {
    this.#wounds.mended(node, performance.now())
  }

  breakFiles(node: string, fault: FileFault): Promise<EndFileFault> {
    const { launch, process } = this.#member(node)
    return launch.breakFiles(process.child, fault)
  }

  metric(node: string, name: string): Promise<number | undefined> {
    return this.#member(node).admin.metric(name, ANSWER_MS)
  }

  timeOf(node: string): Promise<number | undefined> {
    return this.#member(node).admin.time(ANSWER_MS)
  }

  async clock(node: string, offsetMs: number, rate: number): Promise<void> {
    this.#member(node).launch.setClock(offsetMs, rate)
  }

  killWorker(random: number): Promise<number> {
    return this.onWorkerKill(random)
  }

  /** Everything as it should be: links clean, nodes awake, started and ready. Resolves with what is not so after `withinMs`. */
  async heal(withinMs: number): Promise<string | undefined> {
    await this.links.heal()
    for (const { launch, process } of this.#members.values()) {
      while (process.paused) process.resume()
      await launch.heal(process.child)
    }
    await Promise.all(this.nodes.map((node) => this.start(node)))
    const ready = await Promise.all([...this.#members.values()].map((member) => readyUnlessEnded(member, withinMs)))
    const late = this.nodes.filter((_, i) => !ready[i])
    return late.length === 0 ? undefined : `ended, or not ready within ${withinMs} ms: ${late.join(', ')}`
  }

  /** Whether all nodes come to hold the same state, while nobody changes it. One that has ended never will. */
  agree(withinMs: number): Promise<Agreement> {
    const ask = async () => {
      const entries = [...this.#members.values()].map(
        async ({ id, admin }) => [id, await admin.status(HASH_MS, { stateHash: true })] as const,
      )
      return new Map(await Promise.all(entries))
    }
    const hasOneEnded = () => [...this.#members.values()].some(({ process }) => !process.running)
    return agreement(ask, withinMs, hasOneEnded)
  }

  /** Ends all nodes, in good order where they can. */
  async shutDown(): Promise<void> {
    this.#observer.stop()
    await this.links.heal()
    for (const { process } of this.#members.values()) while (process.paused) process.resume()
    await Promise.all(this.nodes.map((node) => this.stop(node)))
    this.close()
    await Promise.all([...this.#members.values()].map(({ launch }) => launch.close()))
  }

  /** Ends all nodes at once. */
  close(): void {
    process.off('exit', this.#atExit)
    this.#observer.stop()
    for (const { launch, process } of this.#members.values()) {
      process.abandon()
      void launch.close()
    }
    this.#network.close()
  }

  async #begin(): Promise<void> {
    process.once('exit', this.#atExit)
    for (const { launch } of this.#members.values()) await launch.prepare()
    await Promise.all(this.nodes.map((node) => this.start(node)))
    const ready = await eventually(START_MS, async () => {
      if (this.#crashes.length > 0) return true
      const words = await Promise.all([...this.#members.values()].map(({ admin }) => admin.isReady(ANSWER_MS)))
      return words.every(Boolean) && this.#network.isOpen
    })
    const [crash] = this.#crashes
    if (crash !== undefined) throw new Error(`${crash.node} ${crash.ending}\n${crash.output}`)
    if (!ready) throw new Error(`the cluster is not ready within ${START_MS} ms\n${this.#tails()}`)
    this.#observer.start()
  }

  #tails(): string {
    return [...this.#members.values()].map(({ process }) => process.tail()).join('\n')
  }

  #hear({ id, askedAtMs, isReady, status }: Word): void {
    const isWhole = isReady && status?.doubt === 0 && status.missingBodies === 0 && status.member === 'voter'
    if (isWhole) this.#wounds.whole(id, askedAtMs)
  }

  #member(node: string): Member {
    const member = this.#members.get(node)
    if (member === undefined) throw new Error(`no node ${node}`)
    return member
  }
}

function openNetwork({ network, folder, nodes, basePort, random }: ClusterOptions): Promise<Network> {
  if (network === 'namespaces') return NamespaceNetwork.open({ folder, nodes })
  const place = { folder, nodes, random: random.fork('links') }
  return ProxyNetwork.open(basePort === undefined ? place : { ...place, basePort })
}

/** Does not wait for a node that nobody starts any more. */
async function readyUnlessEnded({ admin, process }: Member, withinMs: number): Promise<boolean> {
  let isReady = false
  await eventually(withinMs, async () => {
    isReady = await admin.isReady(ANSWER_MS)
    return isReady || !process.running
  })
  return isReady
}

/** The first of the tokens that clients have to show, if there are any. */
function tokenOf({ tokens }: Readonly<Record<string, unknown>>): string | undefined {
  const [token] = Array.isArray(tokens) ? tokens : []
  return typeof token === 'string' ? token : undefined
}

async function eventually(withinMs: number, look: () => Promise<boolean>): Promise<boolean> {
  const deadlineMs = performance.now() + withinMs
  for (;;) {
    if (await look()) return true
    if (performance.now() >= deadlineMs) return false
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS))
  }
}
