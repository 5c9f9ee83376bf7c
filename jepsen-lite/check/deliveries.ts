/**
 * What consumers were handed and what they did with it, as workloads/taker.ts tells it, and what is wrong with that in whatever workload:
 * a delivery seen twice, a message that comes after a confirmed ack, one that goes without any, one body stored as two messages.
 */
import type { Event, Json } from '../history.ts'
import type { Anomaly } from '../workload.ts'
import { type Done, eventsOf, fields, timeOf } from './operations.ts'

/** One attempt at one message of a queue. */
export interface Delivery {
  readonly queue: string
  /** The consumer's name. */
  readonly consumer: string
  /** The message's id as the cluster gave it. */
  readonly message: string
  readonly attempt: number
  /** What its publisher called it. */
  readonly id: Json
  readonly topic: string
  /** Its body is not the one that was published. */
  readonly corrupt: boolean
  readonly event: Event
  /** Its consumer has begun to settle it. */
  settle: { readonly as: string; readonly event: Event } | undefined
  /** The cluster has confirmed that. */
  settled: Event | undefined
  /** Its consumer holds it no longer, though it had not settled it, or was told that the settle came too late. */
  lost: Event | undefined
}

/** In the order in which they were recorded. */
export function deliveriesOf(history: readonly Event[]): Delivery[] {
  const deliveries: Delivery[] = []
  const open = new Map<string, Delivery>()
  for (const event of history) {
    if (typeof event.process !== 'string') continue
    const { queue, message, attempt, id, topic, corrupt, as, unsent } = fields(event.value)
    const key = `${event.process} ${message} ${attempt}`
    const delivery = open.get(key)
    if (event.f === 'deliver') {
      const made: Delivery = {
        queue: String(queue),
        consumer: event.process,
        message: String(message),
        attempt: Number(attempt),
        id: id ?? null,
        topic: String(topic),
        corrupt: corrupt === true,
        event,
        settle: undefined,
        settled: undefined,
        lost: undefined,
      }
      deliveries.push(made)
      open.set(key, made)
    } else if (delivery === undefined) continue
    else if (event.f === 'settle') delivery.settle = { as: String(as), event }
    else if (event.f === 'settled') delivery.settled = event
    else if (event.f === 'lost') {
      delivery.lost ??= event
      // What was about to be settled was not, and can be gone by no settle.
      if (unsent === true) delivery.settle = undefined
    }
  }
  return deliveries
}

export function groupBy<K, T>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

const indexes = (deliveries: readonly Delivery[]) => deliveries.map(({ event }) => event.index)

/** What is wrong whatever the workload: its own rules come beside these. */
export function anomaliesOf(deliveries: readonly Delivery[]): Anomaly[] {
  return [corruptions, duplicates, repeatedAttempts, resurrections, earlyAttempts].flatMap((rule) => rule(deliveries))
}

/** `corrupt`: handed out with another body than its publisher's. */
function corruptions(deliveries: readonly Delivery[]): Anomaly[] {
  return deliveries
    .filter(({ corrupt }) => corrupt)
    .map(({ id, queue, event }) => ({
      type: 'corrupt',
      message: `${JSON.stringify(id)} came out of ${queue} with another body than it was published with`,
      events: [event.index],
    }))
}

/** `repeated`: an attempt at a message of a queue is made once. Attempts count from 1. */
export function repeatedAttempts(deliveries: readonly Delivery[]): Anomaly[] {
  const anomalies: Anomaly[] = []
  for (const group of groupBy(deliveries, ({ queue, message, attempt }) => `${queue} ${message} ${attempt}`).values()) {
    const [{ queue, message, attempt }] = group as [Delivery]
    if (!Number.isInteger(attempt) || attempt < 1) {
      anomalies.push({
        type: 'attempts',
        message: `attempt ${attempt} at ${message} of ${queue}`,
        events: indexes(group),
      })
    }
    if (group.length < 2) continue
    const what = `attempt ${attempt} at ${message} of ${queue} was made ${group.length} times`
    anomalies.push({ type: 'repeated', message: what, events: indexes(group) })
  }
  return anomalies
}

/**
 * `resurrected`: a later attempt than one whose ack or reject the cluster has confirmed. Wherever it stands in the history: attempts rise, so
 * it was made after the one that ended the message.
 */
export function resurrections(deliveries: readonly Delivery[]): Anomaly[] {
  const anomalies: Anomaly[] = []
  for (const group of groupBy(deliveries, ({ queue, message }) => `${queue} ${message}`).values()) {
    const ended = group.filter(isEnded).sort((a, b) => a.attempt - b.attempt)[0]
    if (ended === undefined) continue
    for (const late of group) {
      if (late.attempt <= ended.attempt) continue
      const { queue, message, attempt, settle } = ended
      const what = `${message} of ${queue} came as attempt ${late.attempt} after attempt ${attempt} had a confirmed ${settle!.as}`
      const events = [ended.event.index, settle!.event.index, ended.settled!.index, late.event.index]
      anomalies.push({ type: 'resurrected', message: what, events: events.sort((a, b) => a - b) })
    }
  }
  return anomalies
}

/**
 * `early`: a later attempt than one that was given back, and told before that: the cluster has confirmed that the message was its consumer's
 * still, so it was two consumers' at once. By when they told it.
 */
export function earlyAttempts(deliveries: readonly Delivery[]): Anomaly[] {
  const anomalies: Anomaly[] = []
  for (const group of groupBy(deliveries, ({ queue, message }) => `${queue} ${message}`).values()) {
    for (const { attempt, consumer, event, settle, settled } of group) {
      if (settle?.as !== 'nack' || settled === undefined) continue
      for (const late of group) {
        if (late.attempt <= attempt || timeOf(late.event) >= timeOf(settle.event)) continue
        const what = `${late.message} of ${late.queue} came to ${late.consumer} as attempt ${late.attempt} while ${consumer} held attempt ${attempt}`
        const events = [event.index, late.event.index, settle.event.index, settled.index]
        anomalies.push({ type: 'early', message: what, events: events.sort((a, b) => a - b) })
      }
    }
  }
  return anomalies
}

/** Its message can never come again. */
function isEnded({ settle, settled }: Delivery): boolean {
  return settled !== undefined && settle !== undefined && settle.as !== 'nack'
}

export interface Drained {
  /** Index of the invocation from which on all queues were emptied. */
  readonly from: number
  /** Whether what its publisher called so was acknowledged. */
  readonly isAcknowledged: (id: Json) => boolean
}

/**
 * `dropped`: gone from its queue, though nobody has begun to ack or reject the highest attempt at it that was seen. What was settled at an
 * earlier attempt excuses nothing: a late settle never ends a redelivery. Judged only in queues that were found empty, and only for what was
 * surely in them before: an unknown publish may be stored after the last look, and the run may end before its delivery is settled.
 */
export function drops(deliveries: readonly Delivery[], { from, isAcknowledged }: Drained): Anomaly[] {
  const anomalies: Anomaly[] = []
  for (const group of groupBy(deliveries, ({ queue, message }) => `${queue} ${message}`).values()) {
    const [{ queue, message, id, event }] = group as [Delivery]
    if (event.index > from && !isAcknowledged(id)) continue
    const highest = group.reduce((max, { attempt }) => Math.max(max, attempt), 0)
    const last = group.filter(({ attempt }) => attempt === highest)
    if (last.some(({ settle }) => settle !== undefined && settle.as !== 'nack')) continue
    const what = `${message} of ${queue} is gone after attempt ${highest}, though nobody acked or rejected that one`
    anomalies.push({ type: 'dropped', message: what, events: indexes(group) })
  }
  return anomalies
}

/** `duplicated`: what was published once is in a queue as two messages. */
export function duplicates(deliveries: readonly Delivery[]): Anomaly[] {
  const anomalies: Anomaly[] = []
  for (const group of groupBy(deliveries, ({ queue, id }) => `${queue} ${JSON.stringify(id)}`).values()) {
    const [{ queue, id }] = group as [Delivery]
    const messages = new Set(group.map(({ message }) => message))
    if (messages.size < 2) continue
    const what = `${JSON.stringify(id)} is in ${queue} ${messages.size} times: ${[...messages].join(', ')}`
    anomalies.push({ type: 'duplicated', message: what, events: indexes(group) })
  }
  return anomalies
}

/** `lost`: acknowledged, and handed to nobody though all queues were emptied. `publishes` by the id that they gave. */
export function losses(deliveries: readonly Delivery[], publishes: ReadonlyMap<unknown, Done>): Anomaly[] {
  const delivered = new Set<unknown>(deliveries.map(({ id }) => id))
  return [...publishes]
    .filter(([id, { type }]) => type === 'ok' && !delivered.has(id))
    .map(([id, publish]) => ({
      type: 'lost',
      message: `${id} was acknowledged and never delivered`,
      events: eventsOf(publish),
    }))
}

/** `unexpected`: a message that was never published, or whose publish was refused. `publishes` by the id that they gave. */
export function unexpectedDeliveries(
  deliveries: readonly Delivery[],
  publishes: ReadonlyMap<unknown, Done>,
): Anomaly[] {
  const anomalies: Anomaly[] = []
  for (const { id, queue, event } of deliveries) {
    const publish = publishes.get(id)
    if (publish !== undefined && publish.type !== 'fail') continue
    const why = publish === undefined ? 'was never published' : 'was refused'
    const events = [...(publish === undefined ? [] : eventsOf(publish)), event.index]
    anomalies.push({ type: 'unexpected', message: `${JSON.stringify(id)} in ${queue} ${why}`, events })
  }
  return anomalies
}

/**
 * `misrouted`: under another topic than the one that its queue is bound to, which is the queue's own name; or published to another one
 * (`topicOf`, by what its publisher called it; undefined: nobody tells).
 */
export function misrouted(deliveries: readonly Delivery[], topicOf: (id: Json) => Json | undefined): Anomaly[] {
  return deliveries.flatMap(({ id, queue, topic, event }) => {
    const published = topicOf(id) ?? topic
    if (topic === queue && published === queue) return []
    const what = `${JSON.stringify(id)}, published to ${published}, is in ${queue} with topic ${topic}`
    return [
      { type: 'misrouted', message: `${what}, and that queue is bound to its own name alone`, events: [event.index] },
    ]
  })
}

/** Where a publish stands: it surely came before another one if it ended before that was invoked, or stands before it in one operation. */
export interface Placed {
  readonly from: number
  readonly to: number
  readonly place: number
}

/** `reordered`: of two deliveries to one consumer, the later is of a message that surely stands before the other's. `rows` in the order of delivery. */
export function reorderings(rows: readonly { readonly delivery: Delivery; readonly placed: Placed }[]): Anomaly[] {
  const anomalies: Anomaly[] = []
  let latest = rows[0]
  for (const row of rows) {
    const { delivery, placed } = row
    const isSame = placed.from === latest!.placed.from
    if (placed.to < latest!.placed.from || (isSame && placed.place < latest!.placed.place)) {
      const { queue, consumer, message } = delivery
      const what = `${consumer} got ${message} of ${queue} after ${latest!.delivery.message}, which was published later`
      const events = [placed.from, latest!.placed.from, latest!.delivery.event.index, delivery.event.index]
      anomalies.push({ type: 'reordered', message: what, events })
    } else if (placed.from >= latest!.placed.from) latest = row
  }
  return anomalies
}
