/**
 * One client's session: its parts, the turn that gathers what they send, and the dispatch of what comes. It outlives
 * sockets, and a lost session of the cluster is followed by another one under the same parts.
 *
 * Never: encoding or promises of its own; those are the parts'.
 */
import { decodeDeliverFrame } from '../wire/deliver-frame.ts'
import { MeshError } from '../wire/errors.ts'
import { FrameKind, PROTOCOL_VERSION } from '../wire/frame.ts'
import {
  type Answer,
  type CancelledNotice,
  decodeConfirmFrame,
  decodeSessionFrame,
  type HeldDeliveries,
  type Hello,
  type OutcomeNotice,
  type ReceivedNotice,
  type RepliedItem,
  type RequestedItem,
  type Resumed,
  type SettledNotice,
  type Welcome,
} from '../wire/session-frames.ts'
import type { Clock } from './clock.ts'
import { Connection, type ConnectionUser } from './connection.ts'
import type { Consumer } from './consumer.ts'
import { Identity } from './identity.ts'
import type { Settings } from './options.ts'
import { Publisher } from './publisher.ts'
import { Receives } from './receives.ts'
import { Requests } from './requests.ts'
import { Responders } from './responders.ts'
import { Settles } from './settles.ts'
import type { OpenSocket } from './socket.ts'
import { type Status, StatusFeed } from './status.ts'
import type { BaseSubscription, SubscriptionHost } from './subscription.ts'
import { Watchdog } from './watchdog.ts'

export class Session implements ConnectionUser {
  readonly feed = new StatusFeed()
  readonly publisher: Publisher
  readonly settles: Settles
  readonly requests: Requests
  readonly responders: Responders
  readonly receives: Receives
  readonly subscriptions = new Set<BaseSubscription>()
  readonly #settings: Settings
  readonly #clock: Clock
  readonly #connection: Connection
  readonly #identity = new Identity()
  readonly #consumers = new Map<number, Consumer>()
  readonly #watchdog: Watchdog
  /** Nothing may be sent: the client is between two nodes. */
  #isSilent = false
  /** A hello was said and not answered: consumers that begin meanwhile are not among what it names. */
  #isGreeting = false
  /** Time of the turn at hand; undefined between turns. */
  #turnMs: number | undefined
  #isOver = false
  /** Told of the first attachment, or that there will be none. */
  readonly #onStart: (error: MeshError | undefined) => void

  constructor(
    settings: Settings,
    openSocket: OpenSocket,
    clock: Clock,
    onStart: (error: MeshError | undefined) => void,
  ) {
    this.#settings = settings
    this.#clock = clock
    this.#onStart = onStart
    this.#connection = new Connection(settings, openSocket, clock, this.feed, this)
    const host = { wake: () => this.#wake(), problem: () => this.#problem() }
    this.publisher = new Publisher(this.#identity, settings, clock, host)
    this.settles = new Settles(this.#identity, settings.publishTimeoutMs, clock, {
      ...host,
      seen: () => this.publisher.sequencer.tellSeen(),
      stale: (consumer, first, count) => this.#stale(consumer, first, count),
    })
    this.requests = new Requests(settings.requestTimeoutMs, clock, host)
    this.#watchdog = new Watchdog(clock, {
      consumers: () => this.#consumers.values(),
      ready: async (name) => ((await this.requests.query('queue', { name })) as { ready: number }).ready,
      stalled: (queue) => this.#stalled(queue),
    })
    this.responders = new Responders({
      clock,
      wake: host.wake,
      commandTimeoutMs: settings.publishTimeoutMs,
      command: (command, timeoutMs, onResult) => this.publisher.command(command, timeoutMs, onResult),
      ended: (pattern, error) => this.feed.tell({ type: 'responderEnded', pattern, error }),
      handlerFailed: (pattern, error) => this.#handlerFailed(pattern, error),
    })
    this.receives = new Receives({ ...this.#claimHost(), problem: host.problem })
  }

  get isAttached(): boolean {
    return this.#connection.attached
  }

  /** Why the client has no connection. */
  get problem(): MeshError {
    return this.#connection.problem
  }

  /** What subscriptions see of their client. */
  readonly subscriptionHost = (): SubscriptionHost => ({
    ...this.#claimHost(),
    add: (subscription) => this.subscriptions.add(subscription),
    remove: (subscription) => this.subscriptions.delete(subscription),
    handlerFailed: (pattern, error) => this.#handlerFailed(pattern, error),
  })

  /** What whoever makes consumers sees of the client. */
  #claimHost() {
    return {
      settles: this.settles,
      clock: this.#clock,
      commandTimeoutMs: this.#settings.publishTimeoutMs,
      command: (...args: Parameters<Publisher['command']>) => this.publisher.command(...args),
      enroll: (consumer: Consumer) => {
        if (this.#isGreeting) consumer.greeted()
        this.#consumers.set(consumer.incarnation!, consumer)
      },
      dismiss: (consumer: Consumer) => {
        if (consumer.incarnation !== undefined) this.#consumers.delete(consumer.incarnation)
      },
      tell: (status: Status) => this.feed.tell(status),
    }
  }

  start(): void {
    this.#connection.start()
  }

  /** At once: what still waits fails with Closed, or with `error`. */
  end(error?: MeshError): void {
    if (this.#isOver) return
    this.#isOver = true
    const closed = (isSent: boolean) =>
      error ?? new MeshError('Closed', 'the client is closed', { outcome: isSent ? 'unknown' : 'not-applied' })
    this.#watchdog.stop()
    this.#connection.close()
    for (const subscription of [...this.subscriptions]) subscription.abandon(closed(true))
    this.responders.abandon(closed(true))
    this.receives.abandon(closed(true))
    this.settles.close(closed(true))
    this.publisher.close(closed)
    this.requests.close(closed)
    this.feed.tell({ type: 'closed', ...(error === undefined ? {} : { error }) })
  }

  hello(): Hello {
    const { name, token } = this.#settings
    const { session } = this.#identity
    this.#isGreeting = true
    const held: HeldDeliveries[] = []
    for (const [incarnation, consumer] of this.#consumers) {
      const runs = consumer.held()
      if (runs.length > 0) held.push({ consumer: incarnation, runs })
    }
    return {
      version: PROTOCOL_VERSION,
      connection: ++this.#identity.connection,
      ...(name === undefined ? {} : { name }),
      ...(token === undefined ? {} : { token }),
      ...(session === 0 ? {} : { session }),
      ...(held.length === 0 ? {} : { held }),
    }
  }

  attached({ session, epoch, lastSequence, outcomes, consumers }: Welcome): void {
    this.#identity.session = session
    this.#identity.epoch = epoch
    this.#isGreeting = false
    this.#isSilent = false
    this.requests.attached()
    this.#goOnFrom(lastSequence, outcomes, consumers)
    this.#watchdog.start()
    this.#onStart(undefined)
  }

  detached(): void {
    this.#isSilent = false
    this.#watchdog.stop()
    for (const consumer of this.#consumers.values()) consumer.detached()
  }

  silence(done: () => void): void {
    this.#isSilent = true
    void this.settles.answered().then(done)
  }

  speak(inDoubt: boolean): void {
    this.#isGreeting = false
    this.#isSilent = false
    if (inDoubt) for (const consumer of this.#consumers.values()) consumer.goOn()
    this.#wake()
  }

  rest(done: () => void): void {
    this.requests.hold()
    void Promise.all([this.requests.rested(), this.responders.rested()]).then(() => {
      // The last answers leave on this socket: their askers wait.
      this.#flush()
      this.silence(done)
    })
  }

  sessionLost(): void {
    const error = new MeshError('SessionLost', 'the session was lost; nobody can tell what became of what was sent')
    this.#settings.logger.warn(error.message, { session: this.#identity.session })
    this.#identity.forget()
    for (const subscription of [...this.subscriptions]) subscription.sessionLost(error)
    this.receives.sessionLost(error)
    this.responders.sessionLost()
    this.settles.sessionLost(error)
    this.publisher.sequencer.sessionLost(error)
    this.requests.sessionLost(error)
  }

  gaveUp(error: MeshError): void {
    this.#onStart(error)
    this.end(error)
  }

  receive(frame: Uint8Array, isFormer: boolean): void {
    switch (frame[0]) {
      case FrameKind.confirm:
        this.publisher.sequencer.confirm(decodeConfirmFrame(frame))
        return this.#goOn()
      case FrameKind.deliver: {
        // What the former node handed out and the client did not hold when it left has gone back.
        if (isFormer) return
        const { consumer, deliveries } = decodeDeliverFrame(frame)
        // Those of a consumer that is being cancelled go back by themselves.
        return this.#consumers.get(consumer)?.deliver(deliveries)
      }
      case FrameKind.received: {
        if (isFormer) return
        const { consumer, count } = decodeSessionFrame(frame) as ReceivedNotice
        return this.#consumers.get(consumer)?.received(count)
      }
      case FrameKind.settled:
        return this.settles.settled(decodeSessionFrame(frame) as SettledNotice)
      case FrameKind.replied:
        return this.requests.replied(decodeSessionFrame(frame) as RepliedItem[])
      case FrameKind.requested:
        for (const item of decodeSessionFrame(frame) as RequestedItem[]) this.responders.requested(item)
        return
      case FrameKind.outcome:
        this.publisher.sequencer.outcome(decodeSessionFrame(frame) as OutcomeNotice)
        return this.#goOn()
      case FrameKind.answer:
        return this.requests.answered(decodeSessionFrame(frame) as Answer)
      case FrameKind.resumed: {
        const { lastSequence, outcomes, consumers } = decodeSessionFrame(frame) as Resumed
        return this.#goOnFrom(lastSequence, outcomes, consumers)
      }
      case FrameKind.cancelled: {
        const { consumer, reason } = decodeSessionFrame(frame) as CancelledNotice
        return this.#cancelled(consumer, reason)
      }
      default:
        throw new MeshError('Protocol', `a frame of unknown kind ${frame[0]}`)
    }
  }

  /** What one turn of the event loop brings is sent when the turn ends. */
  #wake(): number {
    if (this.#turnMs === undefined) {
      this.#turnMs = this.#clock.now()
      this.#clock.defer(this.#flush)
    }
    return this.#turnMs
  }

  /** Outcomes make room for what waits here, and in the cluster once it knows that they were seen. */
  #goOn(): void {
    const { hasUnsent, owesSeen } = this.publisher.sequencer
    if (hasUnsent || owesSeen) this.#wake()
  }

  readonly #flush = (): void => {
    this.#turnMs = undefined
    if (!this.#connection.attached || this.#isSilent) return
    // Settles first: they make room in the cluster, and they wait for nothing.
    this.settles.flush(this.#send)
    this.publisher.sequencer.flush(this.#send)
    if (this.publisher.sequencer.owesSeen) this.settles.tellSeen(this.#send)
    this.requests.flush(this.#send)
    this.responders.flush(this.#send)
  }

  readonly #send = (frame: Uint8Array): void => this.#connection.send(frame)

  #problem() {
    if (this.#connection.attached) {
      return { code: 'NoQuorum', message: 'the cluster does not answer', isAttached: true } as const
    }
    const { code, message } = this.#connection.problem
    return { code: code === 'NoQuorum' ? code : 'Connection', message, isAttached: false } as const
  }

  /** What the cluster knows of the session; what it does not know yet, or may not have told, goes out again. */
  #goOnFrom(lastSequence: number, outcomes: readonly OutcomeNotice[], consumers: readonly number[]): void {
    this.publisher.sequencer.attached(lastSequence, outcomes)
    this.settles.attached()
    this.#compareConsumers(new Set(consumers))
    this.#wake()
  }

  /** After a re-attachment: consumers that the cluster has ended meanwhile, and those of which only the cluster knows. */
  #compareConsumers(alive: ReadonlySet<number>): void {
    for (const [incarnation, consumer] of [...this.#consumers]) {
      if (alive.has(incarnation)) consumer.attached()
      else this.#cancelled(incarnation, 'the consumer was ended while the client was away')
    }
    for (const consumer of alive) {
      if (this.#consumers.has(consumer)) continue
      this.publisher.command({ type: 'cancel', consumer }, this.#settings.publishTimeoutMs).catch(() => {})
    }
  }

  #cancelled(incarnation: number, reason: string): void {
    this.#consumers.get(incarnation)?.cancelled(new MeshError('Cancelled', reason))
  }

  #stale(consumer: number, first: number, count: number): void {
    this.#settings.logger.debug('deliveries went back before they were settled', { consumer, first, count })
    this.#consumers.get(consumer)?.stale(first, count)
  }

  #stalled(queue: string): void {
    this.feed.tell({ type: 'stalled', queue })
    this.#connection.reset(new MeshError('Connection', `the consumer of '${queue}' is passed over`))
  }

  #handlerFailed(pattern: string, error: unknown): void {
    this.#settings.logger.error('a handler failed', { error, pattern })
  }
}
