/**
 * Consumers: what the cluster promises to those who take messages. A message says in its body what is to become of it at each attempt: it
 * is acked, given back, rejected, or kept until its consumer goes. Some queues are shared by consumers of different prefetch. Each process has
 * a `solo` queue, whose one consumer takes one message at a time: every redelivery must be the next delivery. And it has a `wide` one, whose
 * two consumers go at once, so that messages of both come back mixed. Clients lose their connection for so long that what they hold goes
 * elsewhere, and settle it all the same. Queues that are exclusive to a session are fought over.
 * Checked by check/consumers.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, connect, MeshError, type Message } from '../../client/index.ts'
import { checkConsumers } from '../check/consumers.ts'
import { fields } from '../check/operations.ts'
import type { Completion, Json, Operation } from '../history.ts'
import type { Random } from '../random.ts'
import { completionOf } from '../workers/completion.ts'
import type { ClientContext, Plan, PlanContext, Workload, WorkloadClient } from '../workload.ts'
import { DRAIN, Drainer } from './draining.ts'
import { paddedById } from './padding.ts'
import { Relay } from './relay.ts'
import { type Fate, Taker } from './taker.ts'

const SHARED = ['consumers.shared.0', 'consumers.shared.1', 'consumers.shared.2']
/** Queues of which each process has one of its own. */
const OWN = ['solo', 'wide']
const EXCLUSIVE = ['consumers.exclusive.0', 'consumers.exclusive.1']
/** Of the consumers of the shared queues, by slot. */
const PREFETCHES = [1, 2, 5, 20]
const WIDE_PREFETCH = 6
/** Short enough for sessions to expire in a run. */
const SESSION_LEASE_MS = 5_000
/** What a client holds goes elsewhere when it is away for longer. */
const DETACH_GRACE_MS = 300
const AWAY_MS = [100, 500, 900]
const RECONNECT = { initialMs: 10, maxMs: 200 }
/** Between giving a message back with a delay and its return. */
const DELAY_MS = 150

export const consumers: Workload = {
  name: 'consumers',
  about: 'prefetch, attempts, redelivery in place, every message until it is acked; exclusive queues',
  concurrency: 6,
  rate: 150,
  floors: { publish: 200, settled: 200, own: 5, away: 5 },
  pulse: 'publish',
  nodeOptions: { sessionLeaseMs: SESSION_LEASE_MS, detachGraceMs: DETACH_GRACE_MS },

  async setup({ client }) {
    for (const name of SHARED) {
      await client.queue(name).declare()
      await client.queue(name).bind(name)
    }
  },

  plan,

  async open(context) {
    const { connectOptions } = context
    const { servers } = connectOptions
    const relay = await Relay.open([servers].flat(), () => {})
    let client: Client | undefined
    try {
      client = await connect({ ...connectOptions, servers: relay.urls, reconnect: RECONNECT })
      for (const kind of OWN) {
        const queue = client.queue(ownOf(kind, context.process))
        await queue.declare()
        await queue.bind(queue.name)
      }
      return new ConsumersClient(client, relay, context)
    } catch (error) {
      await client?.close()
      relay.close()
      throw error
    }
  },

  check: (history, { concurrency }) =>
    checkConsumers(history, {
      concurrency,
      soloOf: (process) => ownOf('solo', process),
      topicOf,
      isDelayed: (queue) => SHARED.includes(queue),
    }),
}

function ownOf(kind: string, process: number): string {
  return `consumers.${kind}.${process}`
}

/** The queues of which each process has one are called by their kind. */
function topicOf(process: number, to: string): string {
  return OWN.includes(to) ? ownOf(to, process) : to
}

function plan({ random, concurrency }: PlanContext): Plan {
  const slots = Array.from({ length: concurrency }, (_, slot) => ({ dice: random.fork(`slot ${slot}`), published: 0 }))
  return {
    next(slot): Operation {
      const state = slots[slot]!
      const { dice } = state
      if (dice.chance(0.04)) return { f: 'renew', value: { which: dice.pick([...OWN, 'shared']) } }
      if (dice.chance(0.015)) return { f: 'away', value: { ms: dice.pick(AWAY_MS) } }
      if (dice.chance(0.08)) return { f: 'own', value: { queue: dice.pick(EXCLUSIVE), holdMs: dice.between(5, 60) } }
      const to = dice.chance(0.5) ? dice.pick(OWN) : dice.pick(SHARED)
      return { f: 'publish', value: { id: slot + concurrency * state.published++, to, fates: fates(dice, to) } }
    },
    drain: () => [DRAIN],
  }
}

/** What may become of a message before it is acked. A delay gives up its place for a while: not where places are looked at. */
const FATES: Readonly<Record<string, readonly string[]>> = {
  solo: ['nack', 'nack', 'keep'],
  wide: ['keep', 'keep', 'nack'],
}
const SHARED_FATES = ['nack', 'delay', 'reject', 'keep']

function fates(dice: Random, to: string): string[] {
  const all: string[] = []
  while (dice.chance(to === 'wide' ? 0.6 : 0.35)) all.push(dice.pick(FATES[to] ?? SHARED_FATES))
  return all
}

class ConsumersClient implements WorkloadClient {
  readonly #client: Client
  readonly #relay: Relay
  readonly #context: ClientContext
  readonly #takers: Readonly<Record<string, readonly Taker[]>>
  readonly #drainer: Drainer
  #isDraining = false
  #sessionsLost = 0

  constructor(client: Client, relay: Relay, context: ClientContext) {
    const { emit, process, slot } = context
    this.#client = client
    this.#relay = relay
    this.#context = context
    const shared = SHARED[slot % SHARED.length]!
    const [solo, wide] = OWN.map((kind) => ownOf(kind, process)) as [string, string]
    const decide = (message: Message) => this.#fate(message)
    const taker = (name: string, queue: string, prefetch: number) =>
      new Taker({ client, emit, name: `${process} ${name}`, queue, pattern: queue, prefetch, decide })
    this.#takers = {
      solo: [taker('solo', solo, 1)],
      wide: [taker('wide a', wide, WIDE_PREFETCH), taker('wide b', wide, WIDE_PREFETCH)],
      shared: [taker('shared', shared, PREFETCHES[slot % PREFETCHES.length]!)],
    }
    const isTaken = (queue: string) => [solo, wide, shared].includes(queue)
    this.#drainer = new Drainer({ client, emit, context, prefix: 'consumers.', isTaken })
    this.#countLosses()
  }

  async invoke({ f, value }: Operation): Promise<Completion> {
    const { id, to, fates, which, queue, holdMs, ms } = fields(value)
    try {
      if (f === 'drain') return await this.#drain()
      if (f === 'own') return await this.#own(String(queue), Number(holdMs))
      if (f === 'away') await this.#away(Number(ms))
      else if (f === 'renew') await this.#renew(String(which))
      else await this.#client.publish(topicOf(this.#context.process, String(to)), { ...paddedById(id ?? null), fates })
      return { type: 'ok' }
    } catch (error) {
      return completionOf(error)
    }
  }

  async close(): Promise<void> {
    await this.#client.close()
    this.#relay.close()
  }

  async #away(ms: number): Promise<void> {
    this.#relay.sever(ms)
    await sleep(ms)
  }

  /** None comes back before all are gone. */
  async #renew(which: string): Promise<void> {
    const gone = new AbortController()
    const gate = new Promise<void>((resolve) => gone.signal.addEventListener('abort', () => resolve()))
    await Promise.all(this.#takers[which]!.map((taker) => taker.renew(gate)))
    gone.abort()
  }

  #fate(message: Message): Fate {
    const { fates } = fields(message.body as Json)
    const fate = this.#isDraining ? undefined : (fates as readonly string[])[message.attempt - 1]
    switch (fate) {
      case 'nack':
      case 'reject':
      case 'keep':
        return { as: fate }
      case 'delay':
        return { as: 'nack', delayMs: DELAY_MS }
      default:
        return { as: 'ack', holdMs: message.attempt }
    }
  }

  async #drain(): Promise<Completion> {
    if (!this.#isDraining) {
      this.#isDraining = true
      for (const which of Object.keys(this.#takers)) await this.#renew(which)
    }
    return this.#drainer.drain()
  }

  /** Takes an exclusive queue, holds it, proves that it has been held, and lets it go. Fails when it is another session's. */
  async #own(name: string, holdMs: number): Promise<Completion> {
    const { emit, process } = this.#context
    const owner = `${process} owner`
    const queue = this.#client.queue(name)
    const lost = this.#sessionsLost
    await queue.declare({ exclusive: true })
    await emit(owner, 'owned', { queue: name })
    await sleep(holdMs)
    await emit(owner, 'proving', { queue: name })
    try {
      await queue.bind(name)
    } catch (error) {
      const isGone = error instanceof MeshError && (error.code === 'NotFound' || error.code === 'Precondition')
      if (isGone && lost === this.#sessionsLost) await emit(owner, 'vanished', { queue: name, error: error.code })
      throw error
    }
    await emit(owner, 'proved', { queue: name })
    await queue.delete()
    return { type: 'ok' }
  }

  async #countLosses(): Promise<void> {
    for await (const { type } of this.#client.status()) if (type === 'sessionLost') this.#sessionsLost++
  }
}
