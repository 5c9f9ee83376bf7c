/**
 * What receives of one queue say that they got, whether or not anybody knows what became of it. The search for an order (fifo-queue.ts) leaves
 * out those whose acks have no answer, since their messages may be anywhere. That they were handed out is certain all the same, and judged here:
 *
 * - `unexpected`: what was never published before, what was refused, and what is no id at all.
 * - `repeated`: one attempt at a message that was made twice. Attempts count from 1.
 * - `resurrected`: a later attempt than one whose ack was confirmed.
 *
 * Never: what is wrong among those that were acked. They have no place in any order then, which the search tells.
 */
import type { Json } from '../history.ts'
import type { Anomaly } from '../workload.ts'
import { groupBy } from './deliveries.ts'
import { type Done, eventsOf, fields } from './operations.ts'

export interface Taking {
  readonly done: Done
  /** NaN: it was no id. */
  readonly id: number
  readonly attempt: number
  /** Its ack was confirmed. */
  readonly isAcked: boolean
}

/** Of receives and drains, in the order of their invocations. */
export function takingsOf(operations: readonly Done[]): Taking[] {
  return operations.flatMap((done): Taking[] => {
    const { f, type, end } = done
    const told = fields(end?.value ?? null)
    const taking = ({ id, attempt }: { readonly [key: string]: Json }, isAcked: boolean) => ({
      done,
      id: typeof id === 'number' ? id : Number.NaN,
      attempt: Number(attempt),
      isAcked,
    })
    if (f === 'drain') return Array.isArray(told.got) ? told.got.map((each) => taking(fields(each), true)) : []
    // One that got nothing tells no attempt.
    return f === 'receive' && type !== 'fail' && told.attempt !== undefined ? [taking(told, type === 'ok')] : []
  })
}

export function checkTakings(queue: string, operations: readonly Done[], takings: readonly Taking[]): Anomaly[] {
  const publishes = operations.filter(({ f }) => f === 'publish')
  const published = new Map(publishes.map((each) => [fields(each.invoke.value).id, each]))
  const ofMessages = [...groupBy(takings, ({ id }) => id).values()]
  return [
    ...takings.flatMap((taking) => unexpected(queue, taking, published.get(taking.id))),
    ...ofMessages.flatMap((ofMessage) => [...repeated(queue, ofMessage), ...resurrected(queue, ofMessage)]),
  ]
}

function unexpected(queue: string, { done, id, isAcked }: Taking, publish: Done | undefined): Anomaly[] {
  const isId = !Number.isNaN(id)
  const isPublished = publish !== undefined && publish.type !== 'fail' && publish.from < done.end!.index
  if (isId && (isAcked || isPublished)) return []
  const what = isId
    ? `got ${id}, which ${publish?.type === 'fail' ? 'was refused' : 'nobody had published'}`
    : 'got no id'
  return [{ type: 'unexpected', message: `${queue}: process ${done.process} ${what}`, events: eventsOf(done) }]
}

function repeated(queue: string, ofMessage: readonly Taking[]): Anomaly[] {
  return [...groupBy(ofMessage, ({ attempt }) => attempt)].flatMap(([attempt, group]) => {
    const isAttempt = Number.isInteger(attempt) && attempt > 0
    if (isAttempt && (group.length === 1 || group.every(({ isAcked }) => isAcked))) return []
    const how = isAttempt ? `was made ${group.length} times` : 'is none'
    const events = group.flatMap(({ done }) => eventsOf(done))
    return [{ type: 'repeated', message: `${queue}: attempt ${attempt} at ${group[0]!.id} ${how}`, events }]
  })
}

function resurrected(queue: string, ofMessage: readonly Taking[]): Anomaly[] {
  const acked = ofMessage.find(({ isAcked }) => isAcked)
  if (acked === undefined) return []
  return ofMessage
    .filter(({ attempt, isAcked }) => !isAcked && attempt > acked.attempt)
    .map(({ done, id, attempt }) => ({
      type: 'resurrected',
      message: `${queue}: ${id} came as attempt ${attempt} after attempt ${acked.attempt} had a confirmed ack`,
      events: [...eventsOf(acked.done), ...eventsOf(done)],
    }))
}
