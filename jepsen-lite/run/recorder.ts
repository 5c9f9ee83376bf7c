/**
 * Writes the history: gives each event its place and its time, and holds the rules that make a history worth checking.
 *
 * Invariants (a broken one throws: the harness, not the cluster, is at fault, and no verdict may come of it):
 * 1. A process has one operation open at a time, and completes only what it invoked.
 * 2. A process whose operation ended as info never comes back: nobody knows whether that operation is over.
 * 3. Times never fall, and indexes have no gaps.
 */
import { type Completion, type Event, type EventType, type Json, NEMESIS, type Operation } from '../history.ts'

export class Recorder {
  readonly #now: () => number
  readonly #tell: (event: Event) => void
  readonly #events: Event[] = []
  readonly #open = new Map<number, Operation>()
  readonly #retired = new Set<number>()
  #lastTime = 0
  #completed = 0
  #succeeded = 0

  /** `now`: nanoseconds since the run began, monotonic. `tell`: called with each event, in order. */
  constructor(now: () => number, tell: (event: Event) => void = () => {}) {
    this.#now = now
    this.#tell = tell
  }

  get events(): readonly Event[] {
    return this.#events
  }

  /** Operations that are complete, however they ended. */
  get completed(): number {
    return this.#completed
  }

  get succeeded(): number {
    return this.#succeeded
  }

  /** Before the operation is sent. */
  invoke(process: number, operation: Operation): void {
    if (this.#retired.has(process)) throw new Error(`process ${process} is retired and invokes ${operation.f}`)
    const open = this.#open.get(process)
    if (open !== undefined) throw new Error(`process ${process} invokes ${operation.f} while ${open.f} is open`)
    this.#open.set(process, operation)
    this.#add(process, 'invoke', operation.f, operation.value)
  }

  /** After its outcome came. True: the process is retired. */
  complete(process: number, { type, value, error }: Completion): boolean {
    const operation = this.#open.get(process)
    if (operation === undefined) throw new Error(`process ${process} completes what it did not invoke`)
    this.#open.delete(process)
    if (type === 'info') this.#retired.add(process)
    this.#completed++
    if (type === 'ok') this.#succeeded++
    const result = value === undefined ? operation.value : value
    this.#add(process, type, operation.f, result, error === undefined ? {} : { error })
    return type === 'info'
  }

  /** What came unasked: a delivery to a consumer. `at`: when it was told, of the same clock; default: now. */
  emit(name: string, f: string, value: Json, at?: number): void {
    this.#add(name, 'ok', f, value, at === undefined ? {} : { at })
  }

  /** A fault begins or ends. */
  fault(f: string, value: Json, error?: string): void {
    this.#add(NEMESIS, 'info', f, value, error === undefined ? {} : { error })
  }

  #add(
    process: number | string,
    type: EventType,
    f: string,
    value: Json,
    also: Pick<Event, 'at' | 'error'> = {},
  ): void {
    const time = this.#now()
    if (!(time >= this.#lastTime)) throw new Error(`time fell from ${this.#lastTime} to ${time}`)
    this.#lastTime = time
    const event: Event = { index: this.#events.length, time, process, type, f, value, ...also }
    this.#events.push(event)
    this.#tell(event)
  }
}
