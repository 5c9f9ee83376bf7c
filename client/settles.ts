/**
 * What became of deliveries, on its way to the cluster: gathered into runs and frames, kept until it is confirmed, sent again
 * on each new attachment. Sending twice is harmless, since an item names the consumer's incarnation and the delivery; what
 * is found no longer open, also because a first sending did arrive, is LeaseLost with outcome `unknown` (trap 40).
 */
import { MeshError } from '../wire/errors.ts'
import { limits } from '../wire/limits.ts'
import type { SettledNotice } from '../wire/session-frames.ts'
import { encodeSettleFrame, type SettleItem, SettleOutcome } from '../wire/settle-frame.ts'
import type { Clock } from './clock.ts'
import { Deadlines } from './deadlines.ts'
import { GROUP, type Identity } from './identity.ts'
import type { PublisherHost } from './publisher.ts'

export interface Settle {
  readonly consumer: number
  readonly delivery: number
  readonly outcome: SettleOutcome
  /** Delay of a release, or the extension, milliseconds. */
  readonly ms: number
}

export interface SettlesHost extends PublisherHost {
  /** Deliveries that turned out not to be open any more. */
  stale(consumer: number, first: number, count: number): void
  /** The client knows every outcome up to it; asked for each frame that goes out and tells the cluster so. */
  seen(): number
}

/** Somebody who waits for one settle. */
interface Waiter {
  readonly settle: Settle
  readonly deadlineMs: number
  readonly resolve: () => void
  readonly reject: (error: MeshError) => void
  isOver: boolean
}

/** What is gathered until one flush, then under way: as a rule in one frame. */
class Batch {
  readonly waiters: Waiter[] = []
  readonly stale: SettledNotice['stale'][number][] = []
  /** Told when the cluster has answered for all of it. */
  readonly onAnswer: (() => void)[] = []
  framesOpen = 0
}

interface SentFrame {
  readonly tag: number
  readonly batch: Batch
  readonly items: readonly SettleItem[]
}

export class Settles {
  readonly #identity: Identity
  readonly #timeoutMs: number
  readonly #host: SettlesHost
  readonly #deadlines: Deadlines
  /** Runs that were not sent yet. */
  #items: Mutable<SettleItem>[] = []
  #gathering = new Batch()
  readonly #frames = new Map<number, SentFrame>()
  readonly #underWay = new Set<Batch>()
  #lastTag = 0
  #resend = false

  constructor(identity: Identity, timeoutMs: number, clock: Clock, host: SettlesHost) {
    this.#identity = identity
    this.#timeoutMs = timeoutMs
    this.#host = host
    this.#deadlines = new Deadlines(clock, (nowMs) => this.#expire(nowMs))
  }

  /** Without anybody who waits. */
  add({ consumer, delivery, outcome, ms }: Settle): void {
    const last = this.#items[this.#items.length - 1]
    // Mostly deliveries are settled in their order.
    if (
      last !== undefined &&
      last.consumer === consumer &&
      last.firstDelivery + last.count === delivery &&
      last.outcome === outcome &&
      last.ms === ms
    ) {
      last.count++
      return
    }
    if (last === undefined) this.#host.wake()
    this.#items.push({ consumer, firstDelivery: delivery, count: 1, outcome, ms })
  }

  /** Resolves when the cluster has applied it. Rejects with LeaseLost, SessionLost, or at the deadline. */
  settle(settle: Settle): Promise<void> {
    const deadlineMs = this.#host.wake() + this.#timeoutMs
    this.add(settle)
    this.#deadlines.add(deadlineMs)
    return new Promise((resolve, reject) => {
      this.#gathering.waiters.push({ settle, deadlineMs, resolve, reject, isOver: false })
    })
  }

  /** Only while attached. */
  flush(send: (frame: Uint8Array) => void): void {
    if (this.#resend) {
      this.#resend = false
      for (const { tag, items } of this.#frames.values()) send(this.#encode(tag, items))
    }
    if (this.#items.length === 0) return
    const items = this.#items.length === 1 ? this.#items : merge(this.#items)
    const batch = this.#gathering
    this.#underWay.add(batch)
    this.#items = []
    this.#gathering = new Batch()
    for (let i = 0; i < items.length; i += limits.frameSettlesMax) {
      const frame = { tag: ++this.#lastTag, batch, items: items.slice(i, i + limits.frameSettlesMax) }
      batch.framesOpen++
      this.#frames.set(frame.tag, frame)
      send(this.#encode(frame.tag, frame.items))
    }
  }

  /** A frame that settles nothing: it tells the cluster what was seen when nothing else is there to do so. Its answer tells nothing. */
  tellSeen(send: (frame: Uint8Array) => void): void {
    send(this.#encode(++this.#lastTag, []))
  }

  /** Answer to a frame. One that was answered before is answered again when a node sent it twice: that tells nothing. */
  settled({ tag, stale }: SettledNotice): void {
    const frame = this.#frames.get(tag)
    if (frame === undefined) return
    this.#frames.delete(tag)
    const { batch } = frame
    batch.stale.push(...stale)
    if (--batch.framesOpen > 0) return
    this.#underWay.delete(batch)
    for (const [consumer, first, count] of batch.stale) this.#host.stale(consumer, first, count)
    for (const waiter of batch.waiters) finish(waiter, batch.stale)
    for (const tell of batch.onAnswer) tell()
  }

  attached(): void {
    this.#resend = true
  }

  /** The consumer does not exist any more: nothing that it held is open, and to settle it means nothing. */
  forget(consumer: number, error: MeshError): void {
    this.#items = this.#items.filter((item) => item.consumer !== consumer)
    if (this.#items.length === 0) for (const tell of this.#gathering.onAnswer.splice(0)) tell()
    for (const waiter of this.#allWaiters()) if (waiter.settle.consumer === consumer) fail(waiter, error)
  }

  sessionLost(error: MeshError): void {
    const batches = [...this.#underWay, this.#gathering]
    this.#items = []
    this.#gathering = new Batch()
    this.#frames.clear()
    this.#underWay.clear()
    for (const { waiters, onAnswer } of batches) {
      for (const waiter of waiters) fail(waiter, error)
      for (const tell of onAnswer) tell()
    }
  }

  close(error: MeshError): void {
    this.#deadlines.stop()
    this.sessionLost(error)
  }

  /** Runs of settles that are not confirmed, for one consumer: their deliveries still count as held. */
  unconfirmed(consumer: number): [first: number, count: number][] {
    const runs: [number, number][] = []
    const gather = (items: readonly SettleItem[]) => {
      for (const item of items) {
        if (item.consumer !== consumer || item.outcome === SettleOutcome.extended) continue
        runs.push([item.firstDelivery, item.count])
      }
    }
    for (const { items } of this.#frames.values()) gather(items)
    gather(this.#items)
    return runs
  }

  /** Resolves when the cluster has answered for everything settled so far. */
  async barrier(): Promise<void> {
    const batches = this.#items.length === 0 ? [...this.#underWay] : [...this.#underWay, this.#gathering]
    await Promise.all(batches.map(({ onAnswer }) => new Promise<void>((resolve) => onAnswer.push(resolve))))
  }

  /** Resolves when the cluster has answered for everything sent so far. */
  async answered(): Promise<void> {
    await Promise.all([...this.#underWay].map(({ onAnswer }) => new Promise<void>((resolve) => onAnswer.push(resolve))))
  }

  #encode(tag: number, items: readonly SettleItem[]): Uint8Array {
    const { session, epoch } = this.#identity
    return encodeSettleFrame({ group: GROUP, session, epoch, tag, seen: this.#host.seen() }, items)
  }

  *#allWaiters(): IterableIterator<Waiter> {
    for (const batch of this.#underWay) yield* batch.waiters
    yield* this.#gathering.waiters
  }

  #expire(nowMs: number): number {
    let earliestMs = Number.POSITIVE_INFINITY
    const due: Waiter[] = []
    for (const waiter of this.#allWaiters()) {
      if (waiter.isOver) continue
      if (waiter.deadlineMs <= nowMs) due.push(waiter)
      else if (waiter.deadlineMs < earliestMs) earliestMs = waiter.deadlineMs
    }
    const { code, message } = this.#host.problem()
    // Sent or not, it will go out: what the caller decided about a delivery is not taken back.
    const problem = `settle: no answer before the deadline; ${message}`
    for (const waiter of due) fail(waiter, new MeshError(code, problem, { outcome: 'unknown' }))
    return earliestMs
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

function finish(waiter: Waiter, stale: Batch['stale']): void {
  if (waiter.isOver) return
  const { consumer, delivery } = waiter.settle
  for (const [of, first, count] of stale) {
    if (of !== consumer || delivery < first || delivery >= first + count) continue
    return fail(waiter, new MeshError('LeaseLost', 'the delivery was not open any more'))
  }
  waiter.isOver = true
  waiter.resolve()
}

function fail(waiter: Waiter, error: MeshError): void {
  if (waiter.isOver) return
  waiter.isOver = true
  waiter.reject(error)
}

/** Fewest items for the same settles: handlers that run side by side finish in any order. */
function merge(items: Mutable<SettleItem>[]): SettleItem[] {
  items.sort(
    (a, b) => a.consumer - b.consumer || a.outcome - b.outcome || a.ms - b.ms || a.firstDelivery - b.firstDelivery,
  )
  const merged: Mutable<SettleItem>[] = []
  for (const item of items) {
    const last = merged[merged.length - 1]
    if (
      last !== undefined &&
      last.consumer === item.consumer &&
      last.outcome === item.outcome &&
      last.ms === item.ms &&
      last.firstDelivery + last.count === item.firstDelivery
    ) {
      last.count += item.count
    } else merged.push(item)
  }
  return merged
}
