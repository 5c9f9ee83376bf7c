/**
 * Publishes and control commands as promises, each of which settles by its deadline. The first stop of a message's way: it is
 * checked and encoded here, once, and then waits for the end of the turn.
 */
import type { ControlCommand } from '../wire/control-frame.ts'
import { type ErrorCode, MeshError } from '../wire/errors.ts'
import { limits } from '../wire/limits.ts'
import { encodeMessage, type MessageProperties } from '../wire/message.ts'
import type { Clock } from './clock.ts'
import { Deadlines } from './deadlines.ts'
import type { Identity } from './identity.ts'
import { KnownTopics } from './known-topics.ts'
import { positive, type Settings } from './options.ts'
import { CommandItem, type Item, type OnResult, type PubAck, PublishItem, type Result } from './outgoing.ts'
import { type Outgoing, Sequencer } from './sequencer.ts'

/** What a message costs beside its bytes: promise, record, columns. */
const MESSAGE_OVERHEAD_BYTES = 256

export interface PublishOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly correlationId?: string
  readonly replyTo?: string
  /** Ends the waiting; a message that was sent already may still be stored (outcome `unknown`). */
  readonly signal?: AbortSignal
  /** Instead of the client's `publishTimeoutMs`. */
  readonly timeoutMs?: number
}

/** Why nothing is judged or answered at the moment. */
export interface Problem {
  readonly code: ErrorCode
  readonly message: string
  readonly isAttached: boolean
}

/** What the publisher needs to know of the client around it. */
export interface PublisherHost {
  /** Asks for a flush at the end of the turn; monotonic milliseconds of the turn. */
  wake(): number
  problem(): Problem
}

export class Publisher {
  readonly sequencer: Sequencer
  readonly #identity: Identity
  readonly #settings: Settings
  readonly #host: PublisherHost
  readonly #deadlines: Deadlines
  readonly #topics = new KnownTopics()
  #closed: MeshError | undefined

  constructor(identity: Identity, settings: Settings, clock: Clock, host: PublisherHost) {
    this.#identity = identity
    this.#settings = settings
    this.#host = host
    this.sequencer = new Sequencer(identity, settings.maxInFlight)
    this.#deadlines = new Deadlines(clock, (nowMs) => this.#expire(nowMs))
  }

  /** Not `async`: this is the hottest function of the client, and everything that it awaits is one promise. */
  publish(topic: string, body: unknown, options: PublishOptions | undefined): Promise<PubAck> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    let message: Uint8Array
    let timeoutMs = this.#settings.publishTimeoutMs
    try {
      this.#topics.check(topic)
      message = encodeChecked(body, options)
      if (options?.timeoutMs !== undefined) timeoutMs = positive('timeoutMs', options.timeoutMs, timeoutMs)
    } catch (error) {
      return Promise.reject(error)
    }
    const charge = message.length + MESSAGE_OVERHEAD_BYTES
    if (this.sequencer.charged + charge > this.#settings.maxBufferedBytes && this.sequencer.charged > 0) {
      const problem = `more than ${this.#settings.maxBufferedBytes} bytes of publishes wait for their outcome`
      return Promise.reject(new MeshError('Overloaded', problem))
    }
    const signal = options?.signal
    if (signal?.aborted) return Promise.reject(aborted(signal, 'not-applied'))
    const item = new PublishItem(this.#identity, topic, message, charge, this.#host.wake() + timeoutMs)
    if (signal !== undefined) item.watch(signal, () => this.#abort(item, signal))
    this.sequencer.push(item)
    this.#deadlines.add(item.deadlineMs)
    return item.promise
  }

  /**
   * A control command. `onResult` is called when it is applied, before any frame that follows is looked at, even if
   * the promise has failed at its deadline by then.
   */
  command(command: ControlCommand, timeoutMs: number, onResult?: OnResult): Promise<Result> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    const item = new CommandItem(command, MESSAGE_OVERHEAD_BYTES, this.#host.wake() + timeoutMs, onResult)
    this.sequencer.push(item)
    this.#deadlines.add(item.deadlineMs)
    return item.promise
  }

  /** Fails everything; nothing is taken any more. */
  close(error: (isSent: boolean) => MeshError): void {
    this.#closed ??= error(false)
    this.#deadlines.stop()
    for (const { item, isSent } of this.sequencer.outstanding()) (item as Item).fail(error(isSent))
  }

  #expire(nowMs: number): number {
    let earliestMs = Number.POSITIVE_INFINITY
    const due: { item: Item; isSent: boolean }[] = []
    for (const { item, isSent } of this.sequencer.outstanding()) {
      if (item.isOver) continue
      if (item.deadlineMs <= nowMs) due.push({ item: item as Item, isSent })
      else if (item.deadlineMs < earliestMs) earliestMs = item.deadlineMs
    }
    for (const { item, isSent } of due) {
      item.fail(this.#late(item, isSent))
      if (!isSent) this.sequencer.withdraw(item)
    }
    return earliestMs
  }

  #late(item: Outgoing, isSent: boolean): MeshError {
    const what = item.command?.type ?? `publish to '${item.topic}'`
    const { code, message, isAttached } = this.#host.problem()
    if (isSent)
      return new MeshError(code, `${what}: no outcome before the deadline; ${message}`, { outcome: 'unknown' })
    // Attached and yet unsent: all of the window is taken by what was sent before.
    const reason = isAttached ? 'Overloaded' : code
    return new MeshError(reason, `${what}: not sent before the deadline; ${message}`, { outcome: 'not-applied' })
  }

  #abort(item: PublishItem, signal: AbortSignal): void {
    const isSent = item.message === undefined
    item.fail(aborted(signal, isSent ? 'unknown' : 'not-applied'))
    if (!isSent) this.sequencer.withdraw(item)
  }
}

export function aborted(signal: AbortSignal, outcome: 'unknown' | 'not-applied'): MeshError {
  return new MeshError('Aborted', 'the caller aborted', { outcome, cause: signal.reason })
}

/** A message's bytes. Throws MeshError Validation or PayloadTooLarge. */
export function encodeChecked(body: unknown, properties: MessageProperties | undefined): Uint8Array {
  const message = encodeBody(body, properties && pickProperties(properties))
  if (message.length > limits.messageBytesMax) {
    throw new MeshError(
      'PayloadTooLarge',
      `${message.length} bytes are above the ${limits.messageBytesMax} of a message`,
    )
  }
  return message
}

function encodeBody(body: unknown, properties: MessageProperties | undefined): Uint8Array {
  try {
    return encodeMessage(body, properties)
  } catch (error) {
    throw new MeshError('Validation', 'the body cannot be encoded', { cause: error })
  }
}

/** What of the options travels with the message. */
function pickProperties({ headers, correlationId, replyTo }: MessageProperties): MessageProperties | undefined {
  if (headers === undefined && correlationId === undefined && replyTo === undefined) return undefined
  return {
    ...(headers === undefined ? {} : { headers }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(replyTo === undefined ? {} : { replyTo }),
  }
}
