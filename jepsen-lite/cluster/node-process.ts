/**
 * One node of the cluster: `meshmq start` with a configuration file of its own, again and again, as faults end it. What it says goes to a file.
 *
 * Invariants: lives follow one another; while `whileDown` works on the files of a node that is down, nobody starts it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, closeSync, openSync, readSync, statSync } from 'node:fs'
import type { ExpectedEnd, OwnEndings } from '../nemesis.ts'
import { dyingWithParent } from './parent-death.ts'

/** A graceful stop that takes longer hangs. */
const STOP_MS_MAX = 20_000
/** A node whose disk has failed says why and closes its sockets. */
const OWN_END_MS_MAX = 20_000
const TICK_MS = 50

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
  /** For one that must end to do so, milliseconds. */
  readonly ownEndMs?: number
  /** It is about to be started. */
  readonly onStart: () => void
  /** It has ended, for whatever reason. */
  readonly onExit: () => void
  /** It did not end as it should have; in words, and the end of what it said. */
  readonly onWrong: (wrong: Wrong, how: string, output: string) => void
}

/** It ended though nobody asked it to, or not in good order; or it went on though it had to end. */
export type Wrong = 'crashed' | 'survived'

interface Life {
  readonly child: ChildProcess
  /** Where in the file its output begins. */
  readonly logFrom: number
  /** Faults under which it may end by itself. */
  readonly expectations: Set<Expectation>
  /** The harness has told it to end, or has ended it. */
  isTold: boolean
}

interface Expectation {
  readonly endings: OwnEndings
  count: number
}

interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export class NodeProcess {
  readonly id: string
  readonly #options: NodeProcessOptions
  #life: Life | undefined
  /** Of lives to come. */
  readonly #expectations = new Set<Expectation>()
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
    return this.#life !== undefined
  }

  get paused(): boolean {
    return this.#pauses > 0
  }

  /** While it runs. */
  get child(): ChildProcess | undefined {
    return this.#life?.child
  }

  /** Starts it if it does not run, once nobody works on its files any more: true if it did not run. */
  start(): Promise<boolean> {
    return this.#alone(async () => {
      if (this.#life !== undefined || this.#isAbandoned) return false
      this.#spawn()
      return true
    })
  }

  /** SIGKILL. Resolves when the process is gone: true if it ran. */
  async kill(): Promise<boolean> {
    const gone = this.#kill()
    // Its port and its directory are its own until it is gone.
    void this.#alone(() => gone)
    return gone
  }

  /** SIGTERM. Resolves when the process is gone: true if it ran. One that hangs is killed, and has crashed. */
  async stop(): Promise<boolean> {
    const life = this.#life
    if (life === undefined) return false
    this.#note('asked by the harness to stop')
    life.isTold = true
    life.child.kill('SIGTERM')
    if (!(await this.#endsWithin(life, STOP_MS_MAX))) {
      this.#wrong('crashed', `did not stop within ${STOP_MS_MAX} ms of SIGTERM`, life)
      return true
    }
    const ending = endingOf(life.child)
    // SIGTERM: it was so early in its life that it did not listen yet. SIGKILL: another fault.
    const isOrderly = ending.code === 0 || ending.signal === 'SIGTERM' || ending.signal === 'SIGKILL'
    if (isOrderly || this.#isExpected(life, ending)) return true
    this.#wrong('crashed', `ended with ${textOf(ending)} when it was asked to stop`, life)
    return true
  }

  /** It may end by itself in one of these ways, in this life and in others. */
  expectEnd(endings: OwnEndings): ExpectedEnd {
    const expectation = { endings, count: 0 }
    this.#expectations.add(expectation)
    this.#life?.expectations.add(expectation)
    return {
      get count() {
        return expectation.count
      },
      over: () => {
        this.#expectations.delete(expectation)
        this.#life?.expectations.delete(expectation)
      },
      overWithItsLife: () => void this.#expectations.delete(expectation),
    }
  }

  /** It has to end by itself, now. Resolves when it is gone; one that goes on is killed, and told of. */
  async mustEnd(): Promise<void> {
    const { ownEndMs = OWN_END_MS_MAX } = this.#options
    const life = this.#life
    if (life === undefined || (await this.#endsWithin(life, ownEndMs))) return
    this.#wrong('survived', `went on for ${ownEndMs} ms after a write or a sync of its log had failed`, life)
  }

  /** Pauses count: it runs again when each was taken back. A start ends all of them. */
  pause(): void {
    if (this.#life === undefined) return
    this.#pauses++
    this.#life.child.kill('SIGSTOP')
  }

  resume(): void {
    if (this.#pauses === 0) return
    this.#pauses--
    if (this.#pauses === 0) this.#life?.child.kill('SIGCONT')
  }

  /**
   * SIGKILL if it runs, then work on its files; whoever wants to start it meanwhile waits for the end of that. Others may be at work before,
   * and start it before: it is killed when the turn has come.
   */
  whileDown<T>(work: (ran: boolean) => Promise<T>): Promise<T> {
    return this.#alone(async () => work(await this.#kill()))
  }

  /** The end of its output, of lives before this one too. */
  tail(): string {
    return this.#output(0)
  }

  /** Ends it at once and for good, without waiting. */
  abandon(): void {
    this.#isAbandoned = true
    if (this.#life === undefined) return
    this.#life.isTold = true
    this.#life.child.kill('SIGKILL')
  }

  async #kill(): Promise<boolean> {
    const life = this.#life
    if (life === undefined) return false
    this.#note('killed by the harness')
    this.#life = undefined
    this.#pauses = 0
    life.child.kill('SIGKILL')
    await exitOf(life.child)
    // It had ended by itself, and nobody had heard of it yet.
    const { exitCode, signalCode } = life.child
    if (exitCode !== null || (signalCode !== null && signalCode !== 'SIGKILL')) this.#judge(life)
    return true
  }

  /** Whether it ends in that time; then it is killed. What is paused cannot end: such time does not count. */
  async #endsWithin(life: Life, ms: number): Promise<boolean> {
    let leftMs = ms
    const clock = setInterval(() => {
      if (!this.paused) leftMs -= TICK_MS
      if (leftMs > 0) return
      life.isTold = true
      life.child.kill('SIGKILL')
    }, TICK_MS)
    await exitOf(life.child)
    clearInterval(clock)
    return leftMs > 0
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
    const command = [...dyingWithParent(), ...runBy, process.execPath, ...nodeArgs, bin, 'start', '--config', config]
    const [program, ...args] = command as [string, ...string[]]
    // By the channel a node hears that its parent is gone, if it is not paused. A group of its own: Ctrl-C is for the harness to handle.
    const child = spawn(program, args, {
      stdio: ['ignore', output, output, 'ipc'],
      env: { ...process.env, ...env },
      detached: true,
    })
    closeSync(output)
    this.#note(`started by the harness as process ${child.pid}`)
    const life = { child, logFrom: statSync(log).size, expectations: new Set(this.#expectations), isTold: false }
    this.#life = life
    this.#pauses = 0
    child.once('exit', () => this.#ended(life))
    child.once('error', (error) => this.#ended(life, `an error: ${error.message}`))
  }

  #ended(life: Life, error?: string): void {
    this.#options.onExit()
    // `kill` has let go of it before.
    if (this.#life !== life) return
    this.#life = undefined
    this.#pauses = 0
    this.#judge(life, error)
  }

  #judge(life: Life, how = textOf(endingOf(life.child))): void {
    if (life.isTold || this.#isExpected(life, endingOf(life.child))) return
    this.#wrong('crashed', `ended by itself with ${how}`, life)
  }

  /** By its own word, where it has one. */
  #isExpected(life: Life, { code, signal }: Ending): boolean {
    const told = [...this.#output(life.logFrom).matchAll(/^meshmq: (\w+): /gm)].at(-1)?.[1]
    const fitting = [...life.expectations].filter(({ endings: { codes, signals = [] } }) =>
      signal === null ? code === 1 && told !== undefined && codes.includes(told) : signals.includes(signal),
    )
    for (const expectation of fitting) expectation.count++
    return fitting.length > 0
  }

  #wrong(wrong: Wrong, how: string, { logFrom }: Life): void {
    const output = this.#output(logFrom)
    this.#note(how)
    this.#options.onWrong(wrong, how, output)
  }

  /** What it said from there on, or the end of that. */
  #output(from: number): string {
    const { log } = this.#options
    const { size } = statSync(log)
    const bytes = Buffer.alloc(Math.min(size - from, TAIL_BYTES))
    const file = openSync(log, 'r')
    try {
      readSync(file, bytes, 0, bytes.length, size - bytes.length)
    } finally {
      closeSync(file)
    }
    return bytes.toString()
  }

  #note(what: string): void {
    appendFileSync(this.#options.log, `--- ${new Date().toISOString()} ${this.id} ${what}\n`)
  }
}

async function exitOf(child: ChildProcess): Promise<void> {
  // Without a pid it never began.
  const isOver = child.exitCode !== null || child.signalCode !== null || child.pid === undefined
  if (!isOver) await once(child, 'exit')
}

function endingOf({ exitCode, signalCode }: ChildProcess): Ending {
  return { code: exitCode, signal: signalCode }
}

function textOf({ code, signal }: Ending): string {
  return signal ?? `exit code ${code}`
}
