/**
 * All workers: each slot has its place in one of them. A worker that is killed is started anew, and its slots open new processes there;
 * one that ends by itself is a defect that the run must tell (`failures`), and is started anew as well.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Completion, Operation } from '../history.ts'
import { type WorkerOptions, WorkerProcess } from './worker-process.ts'

export interface PoolOptions extends WorkerOptions {
  readonly workers: number
}

/** A process of the history that has a client. */
export interface OpenProcess {
  /** False when its worker is gone: what it holds is gone too, and its slot needs a new process. */
  readonly isAlive: boolean
  /** Never rejects: a worker that ends meanwhile leaves its operation as info. */
  invoke(operation: Operation): Promise<Completion>
  /** Never rejects. */
  close(): Promise<void>
}

/** Between two looks at what is open. */
const LOOK_MS = 50
/** A worker that cannot even begin is not started for ever. */
const FAILURES_MAX = 10

export class WorkerPool {
  readonly #options: PoolOptions
  readonly #workers: WorkerProcess[]
  /** For each worker, the processes that are open in it. */
  readonly #processes: Set<number>[]
  readonly #failures: string[] = []
  #isStopped = false

  private constructor(options: PoolOptions) {
    this.#options = options
    this.#processes = Array.from({ length: options.workers }, () => new Set())
    this.#workers = this.#processes.map((_, place) => this.#start(place))
  }

  /** Rejects when a worker cannot begin. */
  static async start(options: PoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(options)
    try {
      await Promise.all(pool.#workers.map((worker) => worker.begun()))
    } catch (error) {
      await pool.stop()
      throw error
    }
    return pool
  }

  /** Why workers ended though nobody had killed them. */
  get failures(): readonly string[] {
    return this.#failures
  }

  /** Rejects when the client could not connect, or its worker ended meanwhile. */
  async open(slot: number, process: number): Promise<OpenProcess> {
    const place = slot % this.#workers.length
    const worker = this.#workers[place] as WorkerProcess
    await worker.open(process, slot)
    const open = this.#processes[place] as Set<number>
    open.add(process)
    return {
      get isAlive() {
        return worker.isAlive
      },
      invoke: (operation) => worker.invoke(process, operation),
      close: () => {
        if (worker.isAlive) open.delete(process)
        return worker.close(process)
      },
    }
  }

  /** SIGKILL to one of them: `random` (0 ≤ x < 1) picks. Resolves with the number of processes that died with it. */
  async kill(random: number): Promise<number> {
    const place = Math.floor(random * this.#workers.length)
    const died = (this.#processes[place] as Set<number>).size
    await (this.#workers[place] as WorkerProcess).kill()
    return died
  }

  /**
   * Resolves with those calls that are open now (see WorkerProcess.openCalls) and still are `withinMs` later, though their workers live: at
   * once when there are none left.
   */
  async hanging(withinMs: number): Promise<readonly string[]> {
    const openCalls = () => this.#workers.flatMap((worker) => worker.openCalls)
    const lateMs = performance.now() + withinMs
    let left = openCalls()
    while (left.length > 0 && performance.now() < lateMs) {
      await sleep(LOOK_MS)
      const open = new Set(openCalls())
      left = left.filter((call) => open.has(call))
    }
    return left
  }

  /** Ends all of them. Clients that are open are not closed by it. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await Promise.all(this.#workers.map((worker) => worker.stop()))
  }

  #start(place: number): WorkerProcess {
    const worker = new WorkerProcess(this.#options)
    worker.ended.then(() => this.#replace(place, worker))
    return worker
  }

  #replace(place: number, worker: WorkerProcess): void {
    this.#processes[place] = new Set()
    if (worker.failure !== undefined) this.#failures.push(worker.failure)
    if (this.#isStopped || this.#failures.length >= FAILURES_MAX) return
    this.#workers[place] = this.#start(place)
  }
}
