/**
 * One run, from the start of a cluster to the verdict: start, setup, operations under faults, heal, drain, agreement, check. Whatever breaks
 * off on the way, the end is the same: what there is of the history is judged, and what was not reached is told.
 */
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../../client/index.ts'
import type { LaunchNeeds } from '../nemesis.ts'
import type { RunOptions } from '../options.ts'
import { type Random, seeded } from '../random.ts'
import { WorkerPool } from '../workers/pool.ts'
import type { Anomaly, CheckResult } from '../workload.ts'
import { closeClients } from './closing.ts'
import { Faults } from './faults.ts'
import { countsOf, shortfallsOf } from './floors.ts'
import { HistoryFile } from './history-file.ts'
import { Pacing } from './pacing.ts'
import { Progress, type Terminal } from './progress.ts'
import { Recorder } from './recorder.ts'
import type { PhaseName, PhaseWindow, RunResult, WatchSample } from './result.ts'
import type { ClusterNeeds, ClusterSeen, RunCluster } from './run-cluster.ts'
import { planSchedule, type ScheduledFault } from './schedule.ts'
import { Slots } from './slots.ts'
import { bitesOf, verdictOf } from './verdict.ts'
import { versionsOf } from './versions.ts'

export interface RunHooks {
  /** For data and logs of the nodes, and for the history as it goes. It exists. */
  readonly folder: string
  readonly terminal: Terminal
  /** Ends operations and faults early; the rest goes its way. */
  readonly stopped: AbortSignal
  readonly startCluster: (needs: ClusterNeeds) => Promise<RunCluster>
  /** The file from which workers take the workload (its `workloads`). */
  readonly workloadModule: string
  /** Node's own options for workers. */
  readonly execArgv: readonly string[]
}

/** Operations of clients give up so early that an outage is seen as many of them, not as one. */
const CLIENT_MS = { connectTimeoutMs: 5_000, publishTimeoutMs: 5_000, requestTimeoutMs: 5_000 }
const RECONNECT = { initialMs: 50, maxMs: 1_000 }
const WORKERS_MAX = 4
const OPEN_MS = 30_000
/** Every promise of the SDK settles by its deadline, and those of a run are seconds: one that takes so long hangs. */
const HANGS_MS = 60_000
/** The same, for what nobody has waited for until the drain is over. */
const SETTLE_MS = 30_000
const HEAL_MS = 60_000
const DRAIN_MS = 120_000
const AGREE_MS = 60_000

export function runTest(options: RunOptions, hooks: RunHooks): Promise<RunResult> {
  return new Run(options, hooks).run()
}

class Run {
  readonly #options: RunOptions
  readonly #hooks: RunHooks
  readonly #random: Random
  readonly #beganAt = new Date()
  readonly #beganNs = process.hrtime.bigint()
  readonly #historyFile: HistoryFile
  readonly #recorder: Recorder
  readonly #phases: PhaseWindow[] = []
  readonly #watch: WatchSample[] = []
  readonly #anomalies: Anomaly[] = []
  readonly #shortcomings: string[] = []
  readonly #progress: Progress
  #phase: PhaseName = 'start'
  #faultsBeganNs = 0
  #faultsEndedNs = 0
  #schedule: readonly ScheduledFault[] = []
  #faults: Faults | undefined
  #cluster: RunCluster | undefined

  constructor(options: RunOptions, hooks: RunHooks) {
    this.#options = options
    this.#hooks = hooks
    this.#random = seeded(options.settings.seed)
    const file = new HistoryFile(path.join(hooks.folder, 'history.jsonl'))
    this.#historyFile = file
    this.#recorder = new Recorder(
      () => this.#nowNs(),
      (event) => file.add(event),
    )
    this.#progress = new Progress(hooks.terminal, () => this.#state())
  }

  async run(): Promise<RunResult> {
    const { settings } = this.#options
    const versions = await versionsOf(settings.bin)
    this.#progress.start()
    try {
      const cluster = await this.#during('start', () => this.#hooks.startCluster(this.#needs()))
      this.#cluster = cluster
      await this.#withCluster(cluster)
      await cluster.shutDown().catch((error) => this.#shortcomings.push(`nodes could not be stopped: ${textOf(error)}`))
      const verdict = await this.#during('check', async () => this.#judge(cluster))
      return {
        settings,
        versions,
        startedAt: this.#beganAt.toISOString(),
        verdict,
        history: this.#recorder.events,
        schedule: this.#schedule.map(({ fault: _, ...planned }) => planned),
        faults: this.#faults?.windows ?? [],
        phases: this.#phases,
        watch: this.#watch,
        evidence: cluster.evidence(),
        nodes: cluster.nodes,
      }
    } finally {
      this.#progress.stop()
      await this.#historyFile.end()
    }
  }

  /** Never rejects: what breaks off is a shortcoming of the run. */
  async #withCluster(cluster: RunCluster): Promise<void> {
    const unwatch = cluster.watch((seen) => this.#see(seen))
    try {
      const pool = await this.#during('setup', () => this.#setUp(cluster))
      cluster.onWorkerKill = (random) => pool.kill(random)
      try {
        await this.#operate(cluster, pool)
      } finally {
        await pool.stop()
        for (const failure of pool.failures) this.#add('thrown', failure)
      }
      await this.#during('agree', () => this.#agree(cluster))
    } catch (error) {
      this.#shortcomings.push(`the run broke off (${this.#phase}): ${textOf(error)}`)
    } finally {
      unwatch()
    }
  }

  async #setUp(cluster: RunCluster): Promise<WorkerPool> {
    const { workload, settings } = this.#options
    const { concurrency } = settings
    const connectOptions = { ...cluster.connectOptions, ...CLIENT_MS, reconnect: RECONNECT }
    const client = await connect({ ...connectOptions, connectTimeoutMs: OPEN_MS })
    try {
      await workload.setup({ client, random: this.#random.fork('setup'), concurrency })
    } finally {
      await client.close()
    }
    const { workloadModule: module, execArgv } = this.#hooks
    return WorkerPool.start({
      workers: Math.min(concurrency, WORKERS_MAX),
      begin: { type: 'begin', module, workload: workload.name, connectOptions, concurrency },
      execArgv,
      emitted: (name, f, value, at) => this.#recorder.emit(name, f, value, at - Number(this.#beganNs)),
    })
  }

  async #operate(cluster: RunCluster, pool: WorkerPool): Promise<void> {
    const { workload, nemeses, settings } = this.#options
    const { concurrency, rate, seconds } = settings
    const slots = new Slots({
      concurrency,
      plan: workload.plan({ random: this.#random.fork('operations'), concurrency }),
      pacing: new Pacing(rate, concurrency, this.#random.fork('pacing')),
      recorder: this.#recorder,
      open: (slot, process) => pool.open(slot, process),
      hangsMs: HANGS_MS,
      now: () => this.#nowNs() / 1e6,
    })
    this.#schedule = planSchedule(this.#random.fork('schedule'), nemeses, cluster.nodes, seconds * 1000)
    const faults = new Faults(this.#schedule, cluster, this.#recorder, () => this.#nowNs())
    this.#faults = faults
    try {
      await slots.open(OPEN_MS)
      slots.start()
      try {
        await this.#during('faults', () => this.#underFaults(faults))
        await this.#during('heal', () => this.#heal(cluster))
      } finally {
        await slots.stop()
      }
      await this.#during('drain', () => this.#drain(slots, pool))
    } finally {
      for (const hung of slots.hung) this.#add('hung', hung)
    }
  }

  async #drain(slots: Slots, pool: WorkerPool): Promise<void> {
    const undrained = await slots.drain(DRAIN_MS)
    if (undrained > 0) this.#shortcomings.push(`${undrained} slots were not drained within ${DRAIN_MS} ms`)
    for (const call of await closeClients(slots, pool, SETTLE_MS)) {
      this.#add('hung', `${call} had not come to its end ${SETTLE_MS} ms after the drain`)
    }
  }

  /** Until the time is up and all faults are over. */
  async #underFaults(faults: Faults): Promise<void> {
    const { seconds } = this.#options.settings
    const { stopped } = this.#hooks
    this.#faultsBeganNs = this.#nowNs()
    const over = new AbortController()
    const early = () => over.abort()
    stopped.addEventListener('abort', early, { once: true })
    const performed = faults.run(over.signal)
    await sleep(seconds * 1000, undefined, { signal: over.signal }).catch(() => {
      this.#shortcomings.push('it was ended early')
    })
    over.abort()
    stopped.removeEventListener('abort', early)
    await performed
    this.#faultsEndedNs = this.#nowNs()
  }

  async #heal(cluster: RunCluster): Promise<void> {
    const unhealed = await cluster.heal(HEAL_MS)
    if (unhealed !== undefined) this.#shortcomings.push(`the cluster did not heal within ${HEAL_MS} ms: ${unhealed}`)
  }

  async #agree(cluster: RunCluster): Promise<void> {
    const agreement = await cluster.agree(AGREE_MS)
    if (agreement.ok) return
    if (agreement.diverged) this.#add('diverged', agreement.what)
    else this.#shortcomings.push(`the nodes did not come to the same state: ${agreement.what}`)
  }

  #judge(cluster: RunCluster) {
    for (const { type, node, ending, output } of cluster.crashes) {
      this.#add(type, `${node} ${ending}: ${output.trim().split('\n').slice(-3).join(' | ')}`)
    }
    const { workload, nemeses } = this.#options
    const faults = this.#faults?.windows ?? []
    const history = this.#recorder.events
    const operated = { history, workload, from: this.#faultsBeganNs, to: this.#faultsEndedNs, faults }
    return verdictOf({
      check: this.#check(cluster),
      anomalies: this.#anomalies,
      counts: countsOf(history),
      bite: bitesOf(nemeses, faults),
      faults,
      shortcomings: [...this.#shortcomings, ...shortfallsOf(operated)],
    })
  }

  /** A checker that throws has decided nothing. */
  #check(cluster: RunCluster): CheckResult {
    const { workload, settings } = this.#options
    const { events } = this.#recorder
    try {
      return workload.check(events, { concurrency: settings.concurrency, nodes: cluster.nodes.length })
    } catch (error) {
      return { valid: 'unknown', anomalies: [], counts: {}, reason: textOf(error) }
    }
  }

  #needs(): ClusterNeeds {
    const { workload, nemeses, settings } = this.#options
    const { nodes, bin, network } = settings
    const launch = launchOf(nemeses.map((nemesis) => nemesis.launch ?? {}))
    const nodeOptions = { ...launch.nodeOptions, ...workload.nodeOptions, ...settings.nodeOptions }
    const { folder } = this.#hooks
    return { nodes, folder, bin, network, launch, nodeOptions, random: this.#random.fork('cluster') }
  }

  async #during<T>(phase: PhaseName, work: () => Promise<T>): Promise<T> {
    this.#phase = phase
    this.#progress.phase()
    const from = this.#nowNs()
    try {
      return await work()
    } finally {
      this.#phases.push({ name: phase, from, to: this.#nowNs() })
    }
  }

  #see({ leader, term, ready }: ClusterSeen): void {
    this.#watch.push({ time: this.#nowNs(), leader, term, ready: [...ready] })
  }

  #add(type: string, message: string): void {
    this.#anomalies.push({ type, message, events: [] })
  }

  #state() {
    const { settings } = this.#options
    const beganNs = this.#faultsBeganNs === 0 ? this.#nowNs() : this.#faultsBeganNs
    return {
      phase: this.#phase,
      secondsLeft: Math.max(0, settings.seconds - (this.#nowNs() - beganNs) / 1e9),
      operations: this.#recorder.completed,
      ok: this.#recorder.succeeded,
      faults: this.#faults?.active ?? [],
      leader: this.#watch.at(-1)?.leader,
      elections: this.#cluster?.evidence().elections ?? 0,
    }
  }

  #nowNs(): number {
    return Number(process.hrtime.bigint() - this.#beganNs)
  }
}

/** What all of them need together. Of small disks the smallest: on a larger one the fault that asked for it would not bite. */
function launchOf(needs: readonly LaunchNeeds[]): LaunchNeeds {
  const disks = needs.flatMap(({ smallDisk }) => (smallDisk === undefined ? [] : [smallDisk]))
  return {
    shim: needs.some(({ shim }) => shim === true),
    fakeClock: needs.some(({ fakeClock }) => fakeClock === true),
    ...(disks.length === 0 ? {} : { smallDisk: Math.min(...disks) }),
    nodeOptions: Object.assign({}, ...needs.map(({ nodeOptions }) => nodeOptions)),
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The file that workers load beside this one: compiled beside compiled ones, the source beside sources. */
export const ownWorkloads = path.join(import.meta.dirname, `../workloads/index${path.extname(import.meta.filename)}`)
