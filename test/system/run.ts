/**
 * One seed, one run: a cluster and its clients are drawn, troubled, healed and judged.
 *
 * Never: anything that is not a function of the seed.
 */
import type { NodeCore } from '../../node/core.ts'
import { Scheduler } from '../sim/scheduler.ts'
import { fastDisk } from '../sim/swarm.ts'
import { Trace } from '../sim/trace.ts'
import { Violation } from '../sim/violation.ts'
import { Random } from '../support/random.ts'
import type { Beat, Scene } from './actors.ts'
import { playFinale } from './finales/index.ts'
import { Ledger } from './ledger.ts'
import { Nemesis, type NemesisCounts } from './nemesis/nemesis.ts'
import { fairWeather, Network } from './network.ts'
import { SimulatedNode, type World } from './node.ts'
import { Oracle } from './oracle.ts'
import { Pending } from './pending.ts'
import { drawSwarm, type Swarm } from './swarm.ts'
import { Workload } from './workload.ts'

/** What a run did, to be summed over many: a simulation in which little happens proves little. */
export interface RunCounts extends NemesisCounts {
  elections: number
  entries: number
  acked: number
  unknown: number
  refused: number
  deliveries: number
  redeliveries: number
  replies: number
  requestsFailed: number
  statesCompared: number
  dials: number
  bytesSent: number
  bytesLost: number
  diskBytesLost: number
  checkpoints: number
  installs: number
  repairs: number
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

/** An undisturbed cluster is founded, and its queues declared, within this time. */
const foundedWithinMs = 10_000
/**
 * After all faults have ended, the cluster must be whole within this time, and everything delivered and settled within as much again: less
 * than it takes for a session that is gone to be forgotten.
 */
const healedWithinMs = 25_000
/** What is published to a healed cluster, and how long that may take. */
const pulses = 3
const pulse: Beat = { everyMs: 400, bodyBytes: 8 }
/** A leader that had no room on its disk looks again within this time, whatever its clock. */
const diskLookMs = 1_200
const servedWithinMs = 10_000
const traceLinesOfFailure = 80
const checkEveryMs = 500

export async function runSeed(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const run = new Run(seed, options)
  return run.execute()
}

class Run {
  readonly #seed: number
  readonly #swarm: Swarm
  /** A session's flush goes through a link's: two nextTicks deep, and one for what promises begin. */
  readonly #scheduler = new Scheduler(3)
  readonly #trace: Trace
  readonly #network: Network
  readonly #oracle: Oracle
  readonly #ledger = new Ledger()
  readonly #pending: Pending
  readonly #scene: Scene
  readonly #nodes: readonly SimulatedNode[]
  readonly #nemesis: Nemesis
  readonly #workload: Workload
  readonly #random: Random
  #healedMs = 0
  /** The first thing that broke. */
  #error: { readonly error: unknown } | undefined

  constructor(seed: number, { print }: RunOptions) {
    const random = new Random(seed)
    this.#seed = seed
    this.#random = random
    this.#swarm = drawSwarm(random.fork())
    const swarm = this.#swarm
    if (print !== undefined) print(JSON.stringify(swarm))
    const scheduler = this.#scheduler
    this.#trace = new Trace(() => scheduler.now(), print)
    const trace = this.#trace
    const network = new Network(scheduler, random.fork(), trace)
    this.#network = network
    const ids = Array.from({ length: swarm.nodes }, (_, i) => `n${i + 1}`)
    this.#oracle = new Oracle(ids)
    this.#pending = new Pending(scheduler)
    const world: World = {
      ids,
      swarm,
      scheduler,
      network,
      oracle: this.#oracle,
      trace,
      onMoment: (node, moment) => this.#nemesis.strike(node, moment),
      onDiskFailure: (node) => this.#nemesis.replace(node),
      onFailure: this.#fail,
    }
    this.#nodes = ids.map((id) => new SimulatedNode(id, world, random.fork()))
    this.#scene = {
      work: swarm.work,
      servers: ids,
      ledger: this.#ledger,
      pending: this.#pending,
      isBusy: true,
      isCalm: false,
      holdMs: 0,
      guard: (action) => {
        try {
          action()
        } catch (error) {
          this.#fail(error)
        }
      },
    }
    this.#workload = new Workload({ scene: this.#scene, network, random: random.fork(), clockSkew: swarm.clockSkew })
    const realm = { swarm, scheduler, network, trace, random: random.fork(), nodes: this.#nodes }
    this.#nemesis = new Nemesis({ ...realm, workload: this.#workload, onFailure: this.#fail })
  }

  readonly #fail = (error: unknown): void => {
    this.#error ??= { error }
  }

  async execute(): Promise<RunResult> {
    let failure: Failure | undefined
    process.on('uncaughtException', this.#fail)
    process.on('unhandledRejection', this.#fail)
    try {
      await this.#play()
    } catch (error) {
      failure = this.#explain(error)
    } finally {
      process.off('uncaughtException', this.#fail)
      process.off('unhandledRejection', this.#fail)
    }
    const { hash } = this.#trace
    return { seed: this.#seed, traceHash: hash, counts: this.#counts(), healedMs: this.#healedMs, failure }
  }

  async #play(): Promise<void> {
    for (const node of this.#nodes) node.start()
    this.#workload.start()
    if (this.#swarm.foundedInPeace) {
      await this.#advance(foundedWithinMs, () => this.#workload.isFounded)
      if (!this.#workload.isFounded) throw new Violation('an undisturbed cluster is founded', this.#describe())
    }
    this.#nemesis.start()
    const { elections } = this.#oracle
    await this.#advance(this.#swarm.faultMs)
    const isPeaceful = this.#swarm.faults.length === 0
    if (isPeaceful && this.#oracle.elections > elections) {
      throw new Violation('nobody elects without need', this.#describe())
    }
    await this.#heal()
    this.#judge()
    await playFinale(this.#swarm.finale, {
      network: this.#network,
      trace: this.#trace,
      nodes: this.#nodes,
      random: this.#random.fork(),
      scene: this.#scene,
      workload: this.#workload,
      leader: () => this.#leader(),
      run: (ms, until) => this.#advance(ms, until),
      conclude: () => this.#conclude(),
    })
  }

  /** Lets the work at hand come to its end, and looks into the books again. */
  async #conclude(): Promise<void> {
    await this.#advance(servedWithinMs, () => this.#isDone())
    if (!this.#isDone()) throw new Violation('a healed cluster serves', this.#describe())
    this.#judge()
  }

  /** Ends all faults. From here on the cluster must recover by itself, and bring its work to an end. */
  async #heal(): Promise<void> {
    this.#trace.note('heal', '')
    this.#nemesis.stop()
    this.#network.weather = fairWeather
    this.#scene.isBusy = false
    this.#scene.isCalm = true
    for (const node of this.#nodes) {
      node.disk.pace = fastDisk
      // Its process is about to end because of that; what comes back finds a disk that works.
      if (node.disk.isFailing) node.crash()
      node.start()
    }
    const began = this.#scheduler.now()
    await this.#advance(healedWithinMs, () => this.#workload.isFounded)
    await this.#advance(healedWithinMs, () => this.#isWhole())
    await this.#advance(healedWithinMs, () => this.#isWhole() && this.#isDone())
    this.#healedMs = this.#scheduler.now() - began
    if (!this.#isWhole() || !this.#isDone()) {
      throw new Violation('everything comes to its end when faults do', this.#describe())
    }
    await this.#servesAgain()
  }

  /** Something new is published, and gets to where it belongs. */
  async #servesAgain(): Promise<void> {
    await this.#advance(diskLookMs)
    const { acked, unknown, refused } = this.#ledger
    const stopPulse = this.#workload.startPulse('pulse', pulse)
    await this.#advance(servedWithinMs, () => this.#ledger.acked >= acked + pulses)
    stopPulse()
    await this.#advance(servedWithinMs, () => this.#isDone())
    const failed = this.#ledger.unknown + this.#ledger.refused - unknown - refused
    if (this.#ledger.acked < acked + pulses || failed > 0 || !this.#isDone()) {
      throw new Violation('a healed cluster serves', this.#describe())
    }
  }

  /** One leader that all follow, and every node a voter whose word counts. */
  #isWhole(): boolean {
    if (!this.#workload.isFounded) return false
    const leader = this.#leader()
    const { membership } = leader?.group.driver.status() ?? {}
    if (membership === undefined || membership.votersOutgoing.length > 0) return false
    return this.#nodes.every((node) => {
      return node.core?.group.driver.status().doubt === 0 && node.isAmong(membership.voters)
    })
  }

  #leader(): NodeCore | undefined {
    return this.#nodes.find(({ core }) => core?.group.role.established)?.core
  }

  /** Equal states, no promise open, every queue empty. */
  #isDone(): boolean {
    const leader = this.#leader()
    if (this.#pending.size > 0 || leader === undefined) return false
    const { appliedIndex, lastIndex } = leader.group.driver.status()
    if (appliedIndex !== lastIndex) return false
    if (!this.#nodes.every(({ core }) => core?.group.driver.status().appliedIndex === appliedIndex)) return false
    return this.#ledger.queues.every((queue) => {
      const stats = leader.group.machine.queueStats(queue)
      return stats !== undefined && stats.ready + stats.unsettled + stats.delayed === 0
    })
  }

  #judge(): void {
    this.#ledger.judge()
    for (const { id, core } of this.#nodes) {
      if (core === undefined) continue
      this.#oracle.compare(id, core.group.machine)
      for (const queue of this.#ledger.queues) this.#ledger.judgeCounts(queue, core.group.machine.queueStats(queue)!)
    }
  }

  #describe(): string {
    const nodes = this.#nodes.map(({ id, core }) => {
      const status = core === undefined ? 'down' : JSON.stringify(core.group.driver.status())
      const queues = this.#ledger.queues.map((queue) => JSON.stringify(core?.group.machine.queueStats(queue)))
      return `${id} ${status}\n  ${queues.join('\n  ')}`
    })
    return `at ${Math.round(this.#scheduler.now())} ms, ${this.#pending.size} promises open: ${this.#pending.describe()}\n${nodes.join('\n')}`
  }

  async #advance(ms: number, until?: () => boolean): Promise<void> {
    const stop = () => this.#error !== undefined || until?.() === true
    await this.#scheduler.runUntil(this.#scheduler.now() + ms, this.#checkStep, stop)
    if (this.#error !== undefined) throw this.#error.error
  }

  #checkedAt = 0

  readonly #checkStep = (): void => {
    for (const node of this.#nodes) node.look()
    if (this.#scheduler.now() < this.#checkedAt + checkEveryMs) return
    this.#checkedAt = this.#scheduler.now()
    this.#pending.check()
  }

  #counts(): RunCounts {
    const { acked, unknown, refused, deliveries, redeliveries, replies, requestsFailed } = this.#ledger
    const { counts } = this.#network
    let diskBytesLost = 0
    let checkpoints = 0
    let installs = 0
    let repairs = 0
    for (const { disk, work } of this.#nodes) {
      diskBytesLost += disk.bytesLost
      checkpoints += work.checkpoints
      installs += work.installs
      repairs += work.repairs
    }
    return {
      elections: this.#oracle.elections,
      entries: this.#oracle.committedIndex,
      acked,
      unknown,
      refused,
      deliveries,
      redeliveries,
      replies,
      requestsFailed,
      statesCompared: this.#oracle.statesCompared,
      ...this.#nemesis.counts,
      dials: counts.dials,
      bytesSent: counts.bytes,
      bytesLost: counts.bytesLost,
      diskBytesLost,
      checkpoints,
      installs,
      repairs,
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
