/**
 * Clients that take messages: those that subscribe to a queue, those that ask it now and then, and those that have a queue of their own.
 */
import type { Client, Message } from '../../client/index.ts'
import { Violation } from '../sim/violation.ts'
import type { Random } from '../support/random.ts'
import { Actor, type Scene } from './actors.ts'
import type { SimulatedClient } from './client.ts'
import type { Work } from './swarm.ts'

/** Who takes messages from a queue that lives through the whole run, and settles them in its own time. */
export abstract class Taker extends Actor {
  protected readonly queue: string
  /** Of each publisher the greatest number that came as a first attempt. */
  readonly #last = new Map<string, number>()
  /** Messages that it has got and not settled. */
  #holds = 0

  constructor(process: SimulatedClient, scene: Scene, random: Random, queue: string) {
    super(process, scene, random)
    this.queue = queue
  }

  /** `done` is called once it has said what becomes of the message. */
  protected take(message: Message, done: () => void = () => {}): void {
    const { ledger, work } = this.scene
    ledger.received(this.queue, message, this.#last)
    this.#holds++
    // What a lost session left behind counts as well, so only somebody who had nothing before can be asked.
    if (this.scene.holdMs > 0 && this.#holds > work.prefetch) {
      throw new Violation('nobody gets more than it has room for', `${this.process.name} holds ${this.#holds}`)
    }
    const { isCalm, holdMs } = this.scene
    let ms = isCalm ? holdMs : this.random.below(work.handleMsMax + 1)
    if (!isCalm && ms > 0 && this.random.chance(work.lateChance)) ms += 2.5 * work.visibilityTimeoutMs
    const settle = () => {
      this.#settle(message)
      done()
    }
    if (ms === 0) settle()
    else this.after(ms, settle)
  }

  #settle(message: Message): void {
    const { ledger, isCalm, work } = this.scene
    this.#holds--
    const is = (chance: number) => !isCalm && this.random.chance(chance)
    const ended = () => ledger.settled(this.queue, message.id)
    const settle = (what: string, promise: Promise<void>, done: () => void) =>
      this.follow(this.watch(`${what} ${message.id}`, work.publishTimeoutMs, promise), done)
    if (is(work.nackChance)) {
      settle('nack', message.nack({ delayMs: this.random.below(work.nackDelayMsMax + 1) }), () => {})
    } else if (is(work.rejectChance)) settle('reject', message.reject(), ended)
    else settle('ack', message.ack(), ended)
  }
}

/** Who is late must lose the message. */
function leaseOf({ visibilityTimeoutMs, lateChance }: Work) {
  return lateChance > 0 ? { visibilityTimeoutMs, autoExtend: false as const } : { visibilityTimeoutMs }
}

export class Consumer extends Taker {
  readonly #pattern: string

  constructor(process: SimulatedClient, scene: Scene, random: Random, queue: string, pattern: string) {
    super(process, scene, random, queue)
    this.#pattern = pattern
  }

  protected work(client: Client): void {
    const again = () => this.after(300, () => this.work(client))
    this.follow(this.#consume(client), again, again)
  }

  async #consume(client: Client): Promise<void> {
    const { work } = this.scene
    const messages = client.subscribe(this.#pattern, { queue: this.queue, prefetch: work.prefetch, ...leaseOf(work) })
    for await (const message of messages) this.scene.guard(() => this.take(message))
  }
}

/** Asks for some messages, and for more when it is done with those. */
export class Receiver extends Taker {
  protected work(client: Client): void {
    const { isCalm, work } = this.scene
    const next = () => this.after(isCalm ? 500 : this.random.exponential(100), () => this.work(client))
    const max = 1 + this.random.below(Math.min(work.prefetch, 10))
    const waitMs = isCalm ? 0 : this.random.pick([0, 100, 1_000])
    const receiving = client.queue(this.queue).receive({ max, waitMs, ...leaseOf(work) })
    const took = (messages: readonly Message[]) => {
      if (messages.length > max)
        throw new Violation('a receive gets what it asked for', `${messages.length} for ${max}`)
      let left = messages.length
      if (left === 0) next()
      const done = () => {
        if (--left === 0) next()
      }
      for (const message of messages) this.take(message, done)
    }
    this.follow(this.watch('receive', waitMs + work.publishTimeoutMs, receiving), took, next)
  }
}

/** Has a queue of its own, as long as its session lives. */
export class ExclusiveSubscriber extends Actor {
  readonly #last = new Map<string, number>()

  protected work(client: Client): void {
    const handler = (message: Message) => {
      this.scene.guard(() => this.scene.ledger.received(undefined, message, this.#last))
    }
    const again = () => this.after(300, () => this.work(client))
    // A claim is four commands, one after the other.
    const claimMs = 4 * this.scene.work.publishTimeoutMs
    this.follow(
      this.watch('subscribe', claimMs, client.subscribe('#', handler)),
      ({ closed }) => this.follow(closed, again, again),
      again,
    )
  }
}
