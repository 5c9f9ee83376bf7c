/**
 * `reordered`, of messages that came back: one that was there when a consumer began reaches it after a later one. Messages of several
 * consumers that went before come back mixed, and yet each to its place.
 *
 * It was there when the consumer began if its former attempt had ended by then: by a confirmed nack; or because its holder, a consumer of the
 * same client, was gone. A client's commands take effect in their order, so that what was closed first has given back first.
 */
import type { Event } from '../history.ts'
import type { Anomaly } from '../workload.ts'
import { type Delivery, groupBy, type Placed } from './deliveries.ts'
import { timeOf } from './operations.ts'

export function checkReturns(
  history: readonly Event[],
  deliveries: readonly Delivery[],
  placeOf: (delivery: Delivery) => Placed | undefined,
  isDelayed: (queue: string) => boolean,
): Anomaly[] {
  const anomalies: Anomaly[] = []
  const began = eventsNamed(history, 'subscribe')
  const closed = eventsNamed(history, 'closed')
  const attempts = new Map(deliveries.map((each) => [attemptKey(each, each.attempt), each]))
  for (const [consumer, rows] of groupBy(deliveries, (each) => each.consumer)) {
    if (isDelayed(rows[0]!.queue)) continue
    let latest: { readonly delivery: Delivery; readonly placed: Placed } | undefined
    for (const delivery of rows) {
      const placed = placeOf(delivery)
      if (placed === undefined) continue
      const former = attempts.get(attemptKey(delivery, delivery.attempt - 1))
      const free = former && freeFrom(former, consumer, closed)
      if (
        latest !== undefined &&
        free !== undefined &&
        placed.to < latest.placed.from &&
        timeOf(free) < timeOf(began.get(consumer)!)
      ) {
        const what = `${consumer} got ${delivery.message} after ${latest.delivery.message}, though it was there before and is older`
        const events = [former!.event.index, free.index, latest.delivery.event.index, delivery.event.index]
        anomalies.push({ type: 'reordered', message: what, events })
      }
      if (latest === undefined || placed.from > latest.placed.from) latest = { delivery, placed }
    }
  }
  return anomalies
}

/** The event by which an attempt had ended so that its message was free again; undefined: nobody knows. */
function freeFrom(former: Delivery, consumer: string, closed: ReadonlyMap<string, Event>): Event | undefined {
  const { settle, settled } = former
  if (settle !== undefined && settle.as !== 'nack') return undefined
  if (settled !== undefined) return settled
  return clientOf(former.consumer) === clientOf(consumer) ? closed.get(former.consumer) : undefined
}

/** Takers are named after the process that they belong to. */
function clientOf(consumer: string): string | undefined {
  return consumer.split(' ')[0]
}

function attemptKey({ queue, message }: Delivery, attempt: number): string {
  return `${queue} ${message} ${attempt}`
}

function eventsNamed(history: readonly Event[], f: string): Map<string, Event> {
  const found = new Map<string, Event>()
  for (const event of history) if (event.f === f && typeof event.process === 'string') found.set(event.process, event)
  return found
}
