/**
 * Judges what consumers were handed. Its own rules, beside those that hold for all deliveries (deliveries.ts):
 *
 * - `prefetch`: one has more messages in hand than it asked for.
 * - `reordered`: first attempts reach each consumer in the queue's order. In a queue with one consumer that takes one message at a time,
 *   so do all attempts: what comes back comes back to its place, before everything that was published later (more in returns.ts).
 * - `skipped`: attempts rise by one, where nothing can have got lost on the way to the only consumer.
 * - `lost`, `dropped`: what was acknowledged is never delivered, or is gone though nobody settled it for good.
 * - `shared`, `vanished`: an exclusive queue has two owners, or leaves its owner.
 */
import type { Event, Json } from '../history.ts'
import type { Anomaly, CheckResult } from '../workload.ts'
import {
  anomaliesOf,
  type Delivery,
  deliveriesOf,
  drops,
  groupBy,
  losses,
  misrouted,
  type Placed,
  reorderings,
  unexpectedDeliveries,
} from './deliveries.ts'
import { countOf, type Done, drainedFrom, fields, isDrained, operationsOf, resultOf } from './operations.ts'
import { checkOwners } from './owners.ts'
import { checkPrefetch } from './prefetch.ts'
import { checkReturns } from './returns.ts'

export interface ConsumersOptions {
  readonly concurrency: number
  /** Name of the queue that only this process consumes, one message at a time. */
  readonly soloOf: (process: number) => string
  /** Where a publish `to` that goes, when this process makes it. */
  readonly topicOf: (process: number, to: string) => string
  /** Queues whose messages are given back with a delay at times, and so lose their places for a while. */
  readonly isDelayed: (queue: string) => boolean
}

/** Nanoseconds. A client tells of its connection a moment after what came through it. */
const STATUS_LATE = 100e6

export function checkConsumers(
  history: readonly Event[],
  { concurrency, soloOf, topicOf, isDelayed }: ConsumersOptions,
): CheckResult {
  const operations = operationsOf(history)
  const drained = isDrained(operations, concurrency)
  const deliveries = deliveriesOf(history)
  const publishes = new Map(
    operations.filter(({ f }) => f === 'publish').map((each) => [fields(each.invoke.value).id, each]),
  )
  const solos = new Set([...publishes.values()].map(({ process }) => soloOf(process)))
  const isAcknowledged = (id: Json) => publishes.get(id)?.type === 'ok'
  const anomalies = [
    ...unexpectedDeliveries(deliveries, publishes),
    ...(drained ? losses(deliveries, publishes) : []),
    ...(drained ? drops(deliveries, { from: drainedFrom(operations), isAcknowledged }) : []),
    ...anomaliesOf(deliveries),
    ...misrouted(deliveries, (id) => {
      const publish = publishes.get(id)
      const { to } = fields(publish?.invoke.value ?? null)
      return publish === undefined || to === undefined ? undefined : topicOf(publish.process, String(to))
    }),
    ...checkPrefetch(history),
    ...checkOwners(history),
  ]
  const placeOf = ({ id }: Delivery): Placed | undefined => {
    const publish = publishes.get(id)
    return publish && { from: publish.from, to: publish.to, place: 0 }
  }
  const placed = (delivery: Delivery) => {
    const at = placeOf(delivery)
    return at === undefined ? [] : [{ delivery, placed: at }]
  }
  anomalies.push(...checkReturns(history, deliveries, placeOf, isDelayed))
  const firsts = deliveries.filter(({ attempt, queue }) => attempt === 1 && !solos.has(queue))
  for (const group of groupBy(firsts, ({ consumer }) => consumer).values())
    anomalies.push(...reorderings(group.flatMap(placed)))
  let solo = 0
  for (const [queue, group] of groupBy(deliveries, (each) => each.queue)) {
    if (!solos.has(queue)) continue
    const only = ofOnlyConsumer(group)
    solo += only.length
    anomalies.push(...reorderings(only.flatMap(placed)), ...skips(only, publishes, interruptions(history, only)))
  }
  const counts = {
    ...countOf(operations, 'publish'),
    ...countOf(operations, 'own'),
    deliveries: deliveries.length,
    redeliveries: deliveries.filter(({ attempt }) => attempt > 1).length,
    soloDeliveries: solo,
    leasesLost: deliveries.filter(({ lost }) => lost !== undefined).length,
  }
  return resultOf(anomalies, counts, drained)
}

/** A taker's name, whichever subscription of it. */
function takerOf(consumer: string): string {
  return consumer.slice(0, consumer.lastIndexOf('#'))
}

/** Those before another taker came: who empties the queue of a process that is gone. */
function ofOnlyConsumer(deliveries: readonly Delivery[]): Delivery[] {
  const first = takerOf(deliveries[0]!.consumer)
  const end = deliveries.findIndex(({ consumer }) => takerOf(consumer) !== first)
  return end < 0 ? [...deliveries] : deliveries.slice(0, end)
}

/** Events of a taker around which deliveries may be lost on their way. */
function interruptions(history: readonly Event[], deliveries: readonly Delivery[]): Event[] {
  const taker = takerOf(deliveries[0]!.consumer)
  const kinds = ['subscribe', 'connected', 'disconnected', 'sessionLost', 'lost']
  return history.filter(
    ({ process, f }) => typeof process === 'string' && kinds.includes(f) && takerOf(process) === taker,
  )
}

function skips(
  deliveries: readonly Delivery[],
  publishes: ReadonlyMap<unknown, Done>,
  interruptions: readonly Event[],
): Anomaly[] {
  const anomalies: Anomaly[] = []
  for (const group of groupBy(deliveries, ({ message }) => message).values()) {
    const publish = publishes.get(group[0]!.id)
    if (publish === undefined) continue
    let before = { attempt: 0, event: publish.invoke }
    for (const { attempt, event, message } of group) {
      const isDisturbed = interruptions.some(
        ({ time }) => time >= before.event.time - STATUS_LATE && time <= event.time + STATUS_LATE,
      )
      if (attempt !== before.attempt + 1 && !isDisturbed) {
        const what = `${message} came as attempt ${attempt} after attempt ${before.attempt}, to its queue's only consumer`
        anomalies.push({ type: 'skipped', message: what, events: [before.event.index, event.index] })
      }
      before = { attempt, event }
    }
  }
  return anomalies
}
