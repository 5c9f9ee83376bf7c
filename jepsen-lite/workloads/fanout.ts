/**
 * Fan-out: what is published goes into every queue that is bound to its topic, once, and into all of them or none. Some queues are bound
 * for the whole run, by patterns of every kind, one of them by three that match the same topic; others are bound and unbound all the time.
 * Checked by check/fanout.ts.
 */
import { type Client, connect, type Message } from '../../client/index.ts'
import { checkFanout } from '../check/fanout.ts'
import { fields } from '../check/operations.ts'
import type { Completion, Operation } from '../history.ts'
import { completionOf } from '../workers/completion.ts'
import type { ClientContext, Plan, PlanContext, Workload, WorkloadClient } from '../workload.ts'
import { DRAIN, Drainer } from './draining.ts'
import { paddedById } from './padding.ts'
import { Taker } from './taker.ts'

/** Queues that are bound before the first fault, and stay so. */
const BOUND: Readonly<Record<string, readonly string[]>> = {
  'fanout.all': ['fan.#'],
  'fanout.red': ['fan.*.red'],
  'fanout.first': ['fan.1.*'],
  'fanout.exact': ['fan.2.blue'],
  'fanout.thrice': ['fan.*.red', 'fan.#.red', 'fan.1.red'],
}
const TOPICS = ['fan.1.red', 'fan.1.blue', 'fan.2.red', 'fan.2.blue', 'fan.3.red', 'fan.3.blue']
/** What the queues of the processes are bound to and unbound from. */
const CHANGING = ['fan.1.red', 'fan.*.blue', 'fan.3.#']

/** The queue that a process binds and unbinds: a retired process's binding, which may still come, harms no other. */
const OWN_PREFIX = 'fanout.own.'
const OWN_UNUSED = 'fanout.unused'
const PREFETCH = 20

export const fanout: Workload = {
  name: 'fanout',
  about: 'every acknowledged publish is once in each bound queue, in all of them or none; bindings come and go',
  concurrency: 6,
  rate: 120,
  floors: { publish: 200, settled: 200, bind: 10, unbind: 5 },
  pulse: 'publish',

  async setup({ client }) {
    for (const [name, patterns] of Object.entries(BOUND)) {
      const queue = client.queue(name)
      await queue.declare()
      for (const pattern of patterns) await queue.bind(pattern)
    }
  },

  plan,

  async open(context) {
    const client = await connect({ ...context.connectOptions })
    try {
      await client.queue(own(context.process)).declare()
      return new FanoutClient(client, context)
    } catch (error) {
      await client.close()
      throw error
    }
  },

  check: (history, { concurrency }) => checkFanout(history, { concurrency, bound: BOUND, own }),
}

function own(process: number): string {
  return `${OWN_PREFIX}${process}`
}

function plan({ random, concurrency }: PlanContext): Plan {
  const slots = Array.from({ length: concurrency }, (_, slot) => ({ dice: random.fork(`slot ${slot}`), published: 0 }))
  return {
    next(slot): Operation {
      const state = slots[slot]!
      const { dice } = state
      if (dice.chance(0.15)) return { f: dice.chance(0.6) ? 'bind' : 'unbind', value: { pattern: dice.pick(CHANGING) } }
      return { f: 'publish', value: { id: slot + concurrency * state.published++, topic: dice.pick(TOPICS) } }
    },
    drain: () => [DRAIN],
  }
}

class FanoutClient implements WorkloadClient {
  readonly #client: Client
  readonly #own: string
  readonly #drainer: Drainer

  constructor(client: Client, context: ClientContext) {
    const { emit, process, slot, concurrency } = context
    this.#client = client
    this.#own = own(process)
    const decide = ({ attempt }: Message) => ({ as: attempt === 1 && process % 3 === 0 ? 'nack' : 'ack' }) as const
    const take = (queue: string, pattern: string) =>
      new Taker({ client, emit, name: `${process} ${queue}`, queue, pattern, prefetch: PREFETCH, decide })
    // Each queue has two consumers, as far as there are processes.
    const queues = Object.keys(BOUND)
    const taken = queues.filter((_, i) => i % concurrency === slot || (i + 1) % concurrency === slot)
    for (const queue of taken) take(queue, BOUND[queue]![0]!)
    take(this.#own, OWN_UNUSED)
    const isTaken = (queue: string) => queue === this.#own || taken.includes(queue)
    this.#drainer = new Drainer({ client, emit, context, prefix: 'fanout.', isTaken })
  }

  async invoke({ f, value }: Operation): Promise<Completion> {
    const { id, topic, pattern } = fields(value)
    try {
      if (f === 'drain') return await this.#drainer.drain()
      if (f === 'publish') await this.#client.publish(String(topic), paddedById(id ?? null))
      else if (f === 'bind') await this.#client.queue(this.#own).bind(String(pattern))
      else await this.#client.queue(this.#own).unbind(String(pattern))
      return { type: 'ok' }
    } catch (error) {
      return completionOf(error)
    }
  }

  close(): Promise<void> {
    return this.#client.close()
  }
}
