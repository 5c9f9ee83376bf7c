/**
 * What subscriptions of both styles share (handler-subscription.ts, iterable-subscription.ts): options, the end, and the two
 * things that they stand on, a claim (what the cluster knows) and a consumer (what is held).
 */
import { MeshError } from '../wire/errors.ts'
import { defaults, limits } from '../wire/limits.ts'
import { patternProblem, queueNameProblem } from '../wire/names.ts'
import { Claim, type ClaimHost } from './claim.ts'
import type { Clock } from './clock.ts'
import { Consumer } from './consumer.ts'
import type { Message } from './message.ts'
import { delay, EXTEND_MAX_MS, integer, positive } from './options.ts'
import type { Settles } from './settles.ts'
import type { Status } from './status.ts'
import { within } from './within.ts'

export interface SubscribeOptions {
  /** Durable, declared and bound when it is not yet; its consumers compete. Without: an exclusive queue that goes with the session. */
  readonly queue?: string
  /** Messages held and not settled. Default 100. */
  readonly prefetch?: number
  /** Messages handed out and not settled. Default: all that prefetch lets in; 1 handles them strictly one after the other. */
  readonly concurrency?: number
  /** When a message whose holder went silent is delivered again, milliseconds. Default 30 000. */
  readonly visibilityTimeoutMs?: number
  /**
   * While it is attached the client extends what it holds; a message that is handled for longer than `maxMs` (default: one hour)
   * loses that, and its `signal` is aborted. False: nothing is extended.
   */
  readonly autoExtend?: { readonly maxMs: number } | false
  /** Pause before a message whose handler threw comes again: none the first time, then `initialMs` (100), doubling up to `maxMs` (30 000). */
  readonly retry?: { readonly initialMs?: number; readonly maxMs?: number }
}

/** Returns or resolves: ack. Throws or rejects: nack, or reject for a PermanentError. */
export type Handler = (message: Message) => unknown

export interface CloseOptions {
  /** How long handlers may take to finish. Default 30 000. */
  readonly timeoutMs?: number
}

export interface Subscription extends AsyncDisposable {
  readonly pattern: string
  /** Resolves when the subscription was closed; rejects when the cluster ended it, as with Cancelled when its queue is deleted. */
  readonly closed: Promise<void>
  /** Hands out nothing more, waits for what is handed out, gives the rest back. Never rejects. */
  close(options?: CloseOptions): Promise<void>
}

/** The client around a subscription. */
export interface SubscriptionHost extends ClaimHost {
  readonly settles: Settles
  readonly clock: Clock
  add(subscription: BaseSubscription): void
  remove(subscription: BaseSubscription): void
  tell(status: Status): void
  /** A handler threw. */
  handlerFailed(pattern: string, error: unknown): void
}

const CLOSE_TIMEOUT_MS = 30_000
/** For the cluster to take back what a closed subscription held, milliseconds. */
const CANCEL_TIMEOUT_MS = 2_000

interface Settings {
  readonly pattern: string
  readonly queue: string | undefined
  readonly prefetch: number
  readonly concurrency: number
  readonly visibilityTimeoutMs: number
  readonly extendMaxMs: number
  readonly retryInitialMs: number
  readonly retryMaxMs: number
}

/** Throws MeshError Validation. */
function readSettings(pattern: string, options: SubscribeOptions): Settings {
  const { queue, autoExtend, retry = {} } = options
  const problem = patternProblem(pattern) ?? (queue === undefined ? undefined : queueNameProblem(queue))
  if (problem !== undefined) throw new MeshError('Validation', problem)
  const prefetch = integer('prefetch', options.prefetch, defaults.prefetch, limits.prefetchMax)
  const visibilityTimeoutMs = positive('visibilityTimeoutMs', options.visibilityTimeoutMs, defaults.visibilityTimeoutMs)
  return {
    pattern,
    queue,
    prefetch,
    concurrency: integer('concurrency', options.concurrency, prefetch, limits.prefetchMax),
    visibilityTimeoutMs: delay('visibilityTimeoutMs', visibilityTimeoutMs),
    extendMaxMs: autoExtend === false ? 0 : positive('autoExtend.maxMs', autoExtend?.maxMs, EXTEND_MAX_MS),
    retryInitialMs: delay('retry.initialMs', retry.initialMs ?? 100),
    retryMaxMs: delay('retry.maxMs', retry.maxMs ?? 30_000),
  }
}

export abstract class BaseSubscription implements Subscription {
  readonly pattern: string
  readonly closed: Promise<void>
  protected readonly settings: Settings
  protected readonly host: SubscriptionHost
  protected readonly consumer: Consumer
  protected readonly claim: Claim
  #closing: Promise<number> | undefined
  #end!: (error: MeshError | undefined) => void

  constructor(pattern: string, options: SubscribeOptions, host: SubscriptionHost) {
    this.pattern = pattern
    this.settings = readSettings(pattern, options)
    this.host = host
    this.consumer = new Consumer(this.settings, host.settles, host.clock, {
      ready: () => this.ready(),
      lost: ({ id, topic }) => host.tell({ type: 'leaseLost', id, topic }),
      cancelled: (error) => this.cancelled(error),
    })
    this.claim = new Claim(this.settings, this.consumer, host, (error) => this.fail(error))
    this.closed = new Promise((resolve, reject) => {
      this.#end = (error) => (error === undefined ? resolve() : reject(error))
    })
    // Whoever does not look at it must not be ended by it.
    this.closed.catch(() => {})
  }

  /** Handed out, and its user has not finished with it. */
  protected get unfinished(): number {
    return this.consumer.handed
  }

  /** Resolves when nothing is unfinished. */
  protected finished(): Promise<void> {
    return this.consumer.finished()
  }

  /** There may be something to hand out. */
  protected abstract ready(): void
  /** Nothing more is coming. */
  protected abstract ended(error: MeshError | undefined): void

  sessionLost(error: MeshError): void {
    this.claim.sessionLost(error)
  }

  /** Hands out nothing more. */
  stop(): void {
    this.consumer.stop()
  }

  /** The cluster ended the consumer. */
  cancelled(error: MeshError): void {
    this.claim.cancelled(error)
    this.fail(error)
  }

  async close({ timeoutMs = CLOSE_TIMEOUT_MS }: CloseOptions = {}): Promise<void> {
    await this.finish(timeoutMs)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The same as close, and resolves with the number of messages that were not settled in time. */
  finish(timeoutMs: number): Promise<number> {
    this.#closing ??= this.#finish(timeoutMs)
    return this.#closing
  }

  /** The client is closed: nothing can be said to the cluster any more. */
  abandon(error: MeshError): void {
    this.claim.cancelled(error)
    this.host.remove(this)
    this.ended(undefined)
    this.#end(undefined)
  }

  async #finish(timeoutMs: number): Promise<number> {
    this.consumer.stop()
    this.ended(undefined)
    const { clock, settles } = this.host
    await within(clock, timeoutMs, this.finished())
    const unfinished = this.unfinished
    await within(clock, CANCEL_TIMEOUT_MS, settles.barrier())
    await this.claim.drop(new MeshError('Closed', 'the subscription is closed'), CANCEL_TIMEOUT_MS)
    this.host.remove(this)
    this.#end(undefined)
    return unfinished
  }

  protected fail(error: MeshError): void {
    this.host.remove(this)
    this.host.tell({ type: 'subscriptionEnded', pattern: this.pattern, error })
    this.ended(error)
    this.#end(error)
  }
}
