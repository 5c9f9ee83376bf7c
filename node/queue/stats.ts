/** What a node may know of queues and sessions: small copies, made when asked. */
import type { Attachment } from './effect.ts'
import { inForce, type Queue, type Session } from './state.ts'

export interface QueueStats {
  readonly queue: string
  readonly durable: boolean
  readonly exclusive: boolean
  /** Messages that wait for a consumer with credit. */
  readonly ready: number
  /** Open deliveries. */
  readonly unsettled: number
  /** Messages given back with a delay that is not over. */
  readonly delayed: number
  /** Without receives. */
  readonly consumers: number
  /** Patterns, sorted. */
  readonly bindings: readonly string[]
  /** Counters since the queue was declared. */
  readonly published: number
  readonly delivered: number
  /** Accepted or rejected. */
  readonly settled: number
  readonly redelivered: number
}

export interface SessionSummary {
  readonly session: number
  readonly name: string
  /** Undefined while it is detached. */
  readonly attachment: Attachment | undefined
  /** Highest connection number attached so far. */
  readonly connection: number
  readonly lastSequence: number
  /** With receives that wait or hold messages. */
  readonly consumers: number
  readonly listeners: number
  /** Open deliveries of all its consumers. */
  readonly unsettled: number
  /** Outcomes that its client has not seen yet. */
  readonly outcomes: number
}

export function statsOf(queue: Queue): QueueStats {
  return {
    queue: queue.name,
    durable: queue.durable,
    exclusive: queue.owner !== undefined,
    ready: queue.ready.length + queue.returned.length,
    unsettled: queue.unsettled,
    delayed: queue.delayed.length,
    consumers: queue.consumers.size - queue.receives,
    bindings: [...queue.bindings].sort(),
    published: queue.published,
    delivered: queue.delivered,
    settled: queue.settled,
    redelivered: queue.redelivered,
  }
}

export function summaryOf(session: Session): SessionSummary {
  return {
    session: session.id,
    name: session.name,
    attachment: inForce(session),
    connection: session.connection,
    lastSequence: session.lastSequence,
    consumers: session.consumers.size,
    listeners: session.listeners.size,
    unsettled: session.open,
    outcomes: session.outcomes.size,
  }
}
