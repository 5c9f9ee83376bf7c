/**
 * Order in queues that have one consumer at a time: messages are handed out first in the order in which they were published, by whomever: a
 * publish that ended before another was invoked stands before it, and so do the messages of one operation, in their order. Redelivered
 * messages come when they come back, so that first attempts alone are compared: those of one consumer with each other, and with all that were
 * handed out before it was there.
 *
 * Anomalies: reordered, lost, dropped, unexpected, and those of check/deliveries.ts.
 */
import type { Event, Json } from '../history.ts'
import type { Anomaly, CheckResult } from '../workload.ts'
import {
  anomaliesOf,
  type Delivery,
  deliveriesOf,
  drops,
  groupBy,
  misrouted,
  type Placed,
  reorderings,
  unexpectedDeliveries,
} from './deliveries.ts'
import {
  countOf,
  type Done,
  drainedFrom,
  eventsOf,
  fields,
  isDrained,
  operationsOf,
  resultOf,
  timeOf,
} from './operations.ts'

/** One message of an operation that publishes several. */
interface Message {
  readonly id: Json
  readonly place: number
  /** Its operation, with what became of this message. */
  readonly publish: Done
}

/**
 * Publishes are operations `publish` with `{ queue, ids }`, sent one after the other without waiting; completed with
 * `{ messages: [{ id, type }] }`, which says of each what became of it. Where that is not told it is as of the whole.
 */
export function checkFifo(history: readonly Event[], concurrency: number): CheckResult {
  const operations = operationsOf(history)
  const messages = operations.filter(({ f }) => f === 'publish').flatMap(messagesOf)
  const deliveries = deliveriesOf(history)
  const drained = isDrained(operations, concurrency)
  const byId = new Map(messages.map(({ id, publish }) => [id, publish]))
  const places = placesOf(messages)
  const isAcknowledged = (id: Json) => byId.get(id)?.type === 'ok'
  const anomalies = [
    ...misorders(history, deliveries, places),
    ...(drained ? lost(messages, deliveries) : []),
    ...(drained ? drops(deliveries, { from: drainedFrom(operations), isAcknowledged }) : []),
    ...unexpectedDeliveries(deliveries, byId),
    ...anomaliesOf(deliveries),
    ...misrouted(deliveries, (id) => fields(byId.get(id)?.invoke.value ?? null).queue),
  ]
  const first = deliveries.filter(({ attempt }) => attempt === 1).length
  const counts = {
    ...countOf(operations, 'publish'),
    messages: byId.size,
    deliveries: deliveries.length,
    firstAttempts: first,
    reordered: anomalies.filter(({ type }) => type === 'reordered').length,
    lost: anomalies.filter(({ type }) => type === 'lost').length,
  }
  return resultOf(anomalies, counts, drained)
}

function messagesOf(operation: Done): Message[] {
  const { ids } = fields(operation.invoke.value)
  const told = fields(operation.end?.value ?? null).messages
  return (Array.isArray(ids) ? ids : []).map((id, place) => {
    // A worker that was killed leaves the invocation's own value, or none.
    const type = (fields(Array.isArray(told) ? (told[place] ?? null) : null).type ?? operation.type) as Done['type']
    const to = type === 'ok' ? operation.end!.index : Number.POSITIVE_INFINITY
    return { id, place, publish: { ...operation, type, to } }
  })
}

function placesOf(messages: readonly Message[]): Map<Json, Placed> {
  return new Map(messages.map(({ id, place, publish: { from, to } }) => [id, { from, to, place }]))
}

interface Row {
  readonly delivery: Delivery
  readonly placed: Placed
}

function misorders(
  history: readonly Event[],
  deliveries: readonly Delivery[],
  places: ReadonlyMap<Json, Placed>,
): Anomaly[] {
  const began = new Map<number | string, number>()
  for (const event of history) if (event.f === 'subscribe') began.set(event.process, timeOf(event))
  const rows = deliveries.flatMap((delivery): Row[] => {
    const placed = places.get(delivery.id)
    return placed === undefined || delivery.attempt !== 1 ? [] : [{ delivery, placed }]
  })
  const anomalies: Anomaly[] = []
  for (const ofQueue of groupBy(rows, ({ delivery }) => delivery.queue).values()) {
    for (const [consumer, own] of groupBy(ofQueue, ({ delivery }) => delivery.consumer)) {
      const beganAt = began.get(consumer) ?? Number.POSITIVE_INFINITY
      const latest = latestOf(ofQueue.filter(({ delivery }) => timeOf(delivery.event) < beganAt))
      anomalies.push(...reorderings(latest === undefined ? own : [latest, ...own]))
    }
  }
  return anomalies
}

/** The one that stands behind all others, as far as that can be told. */
function latestOf(rows: readonly Row[]): Row | undefined {
  let latest: Row | undefined
  for (const row of rows) {
    const isLater = latest === undefined || row.placed.from > latest.placed.from
    const isSame = row.placed.from === latest?.placed.from
    if (isLater || (isSame && row.placed.place > latest!.placed.place)) latest = row
  }
  return latest
}

function lost(messages: readonly Message[], deliveries: readonly Delivery[]): Anomaly[] {
  const delivered = new Set(deliveries.map(({ id }) => id))
  return messages
    .filter(({ id, publish }) => publish.type === 'ok' && !delivered.has(id))
    .map(({ id, publish }) => {
      const { queue } = fields(publish.invoke.value)
      return {
        type: 'lost',
        message: `${id} of ${queue} was acknowledged and never delivered`,
        events: eventsOf(publish),
      }
    })
}
