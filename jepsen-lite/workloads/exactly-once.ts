/**
 * Publishes that are stored once, whatever breaks: each process publishes through a relay that cuts its connection in the middle of a frame,
 * after it and before its confirmation, or in the middle of the confirmation, several times for one publish. The client goes on at another
 * server, so that its session moves all the time. Now and then it is kept away until its session has expired.
 * Checked by check/exactly-once.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, connect } from '../../client/index.ts'
import { checkExactlyOnce } from '../check/exactly-once.ts'
import { fields } from '../check/operations.ts'
import type { Completion, Json, Operation } from '../history.ts'
import type { Random } from '../random.ts'
import { completionOf, completionOfBurst, type MessageOutcome } from '../workers/completion.ts'
import type { ClientContext, Plan, PlanContext, Workload, WorkloadClient } from '../workload.ts'
import { DRAIN, Drainer } from './draining.ts'
import { padded } from './padding.ts'
import { type Cut, Relay } from './relay.ts'
import { Taker } from './taker.ts'

const QUEUE = 'exactly-once.stored'
const TOPIC = 'exactly.once'
const PREFETCH = 50
const SESSION_LEASE_MS = 3_000
/** How long a client is kept away so that its session expires. */
const AWAY_MS = SESSION_LEASE_MS + 1_500
/** Longer than being away takes: a publish that was not sent yet is to go on in the next session. */
const PUBLISH_TIMEOUT_MS = 12_000
/** Its connections never live long enough for the client to believe in them; it must not grow patient. */
const RECONNECT = { initialMs: 10, maxMs: 200 }
const SIZES = [10, 10, 300, 5_000, 40_000]
const MESSAGES_MAX = 8

export const exactlyOnce: Workload = {
  name: 'exactly-once',
  about: 'publishes whose connections are cut at every byte, and whose sessions move and expire: each is stored once',
  concurrency: 6,
  rate: 60,
  floors: { publish: 100, settled: 200, cut: 30 },
  pulse: 'publish',
  nodeOptions: { sessionLeaseMs: SESSION_LEASE_MS },

  async setup({ client }) {
    await client.queue(QUEUE).declare()
    await client.queue(QUEUE).bind(TOPIC)
  },

  plan,

  async open(context) {
    const { connectOptions, emit, process } = context
    const { servers } = connectOptions
    const relay = await Relay.open([servers].flat(), (cut) => {
      emit(`${process} relay`, 'cut', { ...cut })
    })
    const steady = connect({ ...connectOptions })
    const cut = connect({
      ...connectOptions,
      servers: relay.urls,
      publishTimeoutMs: PUBLISH_TIMEOUT_MS,
      reconnect: RECONNECT,
    })
    try {
      return new ExactlyOnceClient(await steady, await cut, relay, context)
    } catch (error) {
      for (const client of await Promise.allSettled([steady, cut])) {
        if (client.status === 'fulfilled') await client.value.close()
      }
      relay.close()
      throw error
    }
  },

  check: (history, { concurrency }) => checkExactlyOnce(history, { concurrency }),
}

function plan({ random, concurrency }: PlanContext): Plan {
  const slots = Array.from({ length: concurrency }, (_, slot) => ({ dice: random.fork(`slot ${slot}`), published: 0 }))
  return {
    next(slot): Operation {
      const state = slots[slot]!
      const { dice } = state
      const ids = Array.from({ length: dice.between(1, MESSAGES_MAX) }, () => slot + concurrency * state.published++)
      const size = dice.pick(SIZES)
      const away = dice.chance(0.01)
      return { f: 'publish', value: { ids, size, cuts: away ? [] : cuts(dice, ids.length * size), away } }
    },
    drain: () => [DRAIN],
  }
}

/** Half of the publishes are left alone; the others lose up to four connections. */
function cuts(dice: Random, bytes: number): Json[] {
  const all: Json[] = []
  while (all.length < 4 && dice.chance(0.5)) all.push(cut(dice, bytes))
  return all
}

/** `bytes`: what the publish takes, about. A confirmation takes less than forty. */
function cut(dice: Random, bytes: number): Json {
  if (dice.chance(0.4)) return { way: 'up', afterBytes: dice.below(bytes + 100) }
  return { way: 'down', afterBytes: dice.chance(0.5) ? 0 : dice.below(40) }
}

class ExactlyOnceClient implements WorkloadClient {
  readonly #steady: Client
  readonly #cut: Client
  readonly #relay: Relay
  readonly #drainer: Drainer

  constructor(steady: Client, cut: Client, relay: Relay, context: ClientContext) {
    const { emit, process, slot } = context
    this.#steady = steady
    this.#cut = cut
    this.#relay = relay
    const isTaken = () => slot < 2
    if (isTaken()) {
      const decide = () => ({ as: 'ack' }) as const
      new Taker({
        client: steady,
        emit,
        name: `${process} taker`,
        queue: QUEUE,
        pattern: TOPIC,
        prefetch: PREFETCH,
        decide,
      })
    }
    this.#drainer = new Drainer({ client: steady, emit, context, prefix: QUEUE, isTaken })
    this.#tellLosses(context)
  }

  async invoke({ f, value }: Operation): Promise<Completion> {
    const { ids, size, cuts, away } = fields(value)
    if (f === 'publish') {
      return this.#publish(ids as readonly Json[], Number(size), cuts as unknown as readonly Cut[], away === true)
    }
    try {
      return await this.#drainer.drain()
    } catch (error) {
      return completionOf(error)
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#steady.close(), this.#cut.close()])
    this.#relay.close()
  }

  /** All of them in one turn, hence in as few frames as they fit. */
  async #publish(ids: readonly Json[], size: number, cuts: readonly Cut[], away: boolean): Promise<Completion> {
    this.#relay.arm(cuts)
    const published = ids.map((id) => this.#publishOne(id, size))
    if (away) {
      // Some of them leave before the cut.
      await sleep(1)
      this.#relay.sever(AWAY_MS)
    }
    const messages = await Promise.all(published)
    this.#relay.arm([])
    return completionOfBurst(messages)
  }

  async #publishOne(id: Json, size: number): Promise<MessageOutcome> {
    try {
      const { id: message } = await this.#cut.publish(TOPIC, padded(id, size))
      return { id, type: 'ok', message }
    } catch (error) {
      return { id, ...completionOf(error) }
    }
  }

  async #tellLosses({ emit, process }: ClientContext): Promise<void> {
    for await (const { type } of this.#cut.status()) {
      if (type === 'sessionLost') await emit(`${process} relay`, 'sessionLost', {})
    }
  }
}
