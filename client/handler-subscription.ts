/** A subscription whose messages are given to a handler, as many at a time as it may have. */
import { SettleOutcome } from '../wire/settle-frame.ts'
import { type Delivery, PermanentError } from './message.ts'
import { BaseSubscription, type Handler, type SubscribeOptions, type SubscriptionHost } from './subscription.ts'
import { isThenable } from './within.ts'

export class HandlerSubscription extends BaseSubscription {
  readonly #handler: Handler
  #isHandingOut = false
  /** Handlers that have not come to their end, whether or not they have settled their message. */
  #running = 0
  #onRest: (() => void)[] = []

  constructor(pattern: string, handler: Handler, options: SubscribeOptions, host: SubscriptionHost) {
    super(pattern, options, host)
    this.#handler = handler
  }

  async start(): Promise<void> {
    this.host.add(this)
    try {
      await this.claim.make()
    } catch (error) {
      this.host.remove(this)
      throw error
    }
  }

  protected ready(): void {
    // A handler that settles at once makes room for the next: that is this loop's business, not a deeper call's.
    if (this.#isHandingOut) return
    this.#isHandingOut = true
    try {
      while (this.consumer.handed < this.settings.concurrency) {
        const delivery = this.consumer.take()
        if (delivery === undefined) break
        this.#run(delivery)
      }
    } finally {
      // The user's logger is called in there, and may throw.
      this.#isHandingOut = false
    }
  }

  protected ended(): void {}

  protected override get unfinished(): number {
    return Math.max(this.#running, this.consumer.handed)
  }

  protected override async finished(): Promise<void> {
    await this.consumer.finished()
    if (this.#running > 0) await new Promise<void>((resolve) => this.#onRest.push(resolve))
  }

  #run(delivery: Delivery): void {
    this.#running++
    try {
      const returned = this.#handler(delivery)
      if (!isThenable(returned)) return this.#handled(delivery)
      returned.then(
        () => this.#handled(delivery),
        (error: unknown) => this.#failed(delivery, error),
      )
    } catch (error) {
      this.#failed(delivery, error)
    }
  }

  #handled(delivery: Delivery): void {
    this.#rest()
    if (delivery.isOpen) this.consumer.settleQuietly(delivery, SettleOutcome.accepted, 0)
  }

  #failed(delivery: Delivery, error: unknown): void {
    this.#rest()
    try {
      this.host.handlerFailed(this.pattern, error)
    } finally {
      this.#giveBack(delivery, error)
    }
  }

  #giveBack(delivery: Delivery, error: unknown): void {
    if (!delivery.isOpen) return
    if (error instanceof PermanentError) return this.consumer.settleQuietly(delivery, SettleOutcome.rejected, 0)
    this.consumer.settleQuietly(delivery, SettleOutcome.released, this.#retryMs(delivery.attempt))
  }

  #rest(): void {
    if (--this.#running > 0) return
    for (const resolve of this.#onRest.splice(0)) resolve()
  }

  #retryMs(attempt: number): number {
    const { retryInitialMs, retryMaxMs } = this.settings
    return attempt <= 1 ? 0 : Math.min(retryMaxMs, retryInitialMs * 2 ** (attempt - 2))
  }
}
