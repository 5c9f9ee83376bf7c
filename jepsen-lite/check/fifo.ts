/**
 * Order in queues that have one consumer at a time: messages are handed out first in the order in which they were published, by whomever: a
 * publish that ended before another was invoked stands before it, and so do the messages of one operation, in their order. Redelivered
 * messages come when they come back, so that first attempts alone are compared: those of one consumer with each other, and with all that were
 * handed out before it was there.
 *
 * Anomalies: reordered, lost, unexpected, and those of check/deliveries.ts.
 */
import type { Event, Json } from '../history.ts'
import type { Anomaly, CheckResult } from '../workload.ts'
import {
  type Delivery,
  deliveriesOf,
  duplicates,
  groupBy,
  type Placed,
  reorderings,
  repeatedAttempts,
  resurrections,
  unexpectedDeliveries,
} from './deliveries.ts'
import { countOf, type Done, eventsOf, fields, isDrained, operationsOf, resultOf } from './operations.ts'

/** Publishes are operations `publish` with `{ queue, ids }`, sent one after the other without waiting. */
export function checkFifo(history: readonly Event[], concurrency: number): CheckResult {
  const operations = operationsOf(history)
  const publishes = operations.filter(({ f }) => f === 'publish')
  const deliveries = deliveriesOf(history)
  const drained = isDrained(operations, concurrency)
  const byId = new Map<Json, Done>(publishes.flatMap((publish) => idsOf(publish).map((id) => [id, publish] as const)))
  const places = placesOf(publishes)
  const anomalies = [
    ...misorders(history, deliveries, places),
    ...(drained ? lost(publishes, deliveries) : []),
    ...unexpectedDeliveries(deliveries, byId),
    ...duplicates(deliveries),
    ...repeatedAttempts(deliveries),
    ...resurrections(deliveries),
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

function idsOf({ invoke }: Done): Json[] {
  const { ids } = fields(invoke.value)
  return Array.isArray(ids) ? ids : []
}

function placesOf(publishes: readonly Done[]): Map<Json, Placed> {
  return new Map(
    publishes.flatMap((publish) => {
      const { from, to } = publish
      return idsOf(publish).map((id, place) => [id, { from, to, place }] as const)
    }),
  )
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
  for (const { f, process, index } of history) if (f === 'subscribe') began.set(process, index)
  const rows = deliveries.flatMap((delivery): Row[] => {
    const placed = places.get(delivery.id)
    return placed === undefined || delivery.attempt !== 1 ? [] : [{ delivery, placed }]
  })
  const anomalies: Anomaly[] = []
  for (const ofQueue of groupBy(rows, ({ delivery }) => delivery.queue).values()) {
    for (const [consumer, own] of groupBy(ofQueue, ({ delivery }) => delivery.consumer)) {
      const beganAt = began.get(consumer) ?? Number.POSITIVE_INFINITY
      const latest = latestOf(ofQueue.filter(({ delivery }) => delivery.event.index < beganAt))
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

function lost(publishes: readonly Done[], deliveries: readonly Delivery[]): Anomaly[] {
  const delivered = new Set(deliveries.map(({ id }) => id))
  return publishes
    .filter(({ type }) => type === 'ok')
    .flatMap((publish) => {
      const never = idsOf(publish).filter((id) => !delivered.has(id))
      if (never.length === 0) return []
      const { queue } = fields(publish.invoke.value)
      const message = `${never.join(', ')} of ${queue} were acknowledged and never delivered`
      return [{ type: 'lost', message, events: eventsOf(publish) }]
    })
}
