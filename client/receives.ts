/**
 * Receives: a queue asked once for what it has. The cluster makes a consumer for it that takes messages once (`receive` in
 * wire/control-frame.ts); when that is over before anything of it has reached this client, as when the connection was lost in between,
 * another one is made: the former has left nothing behind.
 *
 * Never: a message that is neither handed out nor on its way back.
 */
import { MeshError } from '../wire/errors.ts'
import { defaults, limits } from '../wire/limits.ts'
import { queueNameProblem } from '../wire/names.ts'
import { SettleOutcome } from '../wire/settle-frame.ts'
import type { ClaimHost } from './claim.ts'
import type { Clock } from './clock.ts'
import { Consumer, type ConsumerSettings, type ConsumerUser } from './consumer.ts'
import type { Delivery, Message } from './message.ts'
import { delay, EXTEND_MAX_MS, integer, positive } from './options.ts'
import type { Problem } from './publisher.ts'
import type { Settles } from './settles.ts'
import type { Status } from './status.ts'
import { within } from './within.ts'

export interface ReceiveOptions {
  /** Messages at the most. Default 1. */
  readonly max?: number
  /** How long to wait for the first message when there is none, milliseconds. Default 0. */
  readonly waitMs?: number
  /** When a message whose holder went silent is delivered again, milliseconds. Default 30 000. */
  readonly visibilityTimeoutMs?: number
  /** As of a subscription: the client extends what it handed out until it is settled, for `maxMs` (default: one hour). False: never. */
  readonly autoExtend?: { readonly maxMs: number } | false
}

/** The client around receives. */
export interface ReceiveHost extends ClaimHost {
  readonly settles: Settles
  readonly clock: Clock
  /** Why nothing is answered at the moment. */
  problem(): Problem
  tell(status: Status): void
}

/** For the cluster to take back what a receive still held when the client was drained, milliseconds. */
const CANCEL_TIMEOUT_MS = 2_000

/** All receives of a client that wait or hold messages. */
export class Receives {
  readonly #host: ReceiveHost
  readonly #all = new Set<Receive>()
  #closed: MeshError | undefined

  constructor(host: ReceiveHost) {
    this.#host = host
  }

  /** Not `async`, so that what is wrong with the arguments is told before anything is sent. */
  receive(queue: string, options: ReceiveOptions): Promise<Message[]> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    try {
      const receive = new Receive(queue, readSettings(queue, options), this.#host, () => this.#all.delete(receive))
      this.#all.add(receive)
      receive.ask()
      return receive.messages
    } catch (error) {
      return Promise.reject(error)
    }
  }

  sessionLost(error: MeshError): void {
    for (const receive of [...this.#all]) receive.sessionLost(error)
  }

  /** Waits for nothing more, and until all that was handed out is settled. Resolves with the number of messages that were not. */
  async finish(timeoutMs: number): Promise<number> {
    this.#closed ??= new MeshError('Closed', 'the client is draining')
    const closed = this.#closed
    const counts = await Promise.all([...this.#all].map((receive) => receive.finish(closed, timeoutMs)))
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /** The client is closed. */
  abandon(error: MeshError): void {
    this.#closed ??= error
    for (const receive of [...this.#all]) receive.abandon(error)
  }
}

interface Settings extends ConsumerSettings {
  readonly waitMs: number
}

/** Throws MeshError Validation. */
function readSettings(queue: string, options: ReceiveOptions): Settings {
  const problem = queueNameProblem(queue)
  if (problem !== undefined) throw new MeshError('Validation', problem)
  const { autoExtend, waitMs = 0 } = options
  const visibilityTimeoutMs = positive('visibilityTimeoutMs', options.visibilityTimeoutMs, defaults.visibilityTimeoutMs)
  return {
    prefetch: integer('max', options.max, 1, limits.receiveMessagesMax),
    waitMs: delay('waitMs', waitMs),
    visibilityTimeoutMs: delay('visibilityTimeoutMs', visibilityTimeoutMs),
    extendMaxMs: autoExtend === false ? 0 : positive('autoExtend.maxMs', autoExtend?.maxMs, EXTEND_MAX_MS),
  }
}

class Receive implements ConsumerUser {
  /** Resolves with what there was. */
  readonly messages: Promise<Message[]>
  readonly #queue: string
  readonly #settings: Settings
  readonly #host: ReceiveHost
  readonly #consumer: Consumer
  readonly #onEnd: () => void
  readonly #waitUntilMs: number
  readonly #deadlineMs: number
  readonly #cancelDeadline: () => void
  /** Deliveries that the consumer has got, as soon as that is known. */
  #count: number | undefined
  /** What has come is all that comes: the rest went back when the client was attached again. */
  #isCut = false
  #isAnswered = false
  #resolve!: (messages: Message[]) => void
  #reject!: (error: MeshError) => void

  constructor(queue: string, settings: Settings, host: ReceiveHost, onEnd: () => void) {
    this.#queue = queue
    this.#settings = settings
    this.#host = host
    this.#onEnd = onEnd
    this.#consumer = new Consumer(settings, host.settles, host.clock, this)
    this.messages = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#waitUntilMs = host.clock.now() + settings.waitMs
    this.#deadlineMs = this.#waitUntilMs + host.commandTimeoutMs
    this.#cancelDeadline = host.clock.setTimer(settings.waitMs + host.commandTimeoutMs, () => this.#late())
  }

  /** Asks the cluster (again). */
  ask(): void {
    this.#count = undefined
    this.#isCut = false
    const { prefetch: max, visibilityTimeoutMs } = this.#settings
    const nowMs = this.#host.clock.now()
    const waitMs = Math.max(0, Math.ceil(this.#waitUntilMs - nowMs))
    const timeoutMs = Math.max(0, this.#deadlineMs - nowMs)
    this.#host
      .command({ type: 'receive', queue: this.#queue, max, waitMs, visibilityTimeoutMs }, timeoutMs, ({ consumer }) => {
        if (typeof consumer !== 'number') throw new MeshError('Protocol', 'receive without a consumer')
        this.#begin(consumer)
      })
      .catch((error: unknown) => {
        // With its session whatever it may have got went back.
        if (error instanceof MeshError && error.code === 'SessionLost' && !this.#isAnswered) this.ask()
        else this.#fail(error as MeshError)
      })
  }

  received(count: number): void {
    if (count === 0) return this.#answer([])
    this.#count = count
    this.ready()
  }

  ready(): void {
    if (this.#isAnswered) return this.#sendBack()
    if (!this.#isWhole) return
    if (this.#consumer.size === 0) return this.#askAnew()
    const messages = this.#takeAll()
    if (messages.length > 0) this.#answer(messages)
    // They have gone back meanwhile. Else the cluster has yet to say that they are still held.
    else if (this.#consumer.size === 0) this.#askAnew()
  }

  lost({ id, topic }: Delivery): void {
    this.#host.tell({ type: 'leaseLost', id, topic })
  }

  attached(): void {
    this.#isCut = this.#consumer.size > 0
  }

  /**
   * The cluster knows no such consumer any more. If its queue is gone, the next one is told so. Settles under way may have been what ended
   * it, so that nobody can tell whether they were applied.
   */
  cancelled({ message }: MeshError): void {
    this.#part(new MeshError('LeaseLost', `the receive is over: ${message}`))
    if (this.#isAnswered) this.#onEnd()
    else this.ask()
  }

  sessionLost(error: MeshError): void {
    const wasMade = this.#consumer.incarnation !== undefined
    this.#part(error)
    if (this.#isAnswered) this.#onEnd()
    // Else the command fails with the session.
    else if (wasMade) this.ask()
  }

  async finish(error: MeshError, timeoutMs: number): Promise<number> {
    this.#fail(error)
    await within(this.#host.clock, timeoutMs, this.#consumer.finished())
    const unfinished = this.#consumer.handed
    if (this.#consumer.incarnation !== undefined) {
      await within(this.#host.clock, CANCEL_TIMEOUT_MS, this.#host.settles.barrier())
      this.#cancel(error)
    }
    return unfinished
  }

  abandon(error: MeshError): void {
    this.#fail(error)
    this.#part(error)
    this.#onEnd()
  }

  #begin(incarnation: number): void {
    if (this.#isAnswered) {
      // Its caller gave up waiting.
      this.#host.command({ type: 'cancel', consumer: incarnation }, this.#host.commandTimeoutMs).catch(() => {})
      return
    }
    this.#consumer.begin(incarnation, this.#queue)
    this.#host.enroll(this.#consumer)
  }

  get #isWhole(): boolean {
    return this.#isCut || (this.#count !== undefined && this.#consumer.lastDelivery >= this.#count)
  }

  #takeAll(): Delivery[] {
    const taken: Delivery[] = []
    for (let next = this.#consumer.take(); next !== undefined; next = this.#consumer.take()) taken.push(next)
    return taken
  }

  /** What comes after the answer was given. */
  #sendBack(): void {
    for (const delivery of this.#takeAll()) this.#consumer.settleQuietly(delivery, SettleOutcome.released, 0)
  }

  /** All that it got was lost before it could be handed out. */
  #askAnew(): void {
    this.#cancel(new MeshError('LeaseLost', 'the deliveries went back to their queue'))
    this.ask()
  }

  #late(): void {
    const messages = this.#takeAll()
    if (messages.length > 0) return this.#answer(messages)
    const { code, message } = this.#host.problem()
    const problem = `receive from '${this.#queue}': no answer before the deadline; ${message}`
    this.#fail(new MeshError(code, problem, { outcome: 'unknown' }))
  }

  #answer(messages: Message[]): void {
    const isWhole = this.#isWhole
    this.#isAnswered = true
    this.#cancelDeadline()
    this.#resolve(messages)
    if (messages.length > 0) void this.#endWhenSettled(isWhole)
    else this.#end()
  }

  #fail(error: MeshError): void {
    if (this.#isAnswered) return
    this.#isAnswered = true
    this.#cancelDeadline()
    this.#reject(error)
    if (this.#consumer.incarnation === undefined) this.#onEnd()
    else this.#cancel(error)
  }

  /** The cluster ends it by itself when the last of its deliveries is settled; until it says so they count as held. */
  async #endWhenSettled(isWhole: boolean): Promise<void> {
    await this.#consumer.finished()
    await this.#host.settles.barrier()
    const { incarnation } = this.#consumer
    if (incarnation === undefined) return
    if (isWhole) this.#end()
    else this.#cancel(new MeshError('Closed', 'the receive is over'))
  }

  #cancel(error: MeshError): void {
    const { incarnation } = this.#consumer
    this.#end(error)
    if (incarnation === undefined) return
    this.#host.command({ type: 'cancel', consumer: incarnation }, this.#host.commandTimeoutMs).catch(() => {})
  }

  #end(error = new MeshError('Closed', 'the receive is over')): void {
    this.#part(error)
    if (this.#isAnswered) this.#onEnd()
  }

  #part(error: MeshError): void {
    this.#host.dismiss(this.#consumer)
    this.#consumer.end(error)
  }
}
