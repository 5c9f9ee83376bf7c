/**
 * What receives of one queue say that they got, and what of it no order of the operations (fifo-queue.ts) would show to be wrong:
 *
 * - `unexpected`: what is no id at all.
 * - `repeated`: one attempt at a message that was made twice, though not acked twice. Attempts count from 1.
 * - `resurrected`: a later attempt than one whose ack was confirmed, got by a receive of whose ack nobody knows.
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

export function checkTakings(queue: string, takings: readonly Taking[]): Anomaly[] {
  const messages = groupBy(takings, ({ id }) => id)
  const strange = messages.get(Number.NaN) ?? []
  messages.delete(Number.NaN)
  const ofMessages = [...messages.values()]
  return [
    ...strange.map((taking) => unexpected(queue, taking)),
    ...ofMessages.flatMap((ofMessage) => [...repeated(queue, ofMessage), ...resurrected(queue, ofMessage)]),
  ]
}

function unexpected(queue: string, { done }: Taking): Anomaly {
  const message = `${queue}: what process ${done.process} got is no id`
  return { type: 'unexpected', message, events: eventsOf(done) }
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
