/**
 * A consumer that tells what it is handed and what it does with it, under a name of its own, for check/deliveries.ts to read:
 *
 *   subscribe, deliver, settle (about to be sent), settled (the cluster has confirmed it), lost, closed, connected, disconnected, sessionLost
 *
 * (`lost` with `unsent`: before the settle that it had told of was sent),
 * and for workers/open-calls.ts how each call ends: `answered` ends subscribe, whatever the answer; settled or `lost` with an error end settle;
 * closed, or `ended` (by the cluster), end `close`.
 *
 * It is told before it happens: a message is settled only when its delivery is in the history, so that no kill of this process can make a
 * message disappear from the history alone. It takes more at a time than its prefetch: what the cluster sends beyond that is seen.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, MeshError, type Message, type Subscription } from '../../client/index.ts'
import { fields } from '../check/operations.ts'
import type { Json } from '../history.ts'
import type { ClientContext } from '../workload.ts'
import { corruptionOf } from './padding.ts'

/** What is to become of a message at one attempt. */
export type Fate =
  | { readonly as: 'ack' | 'nack' | 'reject'; readonly holdMs?: number; readonly delayMs?: number }
  /** Kept until the consumer goes. */
  | { readonly as: 'keep' }

export interface TakerOptions {
  readonly client: Client
  readonly emit: ClientContext['emit']
  /** Unique in the run; a number is added for each subscription. */
  readonly name: string
  readonly queue: string
  /** A subscription binds its queue: one of the patterns that it is bound to. */
  readonly pattern: string
  readonly prefetch: number
  readonly decide: (message: Message, id: Json) => Fate
}

/** Before a subscription that was refused or ended is made again. */
const AGAIN_MS = 200
/** What a consumer that goes waits for: nothing that it was handed. */
const CLOSE_MS = 1

export class Taker {
  readonly #options: TakerOptions
  #name: string
  #generation = 0
  #subscription: Subscription | undefined
  #isOver = false
  /** Nothing is taken before it. */
  #gate: Promise<void> = Promise.resolve()
  #ended: Promise<void>

  constructor(options: TakerOptions) {
    this.#options = options
    this.#name = options.name
    this.#followStatus()
    this.#ended = this.#run()
  }

  /** Goes away with all that it holds, and comes back as another consumer: at once, or when `gate` resolves. */
  async renew(gate: Promise<void> = Promise.resolve()): Promise<void> {
    this.#gate = gate
    const subscription = this.#subscription
    if (subscription === undefined) return
    await this.#tell(this.#name, 'close', { queue: this.#options.queue })
    await subscription.close({ timeoutMs: CLOSE_MS })
  }

  /** Hands back what it holds. */
  async close(): Promise<void> {
    this.#isOver = true
    await this.renew()
    await this.#ended
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      try {
        await this.#subscribe()
      } catch (error) {
        if (!(error instanceof MeshError)) throw error
        if (error.code === 'Closed') return
        await sleep(AGAIN_MS)
      }
    }
  }

  /** Resolves when the subscription was closed; rejects when there was none, or the cluster ended it. */
  async #subscribe(): Promise<void> {
    const { client, queue, pattern, prefetch, name } = this.#options
    await this.#gate
    const consumer = `${name}#${++this.#generation}`
    this.#name = consumer
    await this.#tell(consumer, 'subscribe', { queue, prefetch })
    const handler = (message: Message) => this.#handle(consumer, message)
    const concurrency = 2 * prefetch + 10
    try {
      this.#subscription = await client.subscribe(pattern, handler, { queue, prefetch, concurrency })
    } finally {
      await this.#tell(consumer, 'answered', { queue })
    }
    const { closed } = this.#subscription
    if (this.#isOver) await this.renew()
    const how = await closed.then(
      () => 'closed',
      () => 'ended',
    )
    this.#subscription = undefined
    await this.#tell(consumer, how, { queue })
    return closed
  }

  async #handle(consumer: string, message: Message): Promise<void> {
    const { queue, decide } = this.#options
    const { id } = fields(message.body as Json)
    const which = { queue, message: message.id, attempt: message.attempt }
    const isLost = new Promise<void>((resolve) => {
      message.signal.addEventListener('abort', () => resolve(this.#tell(consumer, 'lost', which)))
    })
    const corrupt = corruptionOf(message.body as Json)
    await this.#tell(consumer, 'deliver', { ...which, id: id ?? null, topic: message.topic, ...corrupt })
    const fate = decide(message, id ?? null)
    // A handler that returns acknowledges: it must not.
    if (fate.as === 'keep') return isLost
    await sleep(fate.holdMs ?? 0)
    if (message.signal.aborted) return
    await this.#tell(consumer, 'settle', { ...which, as: fate.as })
    if (message.signal.aborted) return this.#tell(consumer, 'lost', { ...which, error: 'LeaseLost', unsent: true })
    try {
      await settle(message, fate)
      await this.#tell(consumer, 'settled', which)
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
      await this.#tell(consumer, 'lost', { ...which, error: error.code })
    }
  }

  async #followStatus(): Promise<void> {
    const { client } = this.#options
    for await (const { type } of client.status()) {
      if (type === 'connected' || type === 'disconnected' || type === 'sessionLost')
        await this.#tell(this.#name, type, {})
    }
  }

  #tell(name: string, f: string, value: Json): Promise<void> {
    return this.#options.emit(name, f, value)
  }
}

function settle(message: Message, { as, ...fate }: Exclude<Fate, { as: 'keep' }>): Promise<void> {
  if (as === 'ack') return message.ack()
  return as === 'nack' ? message.nack({ delayMs: fate.delayMs ?? 0 }) : message.reject()
}
