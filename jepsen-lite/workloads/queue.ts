/**
 * One queue, many publishers, competing consumers: every acknowledged message is delivered, none is stored twice, none comes from nowhere.
 * Some messages are large, and some are given back at their first attempt. Checked by check/accounting.ts.
 */
import { type Client, connect, type Message } from '../../client/index.ts'
import { checkAccounting } from '../check/accounting.ts'
import { fields } from '../check/operations.ts'
import type { Completion, Json, Operation } from '../history.ts'
import { completionOf } from '../workers/completion.ts'
import type { ClientContext, Plan, PlanContext, Workload, WorkloadClient } from '../workload.ts'
import { DRAIN, Drainer } from './draining.ts'
import { type Fate, Taker } from './taker.ts'

const PREFIX = 'queue.'
const QUEUE = `${PREFIX}jobs`
const TOPIC = 'jobs.new'
const PREFETCH = 10
/** Bytes beside the id: most are small, some fill a good part of a frame, few make an entry of their own. */
const PADDING = [0, 0, 0, 0, 0, 0, 100, 100, 2_000, 60_000]
/** Every so many messages are given back once. */
const NACKED = 16

export const queue: Workload = {
  name: 'queue',
  about: 'one queue: every acknowledged message comes out, none is stored twice or comes from nowhere',
  concurrency: 10,
  rate: 200,
  floors: { publish: 500, deliver: 500 },

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
    next(slot) {
      const state = slots[slot]
      if (state === undefined) throw new RangeError(`no slot ${slot}`)
      const id = slot + concurrency * state.published++
      return { f: 'publish', value: { id, padding: state.dice.pick(PADDING) } }
    },
    drain: () => [DRAIN],
  }
}

class QueueClient implements WorkloadClient {
  readonly #client: Client
  readonly #drainer: Drainer

  constructor(client: Client, context: ClientContext) {
    const { emit, process, slot } = context
    this.#client = client
    // Every other process consumes as well: some clients have both on one session, and some publish alone.
    const isConsumer = slot % 2 === 0
    if (isConsumer) {
      const name = `${process} ${QUEUE}`
      new Taker({ client, emit, name, queue: QUEUE, pattern: 'jobs.*', prefetch: PREFETCH, decide })
    }
    const isTaken = (name: string) => isConsumer && name === QUEUE
    this.#drainer = new Drainer({ client, emit, context, prefix: PREFIX, isTaken })
  }

  async invoke({ f, value }: Operation): Promise<Completion> {
    try {
      if (f === 'drain') return await this.#drainer.drain()
      const { id, padding } = fields(value)
      const { id: message } = await this.#client.publish(TOPIC, { id, padding: 'x'.repeat(Number(padding)) })
      return { type: 'ok', value: { id: id ?? null, message } }
    } catch (error) {
      return completionOf(error)
    }
  }

  close(): Promise<void> {
    return this.#client.close()
  }
}

function decide({ attempt }: Message, id: Json): Fate {
  return attempt === 1 && Number(id) % NACKED === 0 ? { as: 'nack', delayMs: 50 } : { as: 'ack' }
}
