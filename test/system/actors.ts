/**
 * What the clients of a run do: publish, consume, listen, ask, answer, administer. Each actor is a role that one process after the
 * other plays.
 *
 * Never: a wait for real time; an actor lives on its client's clock.
 */
import { type Client, type ConnectOptions, MeshError, type Message } from '../../client/index.ts'
import { Violation } from '../sim/violation.ts'
import type { Random } from '../support/random.ts'
import type { SimulatedClient } from './client.ts'
import type { Ledger, Value } from './ledger.ts'
import type { Pending } from './pending.ts'
import { topics, type Work } from './swarm.ts'

/** What all actors of a run share. */
export interface Scene {
  readonly work: Work
  readonly servers: readonly string[]
  readonly ledger: Ledger
  readonly pending: Pending
  /** Publishers publish, requesters ask. */
  isBusy: boolean
  /** Consumers keep nothing back, and settle what they get after `holdMs`. */
  isCalm: boolean
  holdMs: number
  /** Runs what follows upon a promise; what it throws ends the run. */
  readonly guard: (action: () => void) => void
}

/** Queues that an administrator plays with. */
export const spareQueues = ['t1', 't2', 't3'] as const

export const requestTimeoutMs = 2_000
const connectTimeoutMs = 10_000

/** One process in its role. */
export abstract class Actor {
  readonly process: SimulatedClient
  protected readonly scene: Scene
  protected readonly random: Random
  /** Nodes that it connects to. */
  protected get servers(): readonly string[] {
    return this.scene.servers
  }

  constructor(process: SimulatedClient, scene: Scene, random: Random) {
    this.process = process
    this.scene = scene
    this.random = random
  }

  /** Connects, and does its work until its process dies. */
  start(): void {
    this.#connect()
  }

  protected abstract work(client: Client): void

  protected after(ms: number, action: () => void): void {
    this.process.clock.setTimer(ms, () => this.scene.guard(action))
  }

  protected watch<T>(what: string, ms: number, promise: Promise<T>): Promise<T> {
    return this.scene.pending.watch(this.process, what, ms, promise)
  }

  /** Follows a promise that may fail for good reasons; a failure that is no MeshError has none. */
  protected follow<T>(
    promise: Promise<T>,
    done: (value: T) => void,
    failed: (error: MeshError) => void = () => {},
  ): void {
    promise.then(
      (value) => this.scene.guard(() => done(value)),
      (error: unknown) =>
        this.scene.guard(() => {
          if (!(error instanceof MeshError)) throw error
          failed(error)
        }),
    )
  }

  #connect(): void {
    const { publishTimeoutMs } = this.scene.work
    const options: ConnectOptions = {
      servers: this.random.shuffled(this.servers),
      publishTimeoutMs,
      requestTimeoutMs,
      connectTimeoutMs,
      reconnect: { initialMs: 50, maxMs: 1_000 },
    }
    this.follow(
      this.watch('connect', connectTimeoutMs, this.process.connect(options)),
      (client) => this.work(client),
      () => this.#connect(),
    )
  }
}

export class Publisher extends Actor {
  #n = 0

  protected work(client: Client): void {
    const { publishesPerSecond, burstMax } = this.scene.work
    const next = (): void => {
      if (this.scene.isBusy) for (let left = 1 + this.random.below(burstMax); left > 0; left--) this.publish(client)
      this.after(this.random.exponential((1000 * burstMax) / (2 * publishesPerSecond)), next)
    }
    next()
  }

  /** Of the next message. */
  protected bodyBytes(): number {
    return this.random.chance(0.2) ? this.random.below(this.scene.work.bodyBytesMax) : 8
  }

  protected publish(client: Client): void {
    const { ledger, work } = this.scene
    const value: Value = { publisher: this.process.name, n: ++this.#n }
    const topic = this.random.pick(topics)
    const bytes = this.bodyBytes()
    ledger.published(value, topic)
    const promise = client.publish(topic, { ...value, padding: new Uint8Array(bytes) })
    this.follow(
      this.watch(`publish ${value.n}`, work.publishTimeoutMs, promise),
      ({ id }) => ledger.confirmed(value, id),
      (error) => ledger.failed(value, error),
    )
  }
}

/** How somebody publishes while the others rest. */
export interface Beat {
  readonly everyMs: number
  readonly bodyBytes: number
  /** The only nodes that it connects to; undefined: any. */
  readonly servers?: readonly string[]
}

/** Publishes steadily until it is stopped. */
export class Pulse extends Publisher {
  readonly #beat: Beat
  #isOver = false

  constructor(process: SimulatedClient, scene: Scene, random: Random, beat: Beat) {
    super(process, scene, random)
    this.#beat = beat
  }

  stop(): void {
    this.#isOver = true
  }

  protected override get servers(): readonly string[] {
    return this.#beat.servers ?? super.servers
  }

  protected override bodyBytes(): number {
    return this.#beat.bodyBytes
  }

  protected override work(client: Client): void {
    if (this.#isOver) return
    this.publish(client)
    this.after(this.#beat.everyMs, () => this.work(client))
  }
}

export class Responder extends Actor {
  protected work(client: Client): void {
    const { publishTimeoutMs } = this.scene.work
    const handler = async (request: Message) => {
      await new Promise<void>((resolve) => this.after(this.random.below(20), resolve))
      return { echo: (request.body as { question: string }).question }
    }
    const again = () => this.after(300, () => this.work(client))
    const responding = this.watch('respond', publishTimeoutMs, client.respond('ask.*', handler))
    this.follow(responding, ({ closed }) => this.follow(closed, again, again), again)
  }
}

export class Requester extends Actor {
  #n = 0

  protected work(client: Client): void {
    const next = (): void => {
      if (this.scene.isBusy) this.#ask(client)
      this.after(this.random.exponential(1000 / this.scene.work.requestsPerSecond), next)
    }
    next()
  }

  #ask(client: Client): void {
    const { ledger } = this.scene
    const question = `${this.process.name}:${++this.#n}`
    const promise = client.request('ask.time', { question })
    this.follow(
      this.watch(`request ${this.#n}`, requestTimeoutMs, promise),
      ({ body }) => {
        ledger.replies++
        const { echo } = body as { echo: string }
        if (echo !== question) throw new Violation('a reply answers its own request', `${echo} to ${question}`)
      },
      () => {
        ledger.requestsFailed++
      },
    )
  }
}

/** Declares, binds, asks and deletes queues that nobody else relies on. */
export class Administrator extends Actor {
  protected work(client: Client): void {
    const next = (): void => {
      if (this.scene.isBusy) this.#act(client)
      this.after(this.random.exponential(500), next)
    }
    next()
  }

  #act(client: Client): void {
    const { publishTimeoutMs } = this.scene.work
    const queue = client.queue(this.random.pick(spareQueues))
    const pattern = this.random.pick(['a.*', '#', 'c'])
    const commands: readonly (readonly [string, number, () => Promise<unknown>])[] = [
      ['declare', publishTimeoutMs, () => queue.declare({ durable: true })],
      ['bind', publishTimeoutMs, () => queue.bind(pattern)],
      ['unbind', publishTimeoutMs, () => queue.unbind(pattern)],
      ['delete', publishTimeoutMs, () => queue.delete()],
      ['stats', requestTimeoutMs, () => queue.stats({ consistent: this.random.chance(0.5) })],
      ['queues', requestTimeoutMs, () => client.admin.queues({ consistent: this.random.chance(0.5) })],
      ['cluster', requestTimeoutMs, () => client.admin.cluster()],
    ]
    const [what, ms, command] = this.random.pick(commands)
    this.follow(this.watch(what, ms, command()), () => {})
  }
}

/** Declares the queues that live through the whole run. */
export class Founder extends Actor {
  readonly #onDone: () => void

  constructor(process: SimulatedClient, scene: Scene, random: Random, onDone: () => void) {
    super(process, scene, random)
    this.#onDone = onDone
  }

  protected work(client: Client): void {
    const again = () => this.after(300, () => this.work(client))
    this.follow(
      this.#declare(client),
      () => {
        this.#onDone()
        this.follow(client.close(), () => {})
      },
      again,
    )
  }

  async #declare(client: Client): Promise<void> {
    for (const [i, patterns] of this.scene.work.queues.entries()) {
      const queue = client.queue(queueName(i))
      await queue.declare()
      for (const pattern of patterns) await queue.bind(pattern)
    }
  }
}

export function queueName(i: number): string {
  return `q${i + 1}`
}
