/**
 * One queue, many publishers, competing consumers: every acknowledged message is delivered, none is stored twice, none comes from nowhere.
 * Half of the processes consume by a subscription, the others ask for messages now and then. Some messages are large, and some are given back
 * at their first attempt. Checked by check/accounting.ts.
 */
import { type Client, connect, MeshError, type Message } from '../../client/index.ts'
import { checkAccounting } from '../check/accounting.ts'
import { fields } from '../check/operations.ts'
import type { Completion, Json, Operation } from '../history.ts'
import { completionOf } from '../workers/completion.ts'
import type { ClientContext, Plan, PlanContext, Workload, WorkloadClient } from '../workload.ts'
import { DRAIN, Drainer } from './draining.ts'
import { corruptionOf, padded } from './padding.ts'
import { Taker } from './taker.ts'

const PREFIX = 'queue.'
const QUEUE = `${PREFIX}jobs`
const TOPIC = 'jobs.new'
const PREFETCH = 10
/** Of the operations of a process that has no subscription. */
const RECEIVES = 0.3
const RECEIVE_MAX = 8
const RECEIVE_WAIT_MS = 500
/** Bytes beside the id: most are small, some fill a good part of a frame, few make an entry of their own. */
const PADDING = [0, 0, 0, 0, 0, 0, 100, 100, 2_000, 60_000]
/** Every so many messages are given back once. */
const NACKED = 16
const NACK_DELAY_MS = 50

export const queue: Workload = {
  name: 'queue',
  about: 'one queue: every acknowledged message comes out, none is stored twice or comes from nowhere',
  concurrency: 10,
  rate: 200,
  floors: { publish: 500, deliver: 500, settled: 500, receive: 50 },
  pulse: 'publish',

  async setup({ client }) {
    await client.queue(QUEUE).declare()
    await client.queue(QUEUE).bind('jobs.*')
  },

  plan,

  async open(context) {
    return new QueueClient(await connect({ ...context.connectOptions }), context)
  },

  check: (history, { concurrency }) => checkAccounting(history, { concurrency }),
}

function plan({ random, concurrency }: PlanContext): Plan {
  const slots = Array.from({ length: concurrency }, (_, slot) => ({ dice: random.fork(`slot ${slot}`), published: 0 }))
  return {
    next(slot): Operation {
      const state = slots[slot]
      if (state === undefined) throw new RangeError(`no slot ${slot}`)
      if (!isSubscriber(slot) && state.dice.chance(RECEIVES)) {
        return {
          f: 'receive',
          value: { max: state.dice.between(1, RECEIVE_MAX), waitMs: state.dice.below(RECEIVE_WAIT_MS) },
        }
      }
      const id = slot + concurrency * state.published++
      return { f: 'publish', value: { id, padding: state.dice.pick(PADDING) } }
    },
    drain: () => [DRAIN],
  }
}

function isSubscriber(slot: number): boolean {
  return slot % 2 === 0
}

class QueueClient implements WorkloadClient {
  readonly #client: Client
  readonly #context: ClientContext
  readonly #drainer: Drainer

  constructor(client: Client, context: ClientContext) {
    const { emit, process, slot } = context
    this.#client = client
    this.#context = context
    if (isSubscriber(slot)) {
      const name = `${process} ${QUEUE}`
      new Taker({ client, emit, name, queue: QUEUE, pattern: 'jobs.*', prefetch: PREFETCH, decide })
    }
    const isTaken = (name: string) => isSubscriber(slot) && name === QUEUE
    this.#drainer = new Drainer({ client, emit, context, prefix: PREFIX, isTaken })
  }

  async invoke({ f, value }: Operation): Promise<Completion> {
    try {
      if (f === 'drain') return await this.#drainer.drain()
      if (f === 'receive') return await this.#receive(value)
      const { id, padding } = fields(value)
      const { id: message } = await this.#client.publish(TOPIC, padded(id ?? null, Number(padding)))
      return { type: 'ok', value: { id: id ?? null, message } }
    } catch (error) {
      return completionOf(error)
    }
  }

  close(): Promise<void> {
    return this.#client.close()
  }

  async #receive(value: Json): Promise<Completion> {
    const { max, waitMs } = fields(value)
    const messages = await this.#client.queue(QUEUE).receive({ max: Number(max), waitMs: Number(waitMs) })
    await Promise.all(messages.map((message) => this.#settle(message)))
    return { type: 'ok', value: { messages: messages.map(({ id }) => id) } }
  }

  /** Tells what it does before it does it, as workloads/taker.ts. */
  async #settle(message: Message): Promise<void> {
    const { emit, process } = this.#context
    const consumer = `${process} receive`
    const id = fields(message.body as Json).id ?? null
    const which = { queue: QUEUE, message: message.id, attempt: message.attempt }
    const corrupt = corruptionOf(message.body as Json)
    await emit(consumer, 'deliver', { ...which, id, topic: message.topic, ...corrupt })
    const { as } = decide(message, id)
    await emit(consumer, 'settle', { ...which, as })
    try {
      await (as === 'ack' ? message.ack() : message.nack({ delayMs: NACK_DELAY_MS }))
      await emit(consumer, 'settled', which)
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
      await emit(consumer, 'lost', { ...which, error: error.code })
    }
  }
}

function decide({ attempt }: Message, id: Json) {
  return attempt === 1 && Number(id) % NACKED === 0
    ? ({ as: 'nack', delayMs: NACK_DELAY_MS } as const)
    : ({ as: 'ack' } as const)
}
