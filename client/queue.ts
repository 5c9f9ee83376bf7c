/** What a client asks about queues and the cluster, by name and without holding anything. */
import type { ControlCommand } from '../wire/control-frame.ts'
import { MeshError } from '../wire/errors.ts'
import { patternProblem, queueNameProblem } from '../wire/names.ts'
import type { Message } from './message.ts'
import type { Settings } from './options.ts'
import type { ReceiveOptions } from './receives.ts'
import type { Session } from './session.ts'

/** Figures of a queue, of one moment. */
export interface QueueStats {
  readonly queue: string
  readonly durable: boolean
  readonly exclusive: boolean
  /** Waiting for a consumer. */
  readonly ready: number
  /** Held by consumers. */
  readonly unsettled: number
  /** Waiting for a delay to pass. */
  readonly delayed: number
  readonly consumers: number
  /** Patterns that it is bound to. */
  readonly bindings: readonly string[]
  readonly [figure: string]: unknown
}

export interface QueueOptions {
  /** False: the queue goes when its last consumer does. Default true. */
  readonly durable?: boolean
  /** True: for this session alone, and gone with it. Default false. */
  readonly exclusive?: boolean
}

export interface StatsOptions {
  /** Confirmed by a majority first: what was acknowledged before the call is in it. Default: what this node knows. */
  readonly consistent?: boolean
}

/** A queue by its name. All but `receive` is idempotent. */
export class Queue {
  readonly name: string
  readonly #session: Session
  readonly #settings: Settings

  constructor(name: string, session: Session, settings: Settings) {
    this.name = name
    this.#session = session
    this.#settings = settings
  }

  /** Rejects with Precondition when it exists with other options. */
  async declare(options: QueueOptions = {}): Promise<void> {
    await this.#command({ type: 'declareQueue', queue: this.name, ...options })
  }

  async bind(pattern: string): Promise<void> {
    checkPattern(pattern)
    await this.#command({ type: 'bind', queue: this.name, pattern })
  }

  async unbind(pattern: string): Promise<void> {
    checkPattern(pattern)
    await this.#command({ type: 'unbind', queue: this.name, pattern })
  }

  /** With its messages; its consumers are cancelled. */
  async delete(): Promise<void> {
    await this.#command({ type: 'deleteQueue', queue: this.name })
  }

  /**
   * Takes up to `max` messages, or waits for the first for `waitMs`; each is this client's until it is settled. None: the queue had no
   * message to give at some moment of the call, by the log's word. Rejects with NotFound when there is no such queue; when it rejects otherwise,
   * messages that it may have taken come again.
   */
  receive(options: ReceiveOptions = {}): Promise<Message[]> {
    return this.#session.receives.receive(this.name, options)
  }

  /** Rejects with NotFound when there is no such queue. */
  async stats({ consistent = false }: StatsOptions = {}): Promise<QueueStats> {
    return (await this.#session.requests.query('queue', { name: this.name, consistent })) as QueueStats
  }

  async #command(command: ControlCommand): Promise<void> {
    const problem = queueNameProblem(this.name)
    if (problem !== undefined) throw new MeshError('Validation', problem)
    await this.#session.publisher.command(command, this.#settings.publishTimeoutMs)
  }
}

/** What operators ask. */
export class Admin {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  async queues({ consistent = false }: StatsOptions = {}): Promise<QueueStats[]> {
    return (await this.#session.requests.query('queues', { consistent })) as QueueStats[]
  }

  /** The cluster as this client's node sees it. */
  async cluster(): Promise<Readonly<Record<string, unknown>>> {
    return (await this.#session.requests.query('cluster', {})) as Readonly<Record<string, unknown>>
  }
}

function checkPattern(pattern: string): void {
  const problem = patternProblem(pattern)
  if (problem !== undefined) throw new MeshError('Validation', problem)
}
