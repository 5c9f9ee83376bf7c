/**
 * The driver's ports in memory, each under the test's command: a clock that stands still until told, a log whose appends
 * complete when told, a transport that hands messages to the other drivers of the same mesh.
 */
import type {
  Clock,
  Entry,
  HardState,
  InstallOffer,
  LogIndex,
  LogStorage,
  Message,
  NodeId,
  RecoveredLog,
  RoleChange,
  StateMachine,
  Transport,
} from '../../../raft/index.ts'
import { appendCutting, type Base, NO_BASE, readLog, recoveredLog } from './entries.ts'

interface Timer {
  readonly atMs: number
  readonly callback: () => void
}

export class ManualClock implements Clock {
  #nowMs = 0
  readonly #timers = new Set<Timer>()
  #deferred: (() => void)[] = []

  now(): number {
    return this.#nowMs
  }

  setTimer(ms: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback)
  }

  get timerCount(): number {
    return this.#timers.size
  }

  /** Lets time jump, as after a stall of the event loop: each timer that is due fires once. */
  jump(ms: number): void {
    this.#nowMs += ms
    for (const timer of [...this.#timers]) {
      if (timer.atMs > this.#nowMs) continue
      this.#timers.delete(timer)
      timer.callback()
    }
  }

  /** One turn of what was deferred up to now, and of the promises that it settles. */
  async turn(): Promise<boolean> {
    const deferred = this.#deferred
    this.#deferred = []
    for (const callback of deferred) callback()
    // Promises of the in-memory ports settle within a few microtasks; a macrotask lets all of them.
    await new Promise((resolve) => setImmediate(resolve))
    return deferred.length > 0 || this.#deferred.length > 0
  }

  /** Turns until nothing is deferred any more. */
  async rest(): Promise<void> {
    for (let turns = 0; turns < 10_000; turns++) if (!(await this.turn())) return
    throw new Error('the drivers do not come to rest')
  }

  /** Time passes 10 ms at a time. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      this.jump(10)
      await this.rest()
    }
  }
}

type Batch = Parameters<LogStorage['append']>[0]

export class MemoryStorage implements LogStorage {
  hardState: HardState = { term: 0, vote: '', commit: 0 }
  base = NO_BASE
  /** What follows `base`, with unsynced appends, as reads see it. */
  readonly log: Entry[] = []
  readonly batches: Batch[] = []
  readonly resets: Base[] = []
  readonly reads: { readonly from: LogIndex; readonly bytesMax: number }[] = []
  /** While true, appends wait for release(). */
  isHeld = false
  /** While true, reads wait for releaseReads(). */
  isReadHeld = false
  failure: Error | undefined
  #waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = []
  #waitingReads: (() => void)[] = []

  recovered(): RecoveredLog {
    return recoveredLog(this.hardState, this.log, this.base)
  }

  append(batch: Batch): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure)
    this.batches.push(batch)
    if (batch.hardState !== undefined) this.hardState = batch.hardState
    appendCutting(this.log, batch.entries, this.base)
    return this.#synced()
  }

  reset(base: Base): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure)
    this.resets.push(base)
    this.base = base
    this.log.length = 0
    return this.#synced()
  }

  /** Drops what the driver has forgotten. */
  compact(index: LogIndex): void {
    const entry = this.log[index - this.base.index - 1]!
    this.log.splice(0, index - this.base.index)
    this.base = { index, term: entry.term }
  }

  #synced(): Promise<void> {
    if (!this.isHeld) return Promise.resolve()
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  get waitingCount(): number {
    return this.#waiting.length
  }

  /** Completes the oldest `count` appends, in order. */
  release(count = this.#waiting.length): void {
    for (const { resolve } of this.#waiting.splice(0, count)) resolve()
  }

  /** Fails all appends that are under way. */
  failWaiting(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }

  releaseReads(): void {
    for (const resolve of this.#waitingReads.splice(0)) resolve()
  }

  async read(from: LogIndex, bytesMax: number): Promise<Entry[]> {
    if (this.failure !== undefined) throw this.failure
    this.reads.push({ from, bytesMax })
    if (this.isReadHeld) await new Promise<void>((resolve) => this.#waitingReads.push(resolve))
    return readLog(this.log, this.base, from, bytesMax)
  }
}

export class Mesh {
  readonly #receivers = new Map<NodeId, (message: Message) => void>()
  readonly sent: Message[] = []
  drop: (message: Message) => boolean = () => false
  readonly #clock: ManualClock

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  transport(): Transport {
    return {
      send: (message) => {
        this.sent.push(message)
        if (!this.drop(message)) this.#clock.defer(() => this.#receivers.get(message.to)?.(message))
      },
    }
  }

  connect(id: NodeId, receive: (message: Message) => void): void {
    this.#receivers.set(id, receive)
  }
}

export class RecordingMachine implements StateMachine {
  readonly applied: Entry[] = []
  readonly roles: RoleChange[] = []
  readonly offers: InstallOffer[] = []
  readonly trusted: number[] = []
  onApply: (entry: Entry) => void = () => {}

  apply(entry: Entry): void {
    this.applied.push(entry)
    this.onApply(entry)
  }

  onRoleChange(change: RoleChange): void {
    this.roles.push(change)
  }

  onInstall(offer: InstallOffer): void {
    this.offers.push(offer)
  }

  onTrusted(doubt: number): void {
    this.trusted.push(doubt)
  }
}
