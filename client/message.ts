/**
 * Messages as handlers and iterators see them. Bodies and properties are decoded when they are first looked at, so that a
 * message that is only passed on or acknowledged costs no decoding.
 */
import type { IncomingDelivery } from '../wire/deliver-frame.ts'
import { MeshError } from '../wire/errors.ts'
import { decodeMessage, type MessageProperties } from '../wire/message.ts'
import { decode } from '../wire/msgpack.ts'
import { SettleOutcome } from '../wire/settle-frame.ts'
import { GROUP } from './identity.ts'
import { delay } from './options.ts'

/** Thrown by a handler: trying again is useless. The message is rejected. */
export class PermanentError extends Error {
  override readonly name = 'PermanentError'
}

export interface Message<T = unknown> {
  /** Group, session and sequence of its publish; the same for each of its attempts. */
  readonly id: string
  readonly topic: string
  /** Decoded at the first look. Throws PermanentError when it is no MessagePack. Byte strings in it are views of `raw`. */
  readonly body: T
  /** The body as it was sent, still encoded. */
  readonly raw: Uint8Array
  readonly headers: Readonly<Record<string, string>>
  /** Counts from 1. */
  readonly attempt: number
  /** When the cluster took it. */
  readonly timestamp: Date
  readonly correlationId: string | undefined
  readonly replyTo: string | undefined
  /** Aborted when this client holds the message no longer: what its handler still does may be done elsewhere too. */
  readonly signal: AbortSignal
  /**
   * Done with. Resolves when the cluster has applied it, as the other three do; rejects with LeaseLost when the delivery was not
   * open any more, and at the client's `publishTimeoutMs`. A message is settled once: a second time is a TypeError.
   * Requests and replies have nothing to settle: there it resolves at once.
   */
  ack(): Promise<void>
  /** Back to its place in the queue, after `delayMs`. */
  nack(options?: { readonly delayMs?: number }): Promise<void>
  /** Never to be delivered again. */
  reject(): Promise<void>
  /** Stays this client's for `ms` from now on, whatever happens to the client. The client does so by itself while it can. */
  extend(ms: number): Promise<void>
}

/** Where settles of a delivery go. */
export interface DeliveryHolder {
  settle(delivery: Delivery, outcome: SettleOutcome, ms: number): Promise<void>
  extend(delivery: Delivery, ms: number): Promise<void>
}

/** What of a message can be read from its bytes. */
class Content {
  readonly #bytes: Uint8Array
  #decoded: { readonly body: Uint8Array; readonly properties: MessageProperties | undefined } | undefined
  #body: unknown
  #hasBody = false

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get #parts() {
    this.#decoded ??= this.#read(() => decodeMessage(this.#bytes))
    return this.#decoded
  }

  get raw(): Uint8Array {
    return this.#parts.body
  }

  get body(): unknown {
    if (!this.#hasBody) {
      const { body } = this.#parts
      this.#body = this.#read(() => decode(body))
      this.#hasBody = true
    }
    return this.#body
  }

  get headers(): Readonly<Record<string, string>> {
    return this.#parts.properties?.headers ?? {}
  }

  get correlationId(): string | undefined {
    return this.#parts.properties?.correlationId
  }

  get replyTo(): string | undefined {
    return this.#parts.properties?.replyTo
  }

  #read<T>(decoding: () => T): T {
    try {
      return decoding()
    } catch (error) {
      throw new PermanentError('the message cannot be decoded', { cause: error })
    }
  }
}

/** A message of a queue, held by a consumer until it is settled or lost. */
export class Delivery extends Content implements Message {
  readonly number: number
  readonly #row: IncomingDelivery
  readonly #holder: DeliveryHolder
  #state: 'open' | 'settled' | MeshError = 'open'
  #controller: AbortController | undefined
  /** The consumer's tick at which it was handed out; undefined while it is buffered. */
  handedTick: number | undefined
  /** By the client's clock: at this time it has gone back, if nobody asked for more. */
  untilMs = Number.POSITIVE_INFINITY

  constructor(row: IncomingDelivery, holder: DeliveryHolder) {
    super(row.message)
    this.number = row.delivery
    this.#row = row
    this.#holder = holder
  }

  get id(): string {
    return `${GROUP}-${this.#row.session}-${this.#row.sequence}`
  }

  get topic(): string {
    return this.#row.topic
  }

  get attempt(): number {
    return this.#row.attempt
  }

  get timestamp(): Date {
    return new Date(this.#row.wallMs)
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#state instanceof MeshError) this.#controller.abort(this.#state)
    }
    return this.#controller.signal
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  ack(): Promise<void> {
    return this.#settle(SettleOutcome.accepted, 0)
  }

  nack({ delayMs = 0 }: { readonly delayMs?: number } = {}): Promise<void> {
    return this.#settle(SettleOutcome.released, delayMs)
  }

  reject(): Promise<void> {
    return this.#settle(SettleOutcome.rejected, 0)
  }

  extend(ms: number): Promise<void> {
    const problem = this.#problem()
    if (problem !== undefined) return Promise.reject(problem)
    try {
      return this.#holder.extend(this, delay('ms', ms))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The holder has decided by itself: no settle of the user counts any more. */
  markSettled(): void {
    this.#state = 'settled'
  }

  /** It is not this client's any more. */
  lose(error: MeshError): void {
    if (this.#state !== 'open') return
    this.#state = error
    this.#controller?.abort(error)
  }

  /** Tells the handler to stop, while a settle may still come in time. */
  warn(error: MeshError): void {
    this.#controller ??= new AbortController()
    this.#controller.abort(error)
  }

  #settle(outcome: SettleOutcome, ms: number): Promise<void> {
    const problem = this.#problem()
    if (problem !== undefined) return Promise.reject(problem)
    try {
      const wholeMs = delay('delayMs', ms)
      this.#state = 'settled'
      return this.#holder.settle(this, outcome, wholeMs)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #problem(): Error | undefined {
    if (this.#state === 'settled') return new TypeError(`message ${this.id} was settled before`)
    return this.#state === 'open' ? undefined : this.#state
  }
}

export interface VolatileFields {
  readonly id: string
  readonly topic: string
  readonly wallMs: number
  readonly bytes: Uint8Array
}

/** A request or a reply: it was in no queue, so that there is nothing to settle. */
export class VolatileMessage extends Content implements Message {
  readonly id: string
  readonly topic: string
  readonly attempt = 1
  readonly #wallMs: number
  #controller: AbortController | undefined
  #abortedBy: MeshError | undefined

  constructor({ id, topic, wallMs, bytes }: VolatileFields) {
    super(bytes)
    this.id = id
    this.topic = topic
    this.#wallMs = wallMs
  }

  get timestamp(): Date {
    return new Date(this.#wallMs)
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#abortedBy !== undefined) this.#controller.abort(this.#abortedBy)
    return this.#controller.signal
  }

  abort(error: MeshError): void {
    this.#abortedBy = error
    this.#controller?.abort(error)
  }

  async ack(): Promise<void> {}
  async nack(): Promise<void> {}
  async reject(): Promise<void> {}
  async extend(): Promise<void> {}
}
