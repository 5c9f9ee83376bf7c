/**
 * The end of a run, when all faults are healed: every queue of the workload is emptied, also those whose process is gone. A slot looks
 * after those whose names fall to it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Message, QueueStats } from '../../client/index.ts'
import type { Completion, Operation } from '../history.ts'
import type { ClientContext } from '../workload.ts'
import { Taker, type TakerOptions } from './taker.ts'

/** The only operation of a drain. */
export const DRAIN: Operation = { f: 'drain', value: null }

/** Empty at two looks so far apart: what a retired client has sent may still come in. */
const APART_MS = 1_000
/** How long one operation keeps looking, milliseconds. */
const PATIENCE_MS = 10_000
const LOOK_MS = 100
const PREFETCH = 50

export interface DrainerOptions extends Pick<TakerOptions, 'client' | 'emit'> {
  readonly context: ClientContext
  /** What the names of its queues begin with. */
  readonly prefix: string
  /** Queues that have a consumer here as long as this client lives. */
  readonly isTaken: (queue: string) => boolean
}

export class Drainer {
  readonly #options: DrainerOptions
  readonly #takers = new Map<string, Taker>()

  constructor(options: DrainerOptions) {
    this.#options = options
  }

  /** `ok` when the slot's queues are empty. Rejects with MeshError. */
  async drain(): Promise<Completion> {
    const lateMs = performance.now() + PATIENCE_MS
    let emptySinceMs = Number.POSITIVE_INFINITY
    let left: readonly QueueStats[] = []
    while (performance.now() < lateMs) {
      const nowMs = performance.now()
      left = await this.#left()
      if (left.length > 0) emptySinceMs = Number.POSITIVE_INFINITY
      else if (nowMs - emptySinceMs >= APART_MS) return { type: 'ok' }
      else emptySinceMs = Math.min(emptySinceMs, nowMs)
      for (const { queue, bindings } of left) this.#take(queue, bindings[0] ?? 'unused')
      await sleep(LOOK_MS)
    }
    const error = left.map(({ queue, ready, unsettled, delayed }) => `${queue} ${ready}+${unsettled}+${delayed}`)
    return { type: 'fail', error: `NotEmpty: ${error.join(', ')}` }
  }

  async #left(): Promise<QueueStats[]> {
    const { client, context, prefix } = this.#options
    const queues = await client.admin.queues({ consistent: true })
    return queues.filter(
      ({ queue, exclusive, ready, unsettled, delayed }) =>
        queue.startsWith(prefix) &&
        !exclusive &&
        slotOf(queue, context.concurrency) === context.slot &&
        ready + unsettled + delayed > 0,
    )
  }

  #take(queue: string, pattern: string): void {
    const { client, emit, context, isTaken } = this.#options
    if (isTaken(queue) || this.#takers.has(queue)) return
    const decide = (_: Message) => ({ as: 'ack' }) as const
    const name = `drain ${context.process} ${queue}`
    this.#takers.set(queue, new Taker({ client, emit, name, queue, pattern, prefetch: PREFETCH, decide }))
  }
}

function slotOf(queue: string, concurrency: number): number {
  let hash = 0
  for (let i = 0; i < queue.length; i++) hash = (Math.imul(hash, 31) + queue.charCodeAt(i)) | 0
  return (hash >>> 0) % concurrency
}
