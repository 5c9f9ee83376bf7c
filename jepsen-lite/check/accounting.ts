/**
 * Accounts for every message of one queue, after Jepsen's total-queue: what was acknowledged must come out, what comes out must have been put
 * in, and once. Jepsen counts duplicates; here a message that is *stored* twice is a failure, while another attempt at the same message is
 * what at-least-once delivery is.
 *
 * Anomalies: lost, dropped, corrupt, unexpected, misnamed, duplicated, repeated, resurrected, early, prefetch.
 */
import type { Event, Json } from '../history.ts'
import type { Anomaly, CheckResult } from '../workload.ts'
import { anomaliesOf, type Delivery, deliveriesOf, drops, groupBy, losses } from './deliveries.ts'
import { countOf, type Done, drainedFrom, eventsOf, fields, isDrained, operationsOf, resultOf } from './operations.ts'

export interface AccountingOptions {
  /** Slots whose drain must have found the queue empty before anything is called lost. */
  readonly concurrency: number
}

/**
 * Publishes are operations `publish` with `{ id }`, completed with `{ id, message }`; receives with `{ max }`, completed with `{ messages }`;
 * deliveries as workloads/taker.ts tells them.
 */
export function checkAccounting(history: readonly Event[], { concurrency }: AccountingOptions): CheckResult {
  const operations = operationsOf(history)
  const drained = isDrained(operations, concurrency)
  const deliveries = deliveriesOf(history)
  const publishes = operations.filter(({ f }) => f === 'publish')
  const byId = groupBy(deliveries, ({ id }) => id)
  const known = new Map(publishes.map((publish) => [idOf(publish.invoke), publish]))
  const emptied = { from: drainedFrom(operations), isAcknowledged: (id: Json) => known.get(id)?.type === 'ok' }
  const anomalies = [
    ...(drained ? [...losses(deliveries, known), ...drops(deliveries, emptied)] : []),
    ...unexpected(known, byId),
    ...misnamed(publishes, byId),
    ...anomaliesOf(deliveries),
    ...excesses(operations),
  ]
  const recovered = publishes.filter(({ type, invoke }) => type === 'info' && byId.has(idOf(invoke)))
  const counts = {
    ...countOf(operations, 'publish'),
    ...Object.fromEntries(KINDS.map((kind) => [kind, anomalies.filter(({ type }) => type === kind).length])),
    delivered: byId.size,
    deliveries: deliveries.length,
    redeliveries: deliveries.filter(({ attempt }) => attempt > 1).length,
    recovered: recovered.length,
  }
  return resultOf(anomalies, counts, drained)
}

const KINDS = [
  'lost',
  'dropped',
  'corrupt',
  'unexpected',
  'misnamed',
  'duplicated',
  'repeated',
  'resurrected',
  'early',
  'prefetch',
]

/** `prefetch`: a receive got more messages than it asked for. */
function excesses(operations: readonly Done[]): Anomaly[] {
  return operations.flatMap((done) => {
    const { messages } = fields(done.end?.value ?? null)
    const { max } = fields(done.invoke.value)
    if (done.f !== 'receive' || !Array.isArray(messages) || messages.length <= Number(max)) return []
    const what = `process ${done.process} asked for ${max} messages and got ${messages.length}`
    return [{ type: 'prefetch', message: what, events: eventsOf(done) }]
  })
}

function idOf({ value }: Event): Json {
  return fields(value).id ?? null
}

/** Handed to somebody though nobody had published it, or though its publisher was told that it surely had not happened. */
function unexpected(known: ReadonlyMap<Json, Done>, byId: ReadonlyMap<Json, readonly Delivery[]>): Anomaly[] {
  const anomalies: Anomaly[] = []
  for (const [id, deliveries] of byId) {
    const publish = known.get(id)
    if (publish !== undefined && publish.type !== 'fail') continue
    const why = publish === undefined ? 'was published by nobody' : 'was refused'
    const events = [...(publish === undefined ? [] : eventsOf(publish)), ...deliveries.map(({ event }) => event.index)]
    anomalies.push({ type: 'unexpected', message: `${JSON.stringify(id)} was delivered and ${why}`, events })
  }
  return anomalies
}

/** Acknowledged as one message, and delivered as another: two were stored, or the acknowledgement was somebody else's. */
function misnamed(publishes: readonly Done[], byId: ReadonlyMap<Json, readonly Delivery[]>): Anomaly[] {
  const anomalies: Anomaly[] = []
  for (const publish of publishes) {
    if (publish.type !== 'ok') continue
    const { message } = fields(publish.end?.value ?? null)
    const other = byId.get(idOf(publish.invoke))?.find((delivery) => delivery.message !== message)
    if (other === undefined) continue
    const what = `${idOf(publish.invoke)} was acknowledged as ${message} and delivered as ${other.message}`
    anomalies.push({ type: 'misnamed', message: what, events: [...eventsOf(publish), other.event.index] })
  }
  return anomalies
}
