/**
 * Order: some queues with one consumer at a time, and publishers that send several messages in a row without waiting for the first. What is
 * handed out for the first time comes in the order of publishing, whoever published: check/fifo.ts.
 *
 * The first slots consume, one queue each; when its process is retired or killed another one follows, under another session.
 */
import { type Client, connect } from '../../client/index.ts'
import { checkFifo } from '../check/fifo.ts'
import { fields } from '../check/operations.ts'
import type { Completion, Json, Operation } from '../history.ts'
import { completionOf, completionOfBurst, type MessageOutcome } from '../workers/completion.ts'
import type { ClientContext, Plan, PlanContext, Workload, WorkloadClient } from '../workload.ts'
import { DRAIN, Drainer } from './draining.ts'
import { paddedById } from './padding.ts'
import { Taker } from './taker.ts'

const PREFIX = 'fifo.'
const QUEUES = 2
/** Messages of one operation. */
const BURST_MAX = 8
const PREFETCH = 20
/** Every so many messages are given back once; they come again at their old place, among first attempts of others. */
const NACKED = 20

export const fifo: Workload = {
  name: 'fifo',
  about: 'queues with one consumer at a time: first attempts come in the order of publishing',
  concurrency: 10,
  rate: 100,
  floors: { publish: 300, deliver: 1000, settled: 1000 },
  pulse: 'publish',

  async setup({ client }) {
    for (const queue of queues) {
      await client.queue(queue).declare()
      await client.queue(queue).bind(queue)
    }
  },

  plan,

  async open(context) {
    return new FifoClient(await connect({ ...context.connectOptions }), context)
  },

  check: (history, { concurrency }) => checkFifo(history, concurrency),
}

const queues = Array.from({ length: QUEUES }, (_, number) => `${PREFIX}${number}`)

function plan({ random, concurrency }: PlanContext): Plan {
  const slots = Array.from({ length: concurrency }, (_, slot) => ({ dice: random.fork(`slot ${slot}`), published: 0 }))
  return {
    // Consumers publish too: an order of their own calls and of what they are handed.
    next(slot): Operation {
      const state = slots[slot]
      if (state === undefined) throw new RangeError(`no slot ${slot}`)
      const { dice } = state
      const queue = dice.pick(queues)
      const ids = Array.from({ length: dice.between(1, BURST_MAX) }, () => slot + concurrency * state.published++)
      return { f: 'publish', value: { queue, ids } }
    },
    drain: () => [DRAIN],
  }
}

class FifoClient implements WorkloadClient {
  readonly #client: Client
  readonly #drainer: Drainer

  constructor(client: Client, context: ClientContext) {
    const { emit, process, slot } = context
    this.#client = client
    const own = queues[slot]
    if (own !== undefined) {
      const name = `${process} ${own}`
      new Taker({ client, emit, name, queue: own, pattern: own, prefetch: PREFETCH, decide })
    }
    // A queue has one consumer at a time, also in the drain: that of its slot.
    const isTaken = () => true
    this.#drainer = new Drainer({ client, emit, context, prefix: PREFIX, isTaken })
  }

  async invoke({ f, value }: Operation): Promise<Completion> {
    if (f === 'drain') return this.#drainer.drain().catch(completionOf)
    const { queue, ids } = fields(value)
    const sent = (Array.isArray(ids) ? ids : []).map((id) => this.#publish(String(queue), id))
    return completionOfBurst(await Promise.all(sent))
  }

  close(): Promise<void> {
    return this.#client.close()
  }

  async #publish(queue: string, id: Json): Promise<MessageOutcome> {
    try {
      await this.#client.publish(queue, paddedById(id))
      return { id, type: 'ok' }
    } catch (error) {
      return { id, ...completionOf(error) }
    }
  }
}

function decide({ attempt, body }: { readonly attempt: number; readonly body: unknown }) {
  const { id } = body as { readonly id: number }
  return { as: attempt === 1 && id % NACKED === 0 ? 'nack' : 'ack' } as const
}
