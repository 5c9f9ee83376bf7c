/**
 * Many queues that live for some dozens of operations each: publish, receive (with the ack of what it got) and the consistent length, by several
 * processes at a time. Each queue's history is to be one that a single FIFO queue could have had: check/fifo-queue.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, connect, MeshError, type Message, type Queue } from '../../client/index.ts'
import { checkFifoQueues } from '../check/fifo-queue.ts'
import { fields } from '../check/operations.ts'
import type { Completion, Json, Operation } from '../history.ts'
import { completionOf } from '../workers/completion.ts'
import type { Plan, PlanContext, Workload, WorkloadClient } from '../workload.ts'

/** Slots that work on the same queue. */
const SHARE = 4
/** Operations of each slot on one queue, before it goes on to the next. */
const OPERATIONS = 12
/** Of what is no length; the rest are receives. */
const PUBLISHES = 0.53
const LENGTHS = 0.15
/**
 * One of the sharers, a *reader*, asks little else, and only the node that is first in its list: what is late there makes no difference to
 * the others, whose publishes are confirmed meanwhile. So an answer of the past shows.
 */
const READER_LENGTHS = 0.9
/** Queues that are made before anybody needs them, lest a reader has to wait for its node to hear of them. */
const AHEAD = 8
/** Of the receives, which wait so long if there is nothing. */
const WAITS = 0.25
const WAIT_MS = 200
/** Drain: how long one operation looks, and how often. */
const PATIENCE_MS = 10_000
const LOOK_MS = 100

export const linearizable: Workload = {
  name: 'linearizable',
  about: 'publish, receive and length of many short-lived queues: each is linearizable as a FIFO queue',
  concurrency: 12,
  rate: 150,
  floors: { publish: 200, receive: 200, length: 100 },
  pulse: 'publish',

  async setup() {},

  plan,

  async open({ connectOptions, slot }) {
    const all = [connectOptions.servers].flat()
    return new LinearizableClient(await connect({ ...connectOptions, servers: isReader(slot) ? all.slice(0, 1) : all }))
  },

  check: (history) => checkFifoQueues(history),
}

function isReader(slot: number): boolean {
  return slot % SHARE === SHARE - 1
}

function nameOf(group: number, number: number): string {
  return `lin.${group}.${number}`
}

/** The queues that the same slots use after this one. */
function* followersOf(name: string): Iterable<string> {
  const [group, number] = name.split('.').slice(1).map(Number) as [number, number]
  for (let i = 1; i <= AHEAD; i++) yield nameOf(group, number + i)
}

function plan({ random, concurrency }: PlanContext): Plan {
  const slots = Array.from({ length: concurrency }, (_, slot) => ({
    dice: random.fork(`slot ${slot}`),
    done: 0,
    published: 0,
  }))
  const stateOf = (slot: number) => {
    const state = slots[slot]
    if (state === undefined) throw new RangeError(`no slot ${slot}`)
    return state
  }
  return {
    next(slot): Operation {
      const state = stateOf(slot)
      const { dice } = state
      const queue = nameOf(Math.floor(slot / SHARE), Math.floor(state.done++ / OPERATIONS))
      if (dice.chance(isReader(slot) ? READER_LENGTHS : LENGTHS)) return { f: 'length', value: { queue } }
      if (dice.chance(PUBLISHES)) return { f: 'publish', value: { queue, id: slot + concurrency * state.published++ } }
      return { f: 'receive', value: { queue, waitMs: dice.chance(WAITS) ? dice.below(WAIT_MS) : 0 } }
    },
    /** The slots that share queues share their drain. */
    drain(slot) {
      const group = Math.floor(slot / SHARE)
      const sharers = slots.slice(group * SHARE, (group + 1) * SHARE)
      const queues = Math.max(...sharers.map(({ done }) => Math.ceil(done / OPERATIONS)))
      const own = (_: unknown, number: number) => number % sharers.length === slot % SHARE
      const names = Array.from({ length: queues }, (_, number) => nameOf(group, number)).filter(own)
      return names.map((queue) => ({ f: 'drain', value: { queue } }))
    },
  }
}

class LinearizableClient implements WorkloadClient {
  readonly #client: Client
  readonly #declared = new Map<string, Promise<void>>()

  constructor(client: Client) {
    this.#client = client
  }

  async invoke({ f, value }: Operation): Promise<Completion> {
    const { queue: name, id, waitMs } = fields(value)
    const queue = this.#client.queue(String(name))
    try {
      if (f !== 'length') await this.#declare(queue)
    } catch (error) {
      // Whatever became of the declaration, the operation was not begun.
      return { type: 'fail', error: completionOf(error).error ?? 'not declared' }
    }
    try {
      switch (f) {
        case 'publish':
          await this.#client.publish(queue.name, id)
          return { type: 'ok' }
        case 'receive':
          return await receive(queue, Number(waitMs))
        case 'length': {
          const { ready } = await queue.stats({ consistent: true })
          return { type: 'ok', value: { queue: queue.name, length: ready } }
        }
        case 'drain':
          return await drain(queue)
        default:
          throw new RangeError(`no operation ${f}`)
      }
    } catch (error) {
      // A queue that is not there holds nothing; after a confirmed publish such an answer is of the past.
      const isAbsent = f === 'length' && error instanceof MeshError && error.code === 'NotFound'
      return isAbsent ? { type: 'ok', value: { queue: queue.name, length: 0 } } : completionOf(error)
    }
  }

  close(): Promise<void> {
    return this.#client.close()
  }

  /** Those after it, too, which nobody waits for. */
  #declare(queue: Queue): Promise<void> {
    for (const name of followersOf(queue.name)) this.#declareOne(this.#client.queue(name)).catch(() => {})
    return this.#declareOne(queue)
  }

  /** Once, or as often as it fails. */
  #declareOne(queue: Queue): Promise<void> {
    const { name } = queue
    const declared = this.#declared.get(name) ?? queue.declare().then(() => queue.bind(name))
    this.#declared.set(name, declared)
    declared.catch(() => {
      if (this.#declared.get(name) === declared) this.#declared.delete(name)
    })
    return declared
  }
}

/** Takes effect when the cluster gives the message out; what is not acknowledged for certain is info. */
async function receive(queue: Queue, waitMs: number): Promise<Completion> {
  const [message] = await queue.receive({ waitMs })
  if (message === undefined) return { type: 'ok' }
  const got = { queue: queue.name, ...gotOf(message) }
  try {
    await message.ack()
    return { type: 'ok', value: got }
  } catch (error) {
    return { ...completionOf(error), type: 'info', value: got }
  }
}

/** Until nothing is in the queue, nor held by anybody; what it got is told however it ends. */
async function drain(queue: Queue): Promise<Completion> {
  const got: Json[] = []
  const value = () => ({ queue: queue.name, got: [...got] })
  const lateMs = performance.now() + PATIENCE_MS
  try {
    while (performance.now() < lateMs) {
      const [message] = await queue.receive()
      if (message !== undefined) {
        await message.ack()
        got.push(gotOf(message))
        continue
      }
      const { ready, unsettled, delayed } = await queue.stats({ consistent: true })
      if (ready + unsettled + delayed === 0) return { type: 'ok', value: value() }
      await sleep(LOOK_MS)
    }
    return { type: 'fail', value: value(), error: 'NotEmpty: somebody still holds messages' }
  } catch (error) {
    return { ...completionOf(error), type: 'info', value: value() }
  }
}

function gotOf({ body, attempt }: Message) {
  return { id: Number(body), attempt }
}
