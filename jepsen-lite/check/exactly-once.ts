/**
 * Judges publishes that were sent again and again: each acknowledged one is stored once, under the id that its publisher was told; what was
 * refused is not; what nobody knows of is stored once at most. Those of one publisher are stored in the order of its calls.
 *
 * Anomalies: lost, dropped, corrupt, duplicated, misnamed, unexpected, reordered, repeated, resurrected, early.
 */
import type { Event, Json } from '../history.ts'
import type { Anomaly, CheckResult } from '../workload.ts'
import { anomaliesOf, type Delivery, deliveriesOf, drops, groupBy, type Placed, reorderings } from './deliveries.ts'
import { countOf, type Done, drainedFrom, eventsOf, fields, isDrained, operationsOf, resultOf } from './operations.ts'

/** One message of an operation that publishes several. */
interface Publish {
  readonly id: Json
  readonly operation: Done
  readonly placed: Placed
  readonly type: Done['type']
  /** What the publisher was told that the message is called. */
  readonly message: Json | undefined
  readonly there: readonly Delivery[]
}

export function checkExactlyOnce(
  history: readonly Event[],
  { concurrency }: { readonly concurrency: number },
): CheckResult {
  const operations = operationsOf(history)
  const drained = isDrained(operations, concurrency)
  const deliveries = deliveriesOf(history)
  const byId = groupBy(deliveries, ({ id }) => id)
  const publishes = operations.filter(({ f }) => f === 'publish').flatMap((each) => publishesOf(each, byId))
  const known = new Map(publishes.map((publish) => [publish.id, publish]))
  const isAcknowledged = (id: Json) => known.get(id)?.type === 'ok'
  const anomalies = [
    ...(drained ? publishes.flatMap(lost) : []),
    ...(drained ? drops(deliveries, { from: drainedFrom(operations), isAcknowledged }) : []),
    ...publishes.flatMap(misnamed),
    ...unexpected(deliveries, known),
    ...anomaliesOf(deliveries),
    ...reordered(deliveries, known),
  ]
  const are = (type: string) => publishes.filter((each) => each.type === type)
  const eventsNamed = (f: string) =>
    history.filter(({ process, f: of }) => typeof process === 'string' && of === f).length
  const counts = {
    ...countOf(operations, 'publish'),
    messagesOk: are('ok').length,
    messagesInfo: are('info').length,
    messagesFail: are('fail').length,
    recovered: are('info').filter(({ there }) => there.length > 0).length,
    cuts: eventsNamed('cut'),
    sessionsLost: history.filter(({ process, f }) => String(process).endsWith(' relay') && f === 'sessionLost').length,
    deliveries: deliveries.length,
  }
  return resultOf(anomalies, counts, drained)
}

function publishesOf(operation: Done, byId: ReadonlyMap<Json, readonly Delivery[]>): Publish[] {
  const { invoke, end } = operation
  const told = fields(end?.value ?? null).messages
  return (fields(invoke.value).ids as readonly Json[]).map((id, place) => {
    // A worker that was killed leaves the invocation's own value, or none.
    const { type = 'info', message } = fields(Array.isArray(told) ? told[place] : null)
    const to = type === 'ok' ? end!.index : Number.POSITIVE_INFINITY
    const placed = { from: invoke.index, to, place }
    return { id, operation, placed, type: type as Done['type'], message, there: byId.get(id) ?? [] }
  })
}

function lost({ id, type, there, operation }: Publish): Anomaly[] {
  if (type !== 'ok' || there.length > 0) return []
  return [{ type: 'lost', message: `${id} was acknowledged and never delivered`, events: eventsOf(operation) }]
}

function misnamed({ id, message, there, operation }: Publish): Anomaly[] {
  const other = message === undefined ? undefined : there.find((delivery) => delivery.message !== message)
  if (other === undefined) return []
  const what = `${id} was acknowledged as ${message} and delivered as ${other.message}`
  return [{ type: 'misnamed', message: what, events: [...eventsOf(operation), other.event.index] }]
}

function unexpected(deliveries: readonly Delivery[], known: ReadonlyMap<Json, Publish>): Anomaly[] {
  return deliveries.flatMap(({ id, event }) => {
    const publish = known.get(id)
    if (publish !== undefined && publish.type !== 'fail') return []
    const why = publish === undefined ? 'was never published' : 'was refused'
    const events = [...(publish === undefined ? [] : eventsOf(publish.operation)), event.index]
    return [{ type: 'unexpected', message: `${JSON.stringify(id)} was delivered and ${why}`, events }]
  })
}

/** First attempts come to each consumer in the order of the queue. */
function reordered(deliveries: readonly Delivery[], known: ReadonlyMap<Json, Publish>): Anomaly[] {
  const firsts = deliveries.filter(({ attempt }) => attempt === 1)
  return [...groupBy(firsts, ({ consumer }) => consumer).values()].flatMap((group) =>
    reorderings(
      group.flatMap((delivery) => {
        const publish = known.get(delivery.id)
        return publish === undefined ? [] : [{ delivery, placed: publish.placed }]
      }),
    ),
  )
}
