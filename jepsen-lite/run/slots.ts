/**
 * The clients' side of a run: each slot does one operation after the other, at its pace, until it is told to stop, and afterwards its
 * drain. A slot keeps its place; the process in it is retired when nobody knows how its operation ended (its client may still be sending
 * it), and when its worker was killed.
 */
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Completion, Operation } from '../history.ts'
import type { OpenProcess } from '../workers/pool.ts'
import type { Plan } from '../workload.ts'
import type { Pacing } from './pacing.ts'
import type { Recorder } from './recorder.ts'

export interface SlotsOptions {
  readonly concurrency: number
  readonly plan: Plan
  readonly pacing: Pacing
  readonly recorder: Recorder
  readonly open: (slot: number, process: number) => Promise<OpenProcess>
  /** An operation, or the opening of a client, that takes so long hangs. */
  readonly hangsMs: number
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/** Before a client that could not connect is tried again. */
const REOPEN_MS = 200
/** Before a slot that had nothing to do is asked again. */
const IDLE_MS = 20
/** Before an operation of the drain that did not succeed is done again. */
const DRAIN_AGAIN_MS = 100
/** In so many parts it is waited for what hangs. */
const HANG_PARTS = 10

export class Slots {
  readonly #options: SlotsOptions
  readonly #slots: readonly Slot[]
  readonly #stop = new AbortController()
  #running: Promise<unknown> = Promise.resolve()

  constructor(options: SlotsOptions) {
    this.#options = options
    this.#slots = Array.from({ length: options.concurrency }, (_, slot) => new Slot(slot, options))
  }

  /** Operations and clients' openings that have hung, each as a sentence. */
  get hung(): readonly string[] {
    return this.#slots.flatMap((slot) => slot.hung)
  }

  /** Resolves when every slot has its first client. Rejects when one has none within `withinMs`. */
  async open(withinMs: number): Promise<void> {
    const late = timeout(withinMs)
    await Promise.all(this.#slots.map((slot) => slot.ensure(late)))
    const without = this.#slots.filter((slot) => !slot.isOpen).length
    if (without > 0) throw new Error(`${without} clients could not connect within ${withinMs} ms`)
  }

  start(): void {
    const beganMs = this.#options.now()
    setMaxListeners(0, this.#stop.signal)
    this.#running = Promise.all(this.#slots.map((slot) => slot.run(beganMs, this.#stop.signal)))
    // Whoever stops the slots hears of it.
    this.#running.catch(() => {})
  }

  /** Resolves when the last operation is complete. Rejects when a slot failed: with a defect of the harness or of the workload. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  /** Resolves with how many slots have not finished their drain within `withinMs`. */
  async drain(withinMs: number): Promise<number> {
    const late = timeout(withinMs)
    const done = await Promise.all(this.#slots.map((slot) => slot.drain(late)))
    return done.filter((isDone) => !isDone).length
  }

  async close(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.close()))
  }
}

class Slot {
  readonly #number: number
  readonly #options: SlotsOptions
  readonly hung: string[] = []
  #process: number
  #client: OpenProcess | undefined

  constructor(number: number, options: SlotsOptions) {
    this.#number = number
    this.#options = options
    this.#process = number
  }

  get isOpen(): boolean {
    return this.#client?.isAlive === true
  }

  async run(beganMs: number, stopped: AbortSignal): Promise<void> {
    const { plan, pacing, now } = this.#options
    while (!stopped.aborted) {
      await pause(pacing.waitMs(this.#number, now() - beganMs), stopped)
      await this.ensure(stopped)
      if (stopped.aborted) return
      const operation = plan.next(this.#number)
      if (operation === undefined) await pause(IDLE_MS, stopped)
      else await this.#invoke(operation)
    }
  }

  /** True when all of it succeeded. */
  async drain(late: AbortSignal): Promise<boolean> {
    for (const operation of this.#options.plan.drain(this.#number)) {
      for (;;) {
        await this.ensure(late)
        if (late.aborted) return false
        const { type } = await this.#invoke(operation)
        if (type === 'ok') break
        await pause(DRAIN_AGAIN_MS, late)
      }
    }
    return true
  }

  async close(): Promise<void> {
    await this.#client?.close()
    this.#client = undefined
  }

  /** Sees to it that there is a process with a client, as long as it takes. */
  async ensure(stopped: AbortSignal): Promise<void> {
    if (this.#client !== undefined && !this.#client.isAlive) this.#retire()
    while (this.#client === undefined && !stopped.aborted) {
      try {
        const open = this.#options.open(this.#number, this.#process)
        this.#client = await this.#unlessItHangs(`the opening of process ${this.#process}`, open)
        // It may still come to be: as a client that nobody uses.
        if (this.#client === undefined) this.#retire()
      } catch {
        // Nobody to connect to in the midst of faults, or a worker that was killed just now.
        await pause(REOPEN_MS, stopped)
      }
    }
  }

  async #invoke(operation: Operation): Promise<Completion> {
    const { recorder, hangsMs } = this.#options
    recorder.invoke(this.#process, operation)
    const invoked = (this.#client as OpenProcess).invoke(operation)
    const outcome = await this.#unlessItHangs(`${operation.f} of process ${this.#process}`, invoked)
    const completion = outcome ?? { type: 'info', error: `Hung: no outcome within ${hangsMs} ms` }
    if (recorder.complete(this.#process, completion)) this.#retire()
    return completion
  }

  /** In parts, so that time in which this process stood still counts as one of them: what came meanwhile is read before the next. */
  async #timeItself(ms: number, stopped: AbortSignal): Promise<undefined> {
    for (let part = 0; part < HANG_PARTS; part++) await pause(ms / HANG_PARTS, stopped)
  }

  /** Resolves with undefined when it does: that is told, and nobody waits for it any longer. */
  async #unlessItHangs<T>(what: string, outcome: Promise<T>): Promise<T | undefined> {
    const { hangsMs } = this.#options
    const over = new AbortController()
    const hangs = this.#timeItself(hangsMs, over.signal)
    try {
      const first = await Promise.race([outcome, hangs])
      if (first === undefined) this.hung.push(`${what} had no outcome in ${hangsMs} ms`)
      return first
    } finally {
      over.abort()
    }
  }

  #retire(): void {
    // Not waited for: to say farewell takes a client seconds when nobody answers.
    this.#client?.close()
    this.#client = undefined
    this.#process += this.#options.concurrency
  }
}

/** Every slot listens to it. */
function timeout(ms: number): AbortSignal {
  const signal = AbortSignal.timeout(ms)
  setMaxListeners(0, signal)
  return signal
}

/** Resolves after `ms`, or as soon as the signal aborts. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0 || signal.aborted) return
  await sleep(ms, undefined, { signal }).catch(() => {})
}
