/**
 * Promises that must settle: each is watched from the call that made it until its deadline, with some slack.
 *
 * Never: promises of a client that has died, which nobody waits for.
 */
import type { Scheduler } from '../sim/scheduler.ts'
import { Violation } from '../sim/violation.ts'
import type { SimulatedClient } from './client.ts'

/** For clocks that run slow, and for the turns that a settlement takes, milliseconds. */
const SLACK_MS = 1_000

interface Open {
  readonly what: string
  readonly client: SimulatedClient
  deadline: number
}

export class Pending {
  readonly #scheduler: Scheduler
  readonly #open = new Set<Open>()

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
  }

  get size(): number {
    return this.#open.size
  }

  /** The same promise, which is expected to settle within `ms` of the client's time. */
  watch<T>(client: SimulatedClient, what: string, ms: number, promise: Promise<T>): Promise<T> {
    const open: Open = { what, client, deadline: this.#scheduler.now() + 1.1 * ms + SLACK_MS }
    this.#open.add(open)
    const over = () => this.#open.delete(open)
    promise.then(over, over)
    return promise
  }

  /** The client stood still for so long. */
  extend(client: SimulatedClient, ms: number): void {
    for (const open of this.#open) if (open.client === client) open.deadline += ms
  }

  died(client: SimulatedClient): void {
    for (const open of this.#open) if (open.client === client) this.#open.delete(open)
  }

  /** How many are open of clients of that name, in whatever life. */
  openOf(name: string): number {
    return [...this.#open].filter(({ client }) => client.name.startsWith(`${name}.`)).length
  }

  /** A few of those that are open. */
  describe(): string {
    return [...this.#open]
      .slice(0, 10)
      .map(({ what, client }) => `${client.name} ${what}`)
      .join(', ')
  }

  check(): void {
    const now = this.#scheduler.now()
    for (const { what, client, deadline } of this.#open) {
      if (now > deadline && !client.host.clock.paused) {
        throw new Violation('every promise settles by its deadline', `${client.name}: ${what}`)
      }
    }
  }
}
