/**
 * Judges fan-out: each acknowledged publish is once in each queue that was bound to its topic; what is in one of them is in all, whatever
 * its publisher was told; what was refused is nowhere.
 *
 * Anomalies: lost, dropped, partial, misrouted, unexpected, duplicated, repeated, resurrected, early.
 */
import type { Event, Json } from '../history.ts'
import type { Anomaly, CheckResult } from '../workload.ts'
import { Bindings } from './bindings.ts'
import { anomaliesOf, type Delivery, deliveriesOf, drops, groupBy, unexpectedDeliveries } from './deliveries.ts'
import { countOf, type Done, drainedFrom, eventsOf, fields, isDrained, operationsOf, resultOf } from './operations.ts'
import { matches } from './topics.ts'

export interface FanoutOptions {
  readonly concurrency: number
  /** Queue → its patterns, for the whole run. */
  readonly bound: Readonly<Record<string, readonly string[]>>
  /** Name of the queue that a process binds and unbinds. */
  readonly own: (process: number) => string
}

/** What of a publish is where. */
interface Spread {
  readonly publish: Done
  readonly topic: string
  readonly there: readonly Delivery[]
  /** Queues that surely were bound to its topic when it took effect. */
  readonly due: readonly string[]
  /** Queues that surely were not. */
  readonly barred: ReadonlySet<string>
}

export function checkFanout(history: readonly Event[], options: FanoutOptions): CheckResult {
  const operations = operationsOf(history)
  const drained = isDrained(operations, options.concurrency)
  const from = drainedFrom(operations)
  const deliveries = deliveriesOf(history)
  const byId = groupBy(deliveries, ({ id }) => id)
  const publishes = new Map(
    operations.filter(({ f }) => f === 'publish').map((each) => [fields(each.invoke.value).id, each]),
  )
  const bindings = bindingsOf(operations, options)
  const known = new Set([...Object.keys(options.bound), ...bindings.keys()])
  const spreads = [...publishes].map(([id, publish]) => spreadOf(publish, byId.get(id!) ?? [], bindings, options))
  const isAcknowledged = (id: Json) => publishes.get(id)?.type === 'ok'
  const anomalies = [
    ...unexpectedDeliveries(deliveries, publishes),
    ...spreads.flatMap((spread) => misrouted(spread, known)),
    ...(drained ? spreads.flatMap((spread) => missing(spread, from)) : []),
    ...(drained ? drops(deliveries, { from, isAcknowledged }) : []),
    ...anomaliesOf(deliveries),
  ]
  const counts = {
    ...countOf(operations, 'publish'),
    ...countOf(operations, 'bind'),
    ...countOf(operations, 'unbind'),
    deliveries: deliveries.length,
    redeliveries: deliveries.filter(({ attempt }) => attempt > 1).length,
    recovered: spreads.filter(({ publish, there }) => publish.type === 'info' && there.length > 0).length,
    judgedCopies: spreads.reduce((sum, { publish, due }) => sum + (publish.type === 'ok' ? due.length : 0), 0),
  }
  return resultOf(anomalies, counts, drained)
}

/** Of the processes' own queues, by name. */
function bindingsOf(operations: readonly Done[], { own }: FanoutOptions): Map<string, Bindings> {
  const changes = operations.filter(({ f }) => f === 'bind' || f === 'unbind')
  return new Map([...groupBy(changes, ({ process }) => own(process))].map(([queue, of]) => [queue, new Bindings(of)]))
}

function spreadOf(
  publish: Done,
  there: readonly Delivery[],
  bindings: ReadonlyMap<string, Bindings>,
  { bound }: FanoutOptions,
): Spread {
  const topic = String(fields(publish.invoke.value).topic)
  const due: string[] = []
  const barred = new Set<string>()
  for (const [queue, patterns] of Object.entries(bound)) {
    if (patterns.some((pattern) => matches(pattern, topic))) due.push(queue)
    else barred.add(queue)
  }
  for (const [queue, changes] of bindings) {
    const state = changes.during(topic, publish.from, publish.to)
    if (state === 'yes') due.push(queue)
    else if (state === 'no') barred.add(queue)
  }
  return { publish, topic, there, due, barred }
}

/** `known`: queues that anything was ever bound to, or may have been; all others are bound to nothing. */
function misrouted({ publish, topic, there, barred }: Spread, known: ReadonlySet<string>): Anomaly[] {
  const isWrong = ({ queue, topic: told }: Delivery) => barred.has(queue) || !known.has(queue) || told !== topic
  const wrong = there.filter(isWrong)
  return wrong.map(({ id, queue, topic: told, event }) => ({
    type: 'misrouted',
    message: `${JSON.stringify(id)}, published to ${topic}, is in ${queue} with topic ${told}, which was not bound to it`,
    events: [...eventsOf(publish), event.index],
  }))
}

/**
 * `lost`: acknowledged and in no queue. `partial`: in one of its queues and not in another. Of what nobody knows, only what came out before the
 * queues were emptied (index `from`): it may be stored so late that one queue is still looked at and another is not.
 */
function missing({ publish, topic, there, due }: Spread, from: number): Anomaly[] {
  const reached = new Set(there.map(({ queue }) => queue))
  const missed = due.filter((queue) => !reached.has(queue))
  const isDue = publish.type === 'ok' || there.some(({ event }) => event.index < from)
  if (missed.length === 0 || !isDue) return []
  const { id } = fields(publish.invoke.value)
  const how = publish.type === 'ok' ? 'acknowledged' : 'not acknowledged'
  const events = [...eventsOf(publish), ...there.map(({ event }) => event.index)]
  if (reached.size === 0) {
    return [{ type: 'lost', message: `${id}, published to ${topic} and acknowledged, is in no queue`, events }]
  }
  const where = `is in ${[...reached].join(', ')} and not in ${missed.join(', ')}`
  return [{ type: 'partial', message: `${id}, published to ${topic} and ${how}, ${where}`, events }]
}
