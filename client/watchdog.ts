/**
 * Looks now and then after consumers that hold nothing and get nothing: when their queue has messages waiting all the while,
 * something between here and the cluster has forgotten them, however alive the connection looks. A new attachment mends it.
 */
import type { Clock } from './clock.ts'
import type { Consumer } from './consumer.ts'

/** Between two looks, milliseconds. */
const LOOK_MS = 30_000
/** Looks in a row that find the same consumer passed over before something is done. */
const STRIKES_MAX = 2

export interface WatchdogHost {
  consumers(): Iterable<Consumer>
  /** Messages of the queue that wait for a consumer. Rejects when nobody can tell. */
  ready(queue: string): Promise<number>
  stalled(queue: string): void
}

interface Look {
  readonly lastDelivery: number
  strikes: number
}

export class Watchdog {
  readonly #clock: Clock
  readonly #host: WatchdogHost
  /** What the last look found, of those that held nothing. */
  #looks = new Map<Consumer, Look>()
  #cancel = () => {}

  constructor(clock: Clock, host: WatchdogHost) {
    this.#clock = clock
    this.#host = host
  }

  /** From an attachment on. */
  start(): void {
    this.stop()
    this.#cancel = this.#clock.setTimer(LOOK_MS, () => this.#look())
  }

  stop(): void {
    this.#cancel()
    this.#looks.clear()
  }

  #look(): void {
    const former = this.#looks
    this.#looks = new Map()
    for (const consumer of this.#host.consumers()) {
      if (!consumer.isIdle) continue
      const { lastDelivery } = consumer
      const look = former.get(consumer)
      if (look?.lastDelivery === lastDelivery) this.#suspect(consumer, look)
      this.#looks.set(consumer, look?.lastDelivery === lastDelivery ? look : { lastDelivery, strikes: 0 })
    }
    this.#cancel = this.#clock.setTimer(LOOK_MS, () => this.#look())
  }

  #suspect(consumer: Consumer, look: Look): void {
    const decide = (ready: number) => {
      // Whatever came while the question was under way clears the consumer.
      const isPassedOver = ready > 0 && consumer.isIdle && consumer.lastDelivery === look.lastDelivery
      look.strikes = isPassedOver ? look.strikes + 1 : 0
      if (look.strikes < STRIKES_MAX || this.#looks.get(consumer) !== look) return
      look.strikes = 0
      this.#host.stalled(consumer.queue)
    }
    this.#host.ready(consumer.queue).then(decide, () => {})
  }
}
