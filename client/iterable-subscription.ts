/** A subscription whose messages are asked for one by one, in a loop. */
import type { MeshError } from '../wire/errors.ts'
import type { Message } from './message.ts'
import { BaseSubscription, type SubscribeOptions, type SubscriptionHost } from './subscription.ts'

interface Waiting {
  readonly resolve: (result: IteratorResult<Message>) => void
  readonly reject: (error: MeshError) => void
}

/**
 * Claimed at once, so that nothing is missed between `subscribe` and the loop; whatever refuses the claim is thrown in the loop.
 * Takes a message from the consumer only when it is asked for one.
 */
export class IterableSubscription extends BaseSubscription implements AsyncIterableIterator<Message> {
  #waiting: Waiting[] = []
  /** Undefined: goes on. */
  #ending: { error: MeshError | undefined } | undefined

  constructor(pattern: string, options: SubscribeOptions, host: SubscriptionHost) {
    super(pattern, options, host)
    host.add(this)
    this.claim.make().catch((error: unknown) => {
      if (this.#ending === undefined) this.fail(error as MeshError)
    })
  }

  next(): Promise<IteratorResult<Message>> {
    if (this.#ending !== undefined) return this.#afterEnd(this.#ending)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.ready()
    })
  }

  /** The loop was left: what it was given and did not settle goes back. */
  async return(): Promise<IteratorResult<Message>> {
    await this.finish(0)
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  protected ready(): void {
    while (this.#waiting.length > 0 && this.consumer.handed < this.settings.concurrency) {
      const delivery = this.consumer.take()
      if (delivery === undefined) return
      this.#waiting.shift()!.resolve({ done: false, value: delivery })
    }
  }

  protected ended(error: MeshError | undefined): void {
    if (this.#ending !== undefined) return
    this.#ending = { error }
    const waiting = this.#waiting
    this.#waiting = []
    for (const { resolve, reject } of waiting) this.#afterEnd(this.#ending).then(resolve, reject)
  }

  /** The error once, then the end. */
  #afterEnd(ending: { error: MeshError | undefined }): Promise<IteratorResult<Message>> {
    const { error } = ending
    ending.error = undefined
    return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error)
  }
}
