/**
 * What a workload is: one file that says which operations there are (`plan`), how a client does them (`open`), and what of a history is
 * wrong (`check`). Adding one is that file and a line in workloads/index.ts.
 *
 * `plan` and `check` run in the runner; `open` runs in a worker process, which a fault may kill.
 */
import type { Client, ConnectOptions } from '../client/index.ts'
import type { Completion, Event, Json, Operation } from './history.ts'
import type { Random } from './random.ts'

export interface Workload {
  readonly name: string
  /** One line for `--list`. */
  readonly about: string
  /** Processes at a time when `--concurrency` is not given. */
  readonly concurrency: number
  /** Operations per second of all processes together when `--rate` is not given; 0: as fast as they can. */
  readonly rate: number
  /**
   * Of what must succeed for a verdict, operations and what consumers tell: those named here, at least so many a minute while faults come and
   * go (anchor against empty runs). Far below what happens, even if there is no leader half of the time.
   */
  readonly floors: Readonly<Record<string, number>>
  /** The operation that only a cluster that works lets succeed: once at least in each quiet time between faults that is long enough. */
  readonly pulse: string
  /** Nemeses that find nothing to do under it, and are in no mix with it. */
  readonly immuneTo?: readonly string[]
  /** Settings of the nodes that it needs, under those that the user gives. */
  readonly nodeOptions?: Readonly<Record<string, Json>>
  /** Before the first fault: queues and bindings. */
  setup(context: SetupContext): Promise<void>
  plan(context: PlanContext): Plan
  open(context: ClientContext): Promise<WorkloadClient>
  check(history: readonly Event[], context: CheckContext): CheckResult
}

export interface SetupContext {
  readonly client: Client
  readonly random: Random
  readonly concurrency: number
}

export interface PlanContext {
  readonly random: Random
  readonly concurrency: number
}

/** Draws operations. Only `random` decides, so that a seed gives the same ones to the same slots. */
export interface Plan {
  /** The next operation of this slot (0 ≤ slot < concurrency; a slot keeps its place when its process retires), or undefined: nothing now. */
  next(slot: number): Operation | undefined
  /** What a slot does after all faults are healed, until it is empty: the drain. Each is repeated while it completes otherwise than ok. */
  drain(slot: number): readonly Operation[]
}

export interface ClientContext {
  /** Where to connect, by way of the proxies. A client of its own for each process: `connect({ ...connectOptions })`. */
  readonly connectOptions: ConnectOptions
  readonly slot: number
  readonly process: number
  readonly concurrency: number
  /**
   * Records what came unasked, as `ok` of process `name`. Resolves when a kill of the worker cannot take it back: who settles a message
   * before that may lose it from the history, though nobody else did.
   */
  readonly emit: (name: string, f: string, value: Json) => Promise<void>
}

export interface WorkloadClient {
  /** Never rejects for what the cluster answers: see `completionOf` (completion.ts). */
  invoke(operation: Operation): Promise<Completion>
  close(): Promise<void>
}

export interface CheckContext {
  readonly concurrency: number
  /** Settings of the cluster that matter to a checker. */
  readonly nodes: number
}

export interface Anomaly {
  /** What kind: `lost`, `duplicated`, `reordered`, … */
  readonly type: string
  /** One sentence with the facts. */
  readonly message: string
  /** Indexes of the events that show it, for the report. */
  readonly events: readonly number[]
}

export interface CheckResult {
  /** `unknown`: the checker could not decide (out of time, nothing to judge). */
  readonly valid: true | false | 'unknown'
  readonly anomalies: readonly Anomaly[]
  /** Counts for results.json and the report. */
  readonly counts: Readonly<Record<string, number>>
  /** Why it is unknown. */
  readonly reason?: string
}
