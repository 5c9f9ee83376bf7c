/**
 * One claim on a queue, through all its incarnations: the deliveries that it holds, buffered or handed out, until each is
 * settled or lost. Extends their visibility while the client is attached. The last stop of a message's way.
 *
 * Invariants:
 * 1. `open` has every delivery of the current incarnation that is neither settled nor lost, in order of number.
 * 2. After a re-attachment nothing that was buffered is handed out before the cluster has said that it is still held; from the
 *    hello on nothing is handed out at all.
 * 3. What comes after a hello is not among what it names as held: with the attachment that it asks for it has gone back.
 */
import type { IncomingDelivery } from '../wire/deliver-frame.ts'
import { MeshError } from '../wire/errors.ts'
import { SettleOutcome } from '../wire/settle-frame.ts'
import type { Clock } from './clock.ts'
import { Deque } from './deque.ts'
import { Delivery, type DeliveryHolder } from './message.ts'
import type { Settles } from './settles.ts'

/** Visibility is extended this often within its time. */
const EXTENSIONS_PER_TIMEOUT = 3

export interface ConsumerSettings {
  readonly prefetch: number
  readonly visibilityTimeoutMs: number
  /** How long a message is kept by extension while it is handled, milliseconds; 0: never extended. */
  readonly extendMaxMs: number
}

/** What the consumer tells whoever hands out its messages. */
export interface ConsumerUser {
  /** There may be something to take. */
  ready(): void
  /** A message that was handed out is not this client's any more. */
  lost(delivery: Delivery): void
  /** The cluster has ended the consumer. */
  cancelled(error: MeshError): void
  /** A receive has got so many deliveries, and gets no more. */
  received?(count: number): void
  /** A new attachment, on which nothing comes that was assigned before. */
  attached?(): void
}

export class Consumer implements DeliveryHolder {
  readonly settings: ConsumerSettings
  readonly #settles: Settles
  readonly #clock: Clock
  readonly #user: ConsumerUser
  /** Minted by the log; undefined while the cluster knows no such consumer. */
  #incarnation: number | undefined
  #queue = ''
  readonly #open = new Map<number, Delivery>()
  readonly #buffer = new Deque<Delivery>()
  #handed = 0
  #lastDelivery = 0
  #isAttached = false
  /** Invariant 2: waits for the cluster's word. */
  #isInDoubt = false
  /** Rises with each cause of doubt: a word about an earlier one does not end a later one. */
  #doubts = 0
  /** Invariant 3: the last delivery that the pending hello names. */
  #heldUpTo = Number.POSITIVE_INFINITY
  #isStopped = false
  #ticks = 0
  /** Deliveries up to it have been here for a whole tick. */
  #tickMark = 0
  #cancelTick: (() => void) | undefined
  #idle: (() => void)[] = []

  constructor(settings: ConsumerSettings, settles: Settles, clock: Clock, user: ConsumerUser) {
    this.settings = settings
    this.#settles = settles
    this.#clock = clock
    this.#user = user
  }

  get incarnation(): number | undefined {
    return this.#incarnation
  }

  /** The queue of the incarnation. */
  get queue(): string {
    return this.#queue
  }

  /** Highest delivery number seen of this incarnation. */
  get lastDelivery(): number {
    return this.#lastDelivery
  }

  /** Deliveries that are neither settled nor lost. */
  get size(): number {
    return this.#open.size
  }

  /** It has room for all that its prefetch allows, and would take it. */
  get isIdle(): boolean {
    return this.#isAttached && !this.#isStopped && this.#open.size === 0
  }

  /** Handed out and neither settled nor lost. */
  get handed(): number {
    return this.#handed
  }

  /** The cluster has made this consumer. */
  begin(incarnation: number, queue: string): void {
    this.#incarnation = incarnation
    this.#queue = queue
    this.#lastDelivery = 0
    this.#tickMark = 0
    this.#isAttached = true
    this.#isInDoubt = false
    this.#heldUpTo = Number.POSITIVE_INFINITY
  }

  /** The next message to hand out, if there is one. */
  take(): Delivery | undefined {
    if (this.#isInDoubt || this.#isStopped) return undefined
    for (let delivery = this.#buffer.shift(); delivery !== undefined; delivery = this.#buffer.shift()) {
      if (!delivery.isOpen || this.#hasGoneBack(delivery)) continue
      delivery.handedTick = this.#ticks
      this.#handed++
      return delivery
    }
    return undefined
  }

  /** What a frame brought. What was seen before is dropped: nodes may send deliveries again (trap 34). */
  deliver(rows: readonly IncomingDelivery[]): void {
    const { extendMaxMs, visibilityTimeoutMs } = this.settings
    const untilMs = extendMaxMs > 0 ? Number.POSITIVE_INFINITY : this.#clock.now() + visibilityTimeoutMs
    for (const row of rows) {
      if (row.delivery <= this.#lastDelivery) continue
      this.#lastDelivery = row.delivery
      const delivery = new Delivery(row, this)
      delivery.untilMs = untilMs
      this.#open.set(row.delivery, delivery)
      this.#buffer.push(delivery)
    }
    if (this.#cancelTick === undefined) this.#scheduleTick()
    this.#user.ready()
  }

  /** Only a receive is told so. */
  received(count: number): void {
    this.#user.received?.(count)
  }

  cancelled(error: MeshError): void {
    this.#user.cancelled(error)
  }

  settle(delivery: Delivery, outcome: SettleOutcome, ms: number): Promise<void> {
    const consumer = this.#incarnation!
    this.#release(delivery)
    const settled = this.#settles.settle({ consumer, delivery: delivery.number, outcome, ms })
    this.#afterSettle()
    return settled
  }

  /** For a handler: nobody waits for the answer. */
  settleQuietly(delivery: Delivery, outcome: SettleOutcome, ms: number): void {
    delivery.markSettled()
    this.#release(delivery)
    this.#settles.add({ consumer: this.#incarnation!, delivery: delivery.number, outcome, ms })
    this.#afterSettle()
  }

  extend(delivery: Delivery, ms: number): Promise<void> {
    const { extended } = SettleOutcome
    return this.#settles.settle({ consumer: this.#incarnation!, delivery: delivery.number, outcome: extended, ms })
  }

  /** Everything without a confirmed settle, as the hello that goes out now lists it. */
  held(): [first: number, count: number][] {
    if (this.#incarnation === undefined) return []
    this.greeted()
    const open = [...this.#open.keys()].filter((number) => number <= this.#heldUpTo)
    return joined([...runsOf(open), ...this.#settles.unconfirmed(this.#incarnation)])
  }

  /** A hello was sent that names nothing of it beyond what has come so far. */
  greeted(): void {
    this.#doubts++
    this.#isInDoubt = true
    this.#heldUpTo = Math.min(this.#heldUpTo, this.#lastDelivery)
  }

  detached(): void {
    this.#isAttached = false
    this.#doubts++
    this.#isInDoubt ||= this.#open.size > 0
    this.#stopTicks()
  }

  /** The hello is answered: all that it did not name has gone back. */
  attached(): void {
    const error = new MeshError('LeaseLost', 'the delivery came while the client moved')
    for (const delivery of [...this.#open.values()]) {
      if (delivery.number > this.#heldUpTo) this.#lose(delivery, error)
    }
    if (this.#heldUpTo !== Number.POSITIVE_INFINITY) this.#user.attached?.()
    this.goOn()
  }

  /**
   * On this attachment, whichever it is by now. Asks for what it holds: an extension of a delivery that went back meanwhile comes
   * back as stale.
   */
  goOn(): void {
    this.#isAttached = true
    this.#heldUpTo = Number.POSITIVE_INFINITY
    if (this.#open.size === 0) {
      this.#isInDoubt = false
      return
    }
    const doubts = ++this.#doubts
    const asked = this.#extendAll([...this.#open.values()])
    this.#scheduleTick()
    const certain = () => {
      if (!this.#isAttached || doubts !== this.#doubts) return
      this.#isInDoubt = false
      this.#user.ready()
    }
    asked.then(certain, certain)
  }

  /** Deliveries of this incarnation that went elsewhere. */
  stale(first: number, count: number): void {
    const error = new MeshError('LeaseLost', 'the delivery went back to its queue')
    for (const delivery of [...this.#open.values()]) {
      if (delivery.number >= first && delivery.number < first + count) this.#lose(delivery, error)
    }
    this.#afterSettle()
  }

  /** The incarnation is over, and with it all that it held. */
  end(error: MeshError): void {
    for (const delivery of [...this.#open.values()]) this.#lose(delivery, error)
    this.#buffer.clear()
    if (this.#incarnation !== undefined) this.#settles.forget(this.#incarnation, error)
    this.#incarnation = undefined
    this.#isInDoubt = false
    this.#stopTicks()
    this.#tellIdle()
  }

  /** Hands out nothing more; what is handed out may still be settled. */
  stop(): void {
    this.#isStopped = true
  }

  /** Resolves when everything handed out is settled or lost. */
  async finished(): Promise<void> {
    if (this.#handed > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** It waited here for longer than it was this client's, behind others that took their time, and nobody extended it. */
  #hasGoneBack(delivery: Delivery): boolean {
    if (delivery.untilMs === Number.POSITIVE_INFINITY || this.#clock.now() < delivery.untilMs) return false
    this.#lose(delivery, new MeshError('LeaseLost', 'the delivery went back to its queue'))
    return true
  }

  #release(delivery: Delivery): void {
    if (!this.#open.delete(delivery.number)) return
    if (delivery.handedTick !== undefined) this.#handed--
  }

  #afterSettle(): void {
    this.#tellIdle()
    this.#user.ready()
  }

  #lose(delivery: Delivery, error: MeshError): void {
    this.#release(delivery)
    delivery.lose(error)
    // Nobody knows of those that were only buffered, and what its user closes is no loss.
    if (delivery.handedTick !== undefined && error.code !== 'Closed') this.#user.lost(delivery)
  }

  #tellIdle(): void {
    if (this.#handed > 0 || this.#idle.length === 0) return
    const idle = this.#idle
    this.#idle = []
    for (const resolve of idle) resolve()
  }

  #scheduleTick(): void {
    this.#stopTicks()
    const ms = this.settings.visibilityTimeoutMs / EXTENSIONS_PER_TIMEOUT
    this.#cancelTick = this.#clock.setTimer(ms, () => this.#tick(ms))
  }

  #stopTicks(): void {
    this.#cancelTick?.()
    this.#cancelTick = undefined
  }

  #tick(ms: number): void {
    this.#ticks++
    this.#cancelTick = undefined
    if (this.#open.size === 0) return
    const due: Delivery[] = []
    for (const delivery of this.#open.values()) {
      if (delivery.number > this.#tickMark) break
      const handledMs = delivery.handedTick === undefined ? 0 : (this.#ticks - delivery.handedTick) * ms
      if (handledMs <= this.settings.extendMaxMs) due.push(delivery)
      else delivery.warn(new MeshError('LeaseLost', `handled for more than ${this.settings.extendMaxMs} ms`))
    }
    this.#tickMark = this.#lastDelivery
    if (due.length > 0) this.#extendAll(due).catch(() => {})
    this.#scheduleTick()
  }

  /** Resolves when the cluster has answered for all of them; staleness is told to `stale`. */
  #extendAll(deliveries: readonly Delivery[]): Promise<unknown> {
    if (this.settings.extendMaxMs === 0) return Promise.resolve()
    const ms = this.settings.visibilityTimeoutMs
    const { extended } = SettleOutcome
    const consumer = this.#incarnation!
    for (const { number } of deliveries.slice(1))
      this.#settles.add({ consumer, delivery: number, outcome: extended, ms })
    return this.#settles.settle({ consumer, delivery: deliveries[0]!.number, outcome: extended, ms })
  }
}

/** Rising numbers as runs of consecutive ones. */
function runsOf(numbers: Iterable<number>): [first: number, count: number][] {
  const runs: [number, number][] = []
  for (const number of numbers) {
    const last = runs[runs.length - 1]
    if (last !== undefined && last[0] + last[1] === number) last[1]++
    else runs.push([number, 1])
  }
  return runs
}

/** The fewest runs for the same numbers. */
function joined(runs: [first: number, count: number][]): [first: number, count: number][] {
  const result: [number, number][] = []
  for (const [first, count] of runs.sort((a, b) => a[0] - b[0])) {
    const last = result[result.length - 1]
    if (last !== undefined && first <= last[0] + last[1]) last[1] = Math.max(last[1], first + count - last[0])
    else result.push([first, count])
  }
  return result
}
