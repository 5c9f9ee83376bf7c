/**
 * One seed, one run: a cluster is drawn, troubled, healed and judged.
 *
 * Never: anything that is not a function of the seed, but for the duration that the caller may measure.
 */
import type { NodeId } from '../../raft/index.ts'
import { Random } from '../support/random.ts'
import { Finale } from './finale.ts'
import { Nemesis } from './nemesis.ts'
import { fairWeather, Network } from './network.ts'
import { SimulatedNode, type World } from './node.ts'
import { Oracle } from './oracle.ts'
import { Scheduler } from './scheduler.ts'
import { drawSwarm, fastDisk, type Swarm } from './swarm.ts'
import { Trace } from './trace.ts'
import { Violation } from './violation.ts'
import { Workload } from './workload.ts'

/** What a run did, to be summed over many: a simulation in which little happens proves little. */
export interface RunCounts {
  elections: number
  commits: number
  acknowledged: number
  reads: number
  crashes: number
  stops: number
  diskFailures: number
  bytesLost: number
  entriesLost: number
  messagesSent: number
  messagesDropped: number
  partitions: number
  pauses: number
  wipes: number
  checkpoints: number
  installs: number
  steps: number
  simulatedMs: number
}

export interface Failure {
  readonly invariant: string
  readonly message: string
  readonly trace: readonly string[]
}

export interface RunResult {
  readonly seed: number
  readonly traceHash: string
  readonly counts: RunCounts
  /** From the end of all faults until all was well. */
  readonly healedMs: number
  readonly failure: Failure | undefined
}

export interface RunOptions {
  /** Gets every line of the trace. */
  readonly print?: (line: string) => void
}

/** After all faults have ended, a cluster must be whole again within this time. */
const healedWithinMs = 10_000
/** An undisturbed cluster is founded within this time. */
const foundedWithinMs = 5000
/** Commands proposed after the faults, all of which must be acknowledged. */
const healingCommands = 5
const traceLinesOfFailure = 60

export async function runSeed(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const run = new Run(seed, options)
  return run.execute()
}

class Run {
  readonly #seed: number
  readonly #swarm: Swarm
  readonly #scheduler = new Scheduler()
  readonly #trace: Trace
  readonly #network: Network
  readonly #oracle: Oracle
  readonly #nodes: readonly SimulatedNode[]
  readonly #nemesis: Nemesis
  readonly #workload: Workload
  readonly #random: Random
  #healedMs = 0
  /** The term in which the healed cluster was given its commands. */
  #proposedInTerm = 0
  /** The first thing that broke. */
  #error: { readonly error: unknown } | undefined

  constructor(seed: number, options: RunOptions) {
    const random = new Random(seed)
    this.#seed = seed
    this.#swarm = drawSwarm(random.fork())
    this.#random = random
    const { print } = options
    if (print !== undefined) print(JSON.stringify(this.#swarm))
    this.#trace = new Trace(() => this.#scheduler.now(), print)
    const ids: NodeId[] = Array.from({ length: this.#swarm.nodes }, (_, i) => `n${i + 1}`)
    this.#network = new Network(this.#scheduler, random.fork(), this.#trace, ids)
    this.#oracle = new Oracle(ids)
    const fail = (error: unknown) => {
      this.#error ??= { error }
    }
    const world: World = {
      ids,
      swarm: this.#swarm,
      scheduler: this.#scheduler,
      network: this.#network,
      oracle: this.#oracle,
      trace: this.#trace,
      onMoment: (node, moment) => this.#nemesis.strike(node, moment),
      checkpointOf: (id) => {
        const node = this.#nodes.find((each) => each.id === id)
        return node?.isUp === true ? node.store.current : undefined
      },
      onAcknowledged: (command, index) => this.#workload.acknowledged.set(command, index),
      onDiskFailure: (node) => this.#nemesis.replace(node),
      onFailure: fail,
    }
    this.#nodes = ids.map((id) => new SimulatedNode(id, world, random.fork()))
    const { swarm, scheduler, network, trace, nodes } = { ...world, nodes: this.#nodes }
    this.#nemesis = new Nemesis({ swarm, scheduler, network, trace, random: random.fork(), nodes, onFailure: fail })
    this.#workload = new Workload(scheduler, random.fork(), swarm, nodes, fail)
  }

  async execute(): Promise<RunResult> {
    try {
      await this.#trouble()
      await this.#heal()
      await new Finale({
        kind: this.#swarm.finale,
        members: this.#nodes.length,
        nodes: this.#healthy(),
        network: this.#network,
        trace: this.#trace,
        random: this.#random,
        run: (ms, until) => this.#advance(ms, until),
      }).play()
      this.#judge()
    } catch (error) {
      this.#error ??= { error }
    }
    return {
      seed: this.#seed,
      traceHash: this.#trace.hash,
      counts: this.#counts(),
      healedMs: this.#healedMs,
      failure: this.#error && this.#explain(this.#error.error),
    }
  }

  async #trouble(): Promise<void> {
    for (const node of this.#nodes) this.#scheduler.after(this.#random.between(0, 300), () => node.start())
    this.#workload.start()
    if (this.#swarm.foundedInPeace) {
      await this.#advance(foundedWithinMs, () => this.#nodes.some((node) => node.role?.established === true))
    }
    this.#nemesis.start()
    await this.#advance(this.#swarm.faultMs)
  }

  /** All faults end and all processes run: the cluster must recover by itself and do its work. */
  async #heal(): Promise<void> {
    this.#trace.note('heal', '')
    this.#nemesis.stop()
    this.#workload.stop()
    this.#network.weather = fairWeather
    for (const node of this.#nodes) {
      node.disk.pace = fastDisk
      // Its process is about to end because of that; what comes back finds a disk that works.
      if (node.disk.isFailing) node.crash()
      node.start()
    }
    const began = this.#scheduler.now()
    const wanted = new Set<number>()
    await this.#advance(healedWithinMs, () => {
      this.#proposeInTerm(wanted)
      return wanted.size > 0 && this.#isWhole(wanted)
    })
    this.#healedMs = this.#scheduler.now() - began
    if (wanted.size === 0 || !this.#isWhole(wanted)) this.#reportUnhealed(wanted)
  }

  /**
   * Proposes to the leader on whom all agree. Should it resign, because it noticed only now that it had been cut off, its
   * commands are lost with good reason, and its successor gets others.
   */
  #proposeInTerm(wanted: Set<number>): void {
    const leader = this.#leader()
    const term = leader?.role?.term ?? 0
    if (leader === undefined || term <= this.#proposedInTerm || !this.#isWhole(new Set())) return
    this.#proposedInTerm = term
    wanted.clear()
    for (let i = 0; i < healingCommands; i++) {
      const command = this.#workload.propose(leader)
      if (command !== undefined) wanted.add(command)
    }
  }

  #leader(): SimulatedNode | undefined {
    return this.#healthy().find((node) => node.claimsToLead)
  }

  /** One leader that all follow, everything applied everywhere, and all commands acknowledged. */
  #isWhole(wanted: ReadonlySet<number>): boolean {
    const healthy = this.#healthy()
    const leaders = healthy.filter((node) => node.claimsToLead)
    if (leaders.length !== 1 || leaders[0]?.role?.established !== true) return false
    for (const command of wanted) if (!this.#workload.acknowledged.has(command)) return false
    const { committedIndex } = this.#oracle
    return healthy.every(
      (node) =>
        node.applied === committedIndex &&
        node.role?.leader === leaders[0]?.id &&
        node.stateHash === leaders[0]?.stateHash,
    )
  }

  #reportUnhealed(wanted: ReadonlySet<number>): void {
    const nodes = this.#nodes.map((node) => `${node.id} ${JSON.stringify(node.status)}`)
    const missing = [...wanted].filter((command) => !this.#workload.acknowledged.has(command))
    throw new Violation(
      'the cluster recovers when faults end',
      `after ${healedWithinMs} ms: committed ${this.#oracle.committedIndex}, proposed ${wanted.size}, ` +
        `not acknowledged ${missing.join(' ') || 'none'}\n${nodes.join('\n')}`,
    )
  }

  /** Without those whose directory was emptied after the cluster was founded: they belong to it no more. */
  #healthy(): readonly SimulatedNode[] {
    const { membership } = this.#oracle
    if (membership === undefined) return this.#nodes
    const voters = new Set(membership.voters.map(({ incarnation }) => incarnation))
    return this.#nodes.filter((node) => voters.has(node.incarnation))
  }

  /** What only the end can tell: nothing that was acknowledged is missing. */
  #judge(): void {
    for (const [command, index] of this.#workload.acknowledged) {
      if (this.#oracle.indexOf(command) === index) continue
      throw new Violation('what was acknowledged is never lost', `command ${command} at ${index}`)
    }
  }

  async #advance(ms: number, until?: () => boolean): Promise<void> {
    const stop = () => this.#error !== undefined || until?.() === true
    await this.#scheduler.runUntil(this.#scheduler.now() + ms, () => this.#checkStep(), stop)
    if (this.#error !== undefined) throw this.#error.error
  }

  /** After every step: what a node believes of its log is held against what is known. */
  #checkStep(): void {
    for (const node of this.#nodes) node.checkProgress()
  }

  #counts(): RunCounts {
    const { crashes, stops, diskFailures, partitions, pauses, wipes } = this.#nemesis.counts
    let bytesLost = 0
    let entriesLost = 0
    for (const { id, disk } of this.#nodes) {
      bytesLost += disk.bytesLost
      entriesLost += this.#oracle.model(id).entriesLost
    }
    const { messagesSent, messagesDropped } = this.#network.counts
    return {
      elections: this.#oracle.elections,
      commits: this.#oracle.committedIndex,
      acknowledged: this.#workload.acknowledged.size,
      reads: this.#workload.reads,
      crashes,
      stops,
      diskFailures,
      bytesLost,
      entriesLost,
      messagesSent,
      messagesDropped,
      partitions,
      pauses,
      wipes,
      checkpoints: this.#nodes.filter(({ store }) => store.current !== undefined).length,
      installs: this.#nodes.reduce((sum, { installs }) => sum + installs, 0),
      steps: this.#scheduler.steps,
      simulatedMs: this.#scheduler.now(),
    }
  }

  #explain(error: unknown): Failure {
    const trace = this.#trace.last(traceLinesOfFailure)
    if (error instanceof Violation) return { invariant: error.invariant, message: error.message, trace }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const invariant = error instanceof Error ? error.constructor.name : 'unknown error'
    return { invariant, message: text, trace }
  }
}
