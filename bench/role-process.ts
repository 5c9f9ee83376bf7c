/** A role's process as the benchmark sees it. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { profileArgs } from './cluster.ts'
import type { BenchOptions } from './options.ts'
import type { FromRole, ToRole } from './roles/main.ts'
import type { RoleName, Roles } from './roles/roles.ts'

const program = fileURLToPath(new URL('./roles/main.ts', import.meta.url))
const READY_TIMEOUT_MS = 30_000

export class RoleProcess<K extends RoleName> {
  readonly #name: K
  readonly #child: ChildProcess
  readonly #ready: Promise<void>
  readonly #result: Promise<Roles[K]['result']>

  constructor(name: K, params: Roles[K]['params'], options: BenchOptions) {
    this.#name = name
    const execArgv = [...process.execArgv, ...(options.profile.includes(name) ? profileArgs(options, name) : [])]
    this.#child = fork(program, [name, JSON.stringify(params)], { execArgv })
    const { promise: ready, resolve: isReady, reject: neverReady } = deferred<void>()
    const { promise: result, resolve: hasResult, reject: hasNone } = deferred<Roles[K]['result']>()
    this.#ready = ready
    this.#result = result
    const fail = (message: string) => {
      neverReady(new Error(message))
      hasNone(new Error(message))
    }
    this.#child.on('message', (message: FromRole) => {
      if ('ready' in message) isReady()
      else if ('result' in message) hasResult(message.result as Roles[K]['result'])
      else fail(`${name}: ${message.error}`)
    })
    this.#child.once('exit', (code, signal) => fail(`${name} ended (${signal ?? code}) without a result`))
    this.#child.once('error', (error) => fail(`${name}: ${error.message}`))
  }

  /** Connected and set up. */
  ready(): Promise<void> {
    return withTimeout(this.#ready, READY_TIMEOUT_MS, `${this.#name} is not ready`)
  }

  go(): void {
    this.#tell('go')
  }

  stop(): void {
    this.#tell('stop')
  }

  result(timeoutMs: number): Promise<Roles[K]['result']> {
    return withTimeout(this.#result, timeoutMs, `${this.#name} has no result`)
  }

  /** For the end of a run that failed. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #tell(message: ToRole): void {
    if (this.#child.connected) this.#child.send(message)
  }
}

function deferred<T>() {
  let resolve: (value: T) => void = () => {}
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<T>((fulfil, refuse) => {
    resolve = fulfil
    reject = refuse
  })
  // Whoever waits sees the failure; nobody has to wait.
  promise.catch(() => {})
  return { promise, resolve, reject }
}

async function withTimeout<T>(promise: Promise<T>, milliseconds: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} after ${milliseconds} ms`)), milliseconds)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
