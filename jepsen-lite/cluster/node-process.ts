/**
 * One node of the cluster: `meshmq start` with a configuration file of its own, again and again, as faults end it. What it says goes to a file.
 *
 * Invariants: lives follow one another; while `whileDown` works on the files of a node that is down, nobody starts it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, closeSync, openSync, readSync, statSync } from 'node:fs'

/** A graceful stop that takes longer hangs. */
const STOP_MS_MAX = 20_000

/** Of the end of a node's output, for the report of a crash. */
const TAIL_BYTES = 16 * 1024

export interface NodeProcessOptions {
  readonly id: string
  /** The CLI's JavaScript file. */
  readonly bin: string
  /** Path of the node's configuration. */
  readonly config: string
  /** Path of the file that its output is appended to. */
  readonly log: string
  /** Arguments of Node itself, before `bin`, and variables beside those of this process. */
  readonly nodeArgs: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** What runs the command that follows it, and becomes it; may be empty. */
  readonly runBy: readonly string[]
  /** It is about to be started. */
  readonly onStart: () => void
  /** It has ended, for whatever reason. */
  readonly onExit: () => void
  /** It has ended though nobody asked it to, or not in good order; in words. */
  readonly onCrash: (ending: string, output: string) => void
}

export class NodeProcess {
  readonly id: string
  readonly #options: NodeProcessOptions
  #child: ChildProcess | undefined
  #isEndExpected = false
  /** Faults under which it may end by itself. */
  #expectedEnds = 0
  #isAbandoned = false
  #pauses = 0
  /** What the next start waits for. */
  #busy: Promise<unknown> = Promise.resolve()

  constructor(options: NodeProcessOptions) {
    this.id = options.id
    this.#options = options
  }

  /** Paused ones run too. */
  get running(): boolean {
    return this.#child !== undefined
  }

  get paused(): boolean {
    return this.#pauses > 0
  }

  /** While it runs. */
  get child(): ChildProcess | undefined {
    return this.#child
  }

  /** Starts it if it does not run, once nobody works on its files any more: true if it did not run. */
  start(): Promise<boolean> {
    return this.#alone(async () => {
      if (this.#child !== undefined || this.#isAbandoned) return false
      this.#spawn()
      return true
    })
  }

  /** SIGKILL. Resolves when the process is gone: true if it ran. */
  async kill(): Promise<boolean> {
    const child = this.#child
    if (child === undefined) return false
    this.#note('killed by the harness')
    this.#child = undefined
    this.#pauses = 0
    child.kill('SIGKILL')
    const gone = exitOf(child)
    // Its port and its directory are its own until it is gone.
    void this.#alone(() => gone)
    await gone
    return true
  }

  /** SIGTERM. Resolves when the process is gone: true if it ran. One that hangs is killed, and has crashed. */
  async stop(): Promise<boolean> {
    const child = this.#child
    if (child === undefined) return false
    this.#note('asked by the harness to stop')
    this.#isEndExpected = true
    child.kill('SIGTERM')
    let isKilled = false
    const tooLate = setInterval(() => {
      // What is paused cannot obey.
      if (this.paused) return
      isKilled = true
      child.kill('SIGKILL')
    }, STOP_MS_MAX)
    const { code, signal } = await exitOf(child)
    clearInterval(tooLate)
    // SIGTERM: it was so early in its life that it did not listen yet. SIGKILL: another fault.
    const isOrderly = code === 0 || signal === 'SIGTERM' || signal === 'SIGKILL' || this.#expectedEnds > 0
    if (isKilled) this.#crashed(`did not stop within ${STOP_MS_MAX} ms of SIGTERM`)
    else if (!isOrderly) this.#crashed(`ended with ${signal ?? `exit code ${code}`} when it was asked to stop`)
    return true
  }

  /** It may end by itself, in this life and in others, until the returned function is called. */
  expectEnd(): () => void {
    this.#expectedEnds++
    let isExpected = true
    return () => {
      if (isExpected) this.#expectedEnds--
      isExpected = false
    }
  }

  /** Pauses count: it runs again when each was taken back. A start ends all of them. */
  pause(): void {
    if (this.#child === undefined) return
    this.#pauses++
    this.#child.kill('SIGSTOP')
  }

  resume(): void {
    if (this.#pauses === 0) return
    this.#pauses--
    if (this.#pauses === 0) this.#child?.kill('SIGCONT')
  }

  /** SIGKILL if it runs, then work on its files; whoever wants to start it meanwhile waits for the end of that. */
  async whileDown<T>(work: (ran: boolean) => Promise<T>): Promise<T> {
    const ran = this.#child !== undefined
    void this.kill()
    return this.#alone(() => work(ran))
  }

  /** The end of its output. */
  tail(): string {
    const { log } = this.#options
    const { size } = statSync(log)
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES))
    const file = openSync(log, 'r')
    try {
      readSync(file, bytes, 0, bytes.length, size - bytes.length)
    } finally {
      closeSync(file)
    }
    return bytes.toString()
  }

  /** Ends it at once and for good, without waiting. */
  abandon(): void {
    this.#isAbandoned = true
    this.#isEndExpected = true
    this.#child?.kill('SIGKILL')
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(work)
    this.#busy = done.catch(() => {})
    return done
  }

  #spawn(): void {
    const { bin, config, env, log, nodeArgs, runBy } = this.#options
    this.#options.onStart()
    const output = openSync(log, 'a')
    const command = [...runBy, process.execPath, ...nodeArgs, bin, 'start', '--config', config]
    const [program, ...args] = command as [string, ...string[]]
    // By the channel a node hears that its parent is gone. A group of its own: Ctrl-C is for the harness to handle.
    const child = spawn(program, args, {
      stdio: ['ignore', output, output, 'ipc'],
      env: { ...process.env, ...env },
      detached: true,
    })
    closeSync(output)
    this.#note(`started by the harness as process ${child.pid}`)
    this.#child = child
    this.#isEndExpected = false
    this.#pauses = 0
    child.once('exit', (code, signal) => this.#ended(child, signal ?? `exit code ${code}`))
    child.once('error', (error) => this.#ended(child, `an error: ${error.message}`))
  }

  #ended(child: ChildProcess, how: string): void {
    this.#options.onExit()
    // `kill` has let go of it before.
    if (this.#child !== child) return
    this.#child = undefined
    this.#pauses = 0
    if (!this.#isEndExpected && this.#expectedEnds === 0) this.#crashed(`ended by itself with ${how}`)
  }

  #crashed(ending: string): void {
    this.#note(ending)
    this.#options.onCrash(ending, this.tail())
  }

  #note(what: string): void {
    appendFileSync(this.#options.log, `--- ${new Date().toISOString()} ${this.id} ${what}\n`)
  }
}

async function exitOf(child: ChildProcess): Promise<{ readonly code: number | null; readonly signal: string | null }> {
  // Without a pid it never began.
  const isOver = child.exitCode !== null || child.signalCode !== null || child.pid === undefined
  if (!isOver) await once(child, 'exit')
  return { code: child.exitCode, signal: child.signalCode }
}
