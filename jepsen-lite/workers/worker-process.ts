/**
 * A worker as the runner holds it: a child process, and who waits for which of its answers. Every wait ends: with the answer, or with the
 * process.
 */
import { type ChildProcess, fork } from 'node:child_process'
import path from 'node:path'
import type { Completion, Json, Operation } from '../history.ts'
import { OpenCalls } from './open-calls.ts'
import type { FromWorker, ToWorker } from './protocol.ts'

export interface WorkerOptions {
  readonly begin: Extract<ToWorker, { type: 'begin' }>
  /** Node's own options for the child; with TypeScript sources those that load it. */
  readonly execArgv: readonly string[]
  /** `at`: when the worker told it, nanoseconds of `process.hrtime`, which is the same clock here. */
  readonly emitted: (name: string, f: string, value: Json, at: number) => void
}

interface Waiting {
  readonly answered: (message: FromWorker) => void
  readonly gone: () => void
}

/** What an operation that was open in a killed worker completes with. */
const KILLED: Completion = { type: 'info', error: 'Killed: its worker process was killed' }

/** The answer to `close`. */
const CLOSED: FromWorker['type'] = 'closed'

/** The compiled file beside compiled ones, the source beside sources. */
const program = path.join(import.meta.dirname, `worker${path.extname(import.meta.filename)}`)

export class WorkerProcess {
  readonly #child: ChildProcess
  readonly #options: WorkerOptions
  readonly #waiting = new Map<string, Waiting>()
  readonly #calls = new OpenCalls()
  /** Resolves when the process has ended and all that it said was heard. */
  readonly ended: Promise<void>
  #isAlive = true
  #isEndWanted = false
  #thrown: string | undefined

  constructor(options: WorkerOptions) {
    this.#options = options
    this.#child = fork(program, { execArgv: [...options.execArgv], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.#child.on('message', (message) => this.#hear(message as FromWorker))
    // The last words may be read after the end of the process was told: only the channel's end is the end.
    const silent = new Promise((resolve) => this.#child.once('disconnect', resolve))
    const exited = new Promise((resolve) => this.#child.once('exit', resolve))
    this.ended = Promise.all([silent, exited]).then(() => this.#end())
    this.#send(options.begin)
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  /** What has been begun and nobody waits for with a deadline: closes of clients, and calls of consumers. Nothing once it has ended. */
  get openCalls(): readonly string[] {
    const closes = [...this.#waiting.keys()].filter((key) => key.startsWith(CLOSED))
    return [...closes.map((key) => `close of process${key.slice(CLOSED.length)}`), ...this.#calls.all]
  }

  /** Why it ended though nobody had wanted that; undefined while it runs and after an end that was wanted. */
  get failure(): string | undefined {
    if (this.#thrown !== undefined) return this.#thrown
    if (this.#isAlive || this.#isEndWanted) return undefined
    const { exitCode, signalCode } = this.#child
    return `a worker ended by itself: ${signalCode ?? `exit code ${exitCode}`}`
  }

  /** Resolves when it can take work; rejects when it ended before. */
  begun(): Promise<void> {
    return new Promise((resolve, reject) => {
      const gone = () => reject(new Error(this.failure ?? 'the worker was killed'))
      this.#wait('begun', { answered: () => resolve(), gone })
    })
  }

  /** Rejects when the process's client could not connect, or with the worker's end. */
  open(process: number, slot: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#wait(`opened ${process}`, {
        answered: (message) => {
          const error = message.type === 'opened' ? message.error : undefined
          if (error === undefined) resolve()
          else reject(new Error(error))
        },
        gone: () => reject(new Error('the worker was killed')),
      })
      this.#send({ type: 'open', process, slot })
    })
  }

  invoke(process: number, operation: Operation): Promise<Completion> {
    return new Promise((resolve) => {
      this.#wait(`completed ${process}`, {
        answered: (message) => {
          if (message.type === 'completed') resolve(message.completion)
        },
        gone: () => resolve(KILLED),
      })
      this.#send({ type: 'invoke', process, operation })
    })
  }

  close(process: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wait(`${CLOSED} ${process}`, { answered: () => resolve(), gone: resolve })
      this.#send({ type: 'close', process })
    })
  }

  /** SIGKILL, with all that it holds. */
  kill(): Promise<void> {
    this.#isEndWanted = true
    this.#child.kill('SIGKILL')
    return this.ended
  }

  /** Ends it when what was told to it is done with, as far as the caller has waited for that. */
  stop(): Promise<void> {
    this.#isEndWanted = true
    if (this.#child.connected) this.#child.disconnect()
    return this.ended
  }

  #send(message: ToWorker): void {
    // What cannot be sent goes to a process that ends: all who wait are told by that.
    if (this.#child.connected) this.#child.send(message, () => {})
  }

  #wait(key: string, waiting: Waiting): void {
    if (!this.#isAlive) return waiting.gone()
    if (this.#waiting.has(key)) throw new Error(`somebody waits for '${key}' already`)
    this.#waiting.set(key, waiting)
  }

  #hear(message: FromWorker): void {
    switch (message.type) {
      case 'emitted':
        this.#calls.see(message.name, message.f, message.value)
        return this.#options.emitted(message.name, message.f, message.value, message.at)
      case 'thrown':
        this.#thrown = message.error
        return
      case 'begun':
        return this.#answer('begun', message)
      default:
        return this.#answer(`${message.type} ${message.process}`, message)
    }
  }

  #answer(key: string, message: FromWorker): void {
    const waiting = this.#waiting.get(key)
    this.#waiting.delete(key)
    waiting?.answered(message)
  }

  #end(): void {
    this.#isAlive = false
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    this.#calls.clear()
    for (const { gone } of waiting) gone()
  }
}
