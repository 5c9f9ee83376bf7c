/** The client as its user holds it. */

import { MeshError } from '../wire/errors.ts'
import type { Clock } from './clock.ts'
import { HandlerSubscription } from './handler-subscription.ts'
import { IterableSubscription } from './iterable-subscription.ts'
import type { Message } from './message.ts'
import { positive, type Settings } from './options.ts'
import type { PubAck } from './outgoing.ts'
import type { PublishOptions } from './publisher.ts'
import { Admin, Queue } from './queue.ts'
import type { RequestOptions } from './requests.ts'
import { Session } from './session.ts'
import type { OpenSocket } from './socket.ts'
import type { Status } from './status.ts'
import type { Handler, SubscribeOptions, Subscription } from './subscription.ts'
import { within } from './within.ts'

export interface DrainOptions {
  /** How long handlers and the cluster may take. Default 30 000. */
  readonly timeoutMs?: number
}

export interface DrainReport {
  /** Messages and requests whose handlers had not finished at the deadline, and messages that were received and not settled. */
  readonly unfinished: number
}

const DRAIN_TIMEOUT_MS = 30_000
/** For what is on its way, and for the word of farewell, when a client closes, milliseconds. */
const CLOSE_MS = 2_000

/**
 * A connection to a cluster that heals by itself. Every promise settles: with an outcome, or at its deadline with a MeshError
 * whose `outcome` tells whether it may have happened.
 */
export class Client implements AsyncDisposable {
  readonly admin: Admin
  readonly #session: Session
  readonly #settings: Settings
  readonly #clock: Clock
  #isClosing = false
  #draining: Promise<DrainReport> | undefined
  #closing: Promise<void> | undefined

  private constructor(session: Session, settings: Settings, clock: Clock) {
    this.#session = session
    this.#settings = settings
    this.#clock = clock
    this.admin = new Admin(session)
  }

  /** Resolves when a session is attached. Rejects at `connectTimeoutMs`, when aborted, or when no retry can help. */
  static open(settings: Settings, openSocket: OpenSocket, clock: Clock): Promise<Client> {
    return new Promise((resolve, reject) => {
      const { signal, connectTimeoutMs } = settings
      const done = (error?: MeshError) => {
        cancelTimer()
        signal?.removeEventListener('abort', onAbort)
        if (error === undefined) return resolve(new Client(session, settings, clock))
        session.end(error)
        reject(error)
      }
      const session = new Session(settings, openSocket, clock, done)
      const onAbort = () =>
        done(new MeshError('Aborted', 'connect was aborted', { outcome: 'not-applied', cause: signal?.reason }))
      const cancelTimer = clock.setTimer(connectTimeoutMs, () => {
        const { problem } = session
        const message = `no server answered within ${connectTimeoutMs} ms; ${problem.message}`
        done(new MeshError(problem.code, message, { outcome: 'not-applied', cause: problem }))
      })
      if (signal?.aborted) return onAbort()
      signal?.addEventListener('abort', onAbort, { once: true })
      session.start()
    })
  }

  /** Resolves when a majority has the message on disk and it is in every queue bound to a pattern that the topic matches. */
  publish(topic: string, body: unknown, options?: PublishOptions): Promise<PubAck> {
    if (this.#isClosing) return Promise.reject(closedError())
    return this.#session.publisher.publish(topic, body, options)
  }

  /** With a handler: resolves when messages may come. Without: messages to iterate over, claimed from now on. */
  subscribe(pattern: string, handler: Handler, options?: SubscribeOptions): Promise<Subscription>
  subscribe(pattern: string, options?: SubscribeOptions): Subscription & AsyncIterableIterator<Message>
  subscribe(
    pattern: string,
    second?: Handler | SubscribeOptions,
    options?: SubscribeOptions,
  ): Promise<Subscription> | (Subscription & AsyncIterableIterator<Message>) {
    if (typeof second === 'function') return this.#subscribeHandler(pattern, second, options)
    this.#checkOpen()
    return new IterableSubscription(pattern, second ?? {}, this.#session.subscriptionHost())
  }

  /** Asks whoever responds to the topic, one of them. Rejects with NoResponders at once when there is nobody. */
  request(topic: string, body: unknown, options?: RequestOptions): Promise<Message> {
    if (this.#isClosing) return Promise.reject(closedError())
    return this.#session.requests.request(topic, body, options)
  }

  /** Answers requests with what the handler returns; all responders of a topic share its requests. Resolves when they may come. */
  async respond(pattern: string, handler: Handler): Promise<Subscription> {
    this.#checkOpen()
    return this.#session.responders.respond(pattern, handler)
  }

  /** A handle; nothing is declared by it. */
  queue(name: string): Queue {
    return new Queue(name, this.#session, this.#settings)
  }

  /** What happens to the client from now on, until it is closed or the loop is left. */
  status(): AsyncIterableIterator<Status> {
    return this.#session.feed.follow()
  }

  /**
   * Takes nothing more in, waits until handlers have finished and everything that was sent has its outcome. Publishing and
   * requesting remain possible until `close`. Never rejects.
   */
  drain({ timeoutMs }: DrainOptions = {}): Promise<DrainReport> {
    this.#draining ??= this.#drain(positive('timeoutMs', timeoutMs, DRAIN_TIMEOUT_MS))
    return this.#draining
  }

  /** Ends the session after what is on its way, for two seconds at most. What is left fails with Closed. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #subscribeHandler(pattern: string, handler: Handler, options: SubscribeOptions = {}): Promise<Subscription> {
    this.#checkOpen()
    const subscription = new HandlerSubscription(pattern, handler, options, this.#session.subscriptionHost())
    await subscription.start()
    return subscription
  }

  async #drain(timeoutMs: number): Promise<DrainReport> {
    const { subscriptions, receives, responders, publisher, settles } = this.#session
    const counts = await Promise.all([
      ...[...subscriptions].map((subscription) => subscription.finish(timeoutMs)),
      receives.finish(timeoutMs),
      responders.drain(timeoutMs).then(() => responders.running),
    ])
    await within(this.#clock, timeoutMs, Promise.all([settles.barrier(), publisher.sequencer.barrier()]))
    return { unfinished: counts.reduce((sum, count) => sum + count, 0) }
  }

  async #close(): Promise<void> {
    this.#isClosing = true
    const { publisher, settles, subscriptions, isAttached } = this.#session
    for (const subscription of subscriptions) subscription.stop()
    if (isAttached) {
      const farewell = settles.barrier().then(() => publisher.command({ type: 'closeSession' }, CLOSE_MS))
      await within(
        this.#clock,
        CLOSE_MS,
        farewell.catch(() => {}),
      )
    }
    this.#session.end()
  }

  #checkOpen(): void {
    if (this.#isClosing) throw closedError()
    if (this.#draining !== undefined) throw new MeshError('Closed', 'the client is draining')
  }
}

function closedError(): MeshError {
  return new MeshError('Closed', 'the client is closed')
}
