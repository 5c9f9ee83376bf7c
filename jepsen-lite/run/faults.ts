/**
 * Performs the schedule: begins each fault at its time, ends it after its hold or when the run stops, and tells both in the history. A fault
 * that fails is no end of the run, but a run in which one failed proves less than it says: the verdict hears of it.
 */
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultReport, FaultTarget, Totals } from '../nemesis.ts'
import type { Recorder } from './recorder.ts'
import type { FaultWindow } from './result.ts'
import type { ScheduledFault } from './schedule.ts'

/** For a fault to begin or to end; rolling restarts and changes of members take their time. */
const STEP_MS_MAX = 120_000

export class Faults {
  readonly #schedule: readonly ScheduledFault[]
  readonly #target: FaultTarget
  readonly #recorder: Recorder
  readonly #now: () => number
  readonly #windows: FaultWindow[] = []
  readonly #active = new Map<number, ScheduledFault>()

  /** `now`: nanoseconds since the run began. */
  constructor(schedule: readonly ScheduledFault[], target: FaultTarget, recorder: Recorder, now: () => number) {
    this.#schedule = schedule
    this.#target = target
    this.#recorder = recorder
    this.#now = now
  }

  /** Names of those that hold at the moment. */
  get active(): readonly string[] {
    return [...this.#active.values()].map(({ name }) => name)
  }

  /** Those that are over, in the order of their beginning. */
  get windows(): readonly FaultWindow[] {
    return [...this.#windows].sort((a, b) => a.from - b.from)
  }

  /** Resolves when all of them are over: at once when `stopped` aborts, but for the time that their ends take. */
  async run(stopped: AbortSignal): Promise<void> {
    setMaxListeners(0, stopped)
    const beganNs = this.#now()
    const begun: Promise<void>[] = []
    for (const scheduled of this.#schedule) {
      await this.#until(beganNs + scheduled.atMs * 1e6, stopped)
      if (stopped.aborted) break
      begun.push(this.#perform(scheduled, stopped))
    }
    await Promise.all(begun)
  }

  async #perform(scheduled: ScheduledFault, stopped: AbortSignal): Promise<void> {
    const { number, nemesis, name, holdMs, fault } = scheduled
    const from = this.#now()
    this.#active.set(number, scheduled)
    const begin = await this.#step(scheduled, 'begin', () => fault.begin(this.#target))
    await this.#until(this.#now() + holdMs * 1e6, stopped)
    const end = await this.#step(scheduled, 'end', () => fault.end(this.#target))
    this.#active.delete(number)
    const what = [begin.what, end.what].filter((part) => part !== '').join('; ')
    const window = { number, nemesis, name, from, to: this.#now(), what, done: sumOf([begin.done, end.done]) }
    const errors = [begin.error, end.error].filter((error) => error !== undefined)
    this.#windows.push(errors.length === 0 ? window : { ...window, error: errors.join('; ') })
  }

  /** Resolves at `atNs`, never before it as a timer alone does (it counts whole milliseconds), or when `stopped` aborts. */
  async #until(atNs: number, stopped: AbortSignal): Promise<void> {
    while (!stopped.aborted) {
      const leftMs = (atNs - this.#now()) / 1e6
      if (leftMs <= 0) return
      await sleep(Math.ceil(leftMs), undefined, { signal: stopped }).catch(() => {})
    }
  }

  async #step(
    { number, nemesis, name }: ScheduledFault,
    step: 'begin' | 'end',
    action: () => Promise<FaultReport>,
  ): Promise<FaultReport & { readonly error?: string }> {
    try {
      const { what, done } = await withinMs(STEP_MS_MAX, action())
      this.#recorder.fault(nemesis, { number, fault: name, step, what, done })
      return { what, done }
    } catch (failure) {
      const error = `${name} could not ${step}: ${failure instanceof Error ? failure.message : String(failure)}`
      this.#recorder.fault(nemesis, { number, fault: name, step }, error)
      return { what: '', done: {}, error }
    }
  }
}

export function sumOf(all: readonly Totals[]): Totals {
  const sum: Record<string, number> = {}
  for (const totals of all) {
    for (const [figure, value] of Object.entries(totals)) sum[figure] = (sum[figure] ?? 0) + value
  }
  return sum
}

async function withinMs<T>(ms: number, promise: Promise<T>): Promise<T> {
  const over = new AbortController()
  const late = sleep(ms, undefined, { signal: over.signal }).then(() => {
    throw new Error(`not done within ${ms} ms`)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    late.catch(() => {})
    over.abort()
  }
}
