/**
 * Requests and replies: every process asks and answers. One operation asks several things at once, some of them with so little patience that
 * their replies come late, while the others still wait: no reply may reach a request that is not its own. Some topics have many
 * responders, some one, some none, and some now and then. Checked by check/request-reply.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, connect, MeshError, type Message, type Subscription } from '../../client/index.ts'
import { fields } from '../check/operations.ts'
import { checkRequestReply, NOBODY } from '../check/request-reply.ts'
import type { Completion, Json, Operation } from '../history.ts'
import type { Random } from '../random.ts'
import { completionOf } from '../workers/completion.ts'
import { beginningAt } from '../workers/server-order.ts'
import type { ClientContext, Plan, PlanContext, Workload, WorkloadClient } from '../workload.ts'
import { DRAIN } from './draining.ts'
import { corruptionOf, paddedById } from './padding.ts'

const COMMON = 'rr.common'
const TOGGLED = 'rr.toggled'
const topicOf = (slot: number) => `rr.slot.${slot}`

/** How long an asker waits, as a rule and when the reply is to come late, and what a slow responder takes; milliseconds. */
const PATIENCE_MS = 2_000
const LITTLE_PATIENCE_MS = 40
const SLOW_MS = 80
/** Requests of a drain that must not be told that nobody responds. */
const SURE = 5

export const requestReply: Workload = {
  name: 'request-reply',
  about: 'a reply fits its request and reaches its asker alone, a request is served once at most; NoResponders',
  concurrency: 8,
  rate: 120,
  floors: { request: 200 },
  pulse: 'request',
  // Requests touch no disk.
  immuneTo: ['lost-writes'],

  async setup() {},

  plan,

  async open(context) {
    const client = await connect({ ...context.connectOptions })
    try {
      const responder = new Responding(client, context)
      await responder.listen(COMMON)
      await responder.listen(topicOf(context.slot))
      return new RequestReplyClient(client, responder, context)
    } catch (error) {
      await client.close()
      throw error
    }
  },

  check: (history, { concurrency }) => checkRequestReply(history, { concurrency }),
}

function plan({ random, concurrency }: PlanContext): Plan {
  const slots = Array.from({ length: concurrency }, (_, slot) => ({ dice: random.fork(`slot ${slot}`), asked: 0 }))
  return {
    next(slot): Operation {
      const state = slots[slot]!
      const { dice } = state
      if (dice.chance(0.05)) return { f: dice.pick(['listen', 'mute']), value: null }
      const topics = [COMMON, TOGGLED, NOBODY, topicOf(dice.below(concurrency)), topicOf(dice.below(concurrency))]
      const id = () => slot + concurrency * state.asked++
      const requests = Array.from({ length: dice.between(1, 3) }, () => request(dice, id(), dice.pick(topics)))
      return { f: 'request', value: { requests } }
    },
    drain: () => [DRAIN],
  }
}

function request(dice: Random, id: number, topic: string): Json {
  const kind = dice.next()
  // Its reply comes late: the other requests of the operation wait meanwhile.
  if (kind < 0.03) return { id, topic, waitMs: SLOW_MS, timeoutMs: LITTLE_PATIENCE_MS }
  if (kind < 0.1) return { id, topic, waitMs: 2 * SLOW_MS, timeoutMs: PATIENCE_MS }
  if (kind < 0.15) return { id, topic, waitMs: 0, timeoutMs: PATIENCE_MS, throws: true }
  return { id, topic, waitMs: dice.below(5), timeoutMs: PATIENCE_MS }
}

/** A process's responders. What is served is told before it is answered. */
class Responding {
  readonly #client: Client
  readonly #context: ClientContext
  readonly #listening = new Map<string, Subscription>()
  #served = 0

  constructor(client: Client, context: ClientContext) {
    this.#client = client
    this.#context = context
  }

  async listen(topic: string): Promise<void> {
    if (this.#listening.has(topic)) return
    this.#listening.set(topic, await this.#client.respond(topic, (message) => this.#serve(message)))
  }

  async mute(topic: string): Promise<void> {
    const listening = this.#listening.get(topic)
    this.#listening.delete(topic)
    await listening?.close({ timeoutMs: PATIENCE_MS })
  }

  async #serve(message: Message): Promise<Json> {
    const { id, waitMs, throws } = fields(message.body as Json)
    if (id === undefined) return null
    const { emit, process } = this.#context
    const token = `${process}-${++this.#served}`
    const corrupt = corruptionOf(message.body as Json)
    await emit(`${process} responder`, 'serve', { id, topic: message.topic, token, ...corrupt })
    await sleep(Number(waitMs))
    if (throws === true) throw new Error(JSON.stringify({ id, token }))
    return { ...paddedById(id), token }
  }
}

class RequestReplyClient implements WorkloadClient {
  readonly #client: Client
  readonly #responding: Responding
  readonly #context: ClientContext
  /** How often its connection or its session was lost. */
  #losses = 0
  #drains = 0

  constructor(client: Client, responding: Responding, context: ClientContext) {
    this.#client = client
    this.#responding = responding
    this.#context = context
    this.#countLosses()
  }

  async invoke({ f, value }: Operation): Promise<Completion> {
    try {
      if (f === 'request') return await this.#requests(fields(value).requests as readonly Json[])
      if (f === 'drain') return await this.#drain()
      if (f === 'listen') await this.#responding.listen(TOGGLED)
      else await this.#responding.mute(TOGGLED)
      return { type: 'ok' }
    } catch (error) {
      return completionOf(error)
    }
  }

  close(): Promise<void> {
    return this.#client.close()
  }

  /**
   * Everything is healed, and this process responds to a topic of its own before anybody asks: whichever node is asked, it finds a responder.
   * Tells where it was said that there is none; nothing is certain, and the drain fails, when the responder itself was away meanwhile.
   */
  async #drain(): Promise<Completion> {
    const { connectOptions, process } = this.#context
    // Of this drain alone, so that the cluster has to take the responder in now: one of a former drain may have to be found again.
    const topic = `rr.sure.${process}.${++this.#drains}`
    const losses = this.#losses
    await this.#responding.listen(topic)
    const unheard: string[] = []
    const ask = async (client: Client) => {
      const error = await refusalOf(client, topic)
      if (error !== undefined) unheard.push(error)
    }
    // At another node, unless the responder had to move there.
    const stranger = await connect(beginningAt(this.#drains, connectOptions))
    try {
      for (let i = 0; i < SURE; i++) await ask(stranger)
    } finally {
      await stranger.close()
    }
    // Whatever it says: who is answered has noticed by now if it was away.
    await ask(this.#client)
    if (this.#losses > losses) return { type: 'fail', error: 'Connection: the responder was not there all the time' }
    return { type: 'ok', value: { unheard } }
  }

  async #countLosses(): Promise<void> {
    for await (const { type } of this.#client.status())
      if (type === 'disconnected' || type === 'sessionLost') this.#losses++
  }

  /** All at once. Info when nobody knows what became of one of them; fail when none has reached anybody. */
  async #requests(asked: readonly Json[]): Promise<Completion> {
    const requests = await Promise.all(asked.map((each) => this.#request(each)))
    const are = (as: string) => requests.filter((each) => each.as === as)
    const [unknown] = are('unknown')
    if (unknown !== undefined) return { type: 'info', value: { requests }, error: String(unknown.error) }
    const refused = are('refused')
    if (refused.length < requests.length) return { type: 'ok', value: { requests } }
    return { type: 'fail', value: { requests }, error: String(refused[0]?.error) }
  }

  async #request(asked: Json): Promise<{ readonly [key: string]: Json }> {
    const request = fields(asked)
    const { topic, timeoutMs } = request
    try {
      const body = { ...request, ...paddedById(request.id ?? null) }
      const reply = await this.#client.request(String(topic), body, { timeoutMs: Number(timeoutMs) })
      const { id = null, token = null } = fields(reply.body as Json)
      return { ...request, as: 'replied', reply: { id, token }, ...corruptionOf(reply.body as Json) }
    } catch (error) {
      if (error instanceof MeshError && error.code === 'Remote') return { ...request, as: 'thrown', ...thrown(error) }
      const { type, error: text = '' } = completionOf(error)
      return { ...request, as: type === 'fail' ? 'refused' : 'unknown', error: text }
    }
  }
}

/** Undefined: it was answered. Rejects with what is no word about responders. */
async function refusalOf(client: Client, topic: string): Promise<string | undefined> {
  try {
    await client.request(topic, {}, { timeoutMs: PATIENCE_MS })
    return undefined
  } catch (error) {
    if (error instanceof MeshError && error.code === 'NoResponders') return error.message
    throw error
  }
}

/** What the responder's error says; `error` alone when it is not from the handler, which was gone. */
function thrown({ cause }: MeshError): { readonly [key: string]: Json } {
  const error = cause instanceof Error ? cause.message : String(cause)
  try {
    return { reply: JSON.parse(error) as Json }
  } catch {
    return { error }
  }
}
