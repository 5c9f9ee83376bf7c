/**
 * Consumers: their beginning and end, and the ways in which open deliveries come back to their places other than by a settle:
 * the consumer or its session is gone, or a deadline has passed.
 */
import { grantCredit, mark, stopCredit } from './credit.ts'
import { deleteQueue } from './queues.ts'
import { holdsRun, intersectRuns, type Runs } from './runs.ts'
import { Consumer, inForce, type Queue, type Session, type State } from './state.ts'
import type { Step } from './step.ts'

const NOTHING: Runs = []

/** With `waitMs` it is a receive. */
export function startConsumer(
  step: Step,
  session: Session,
  queue: Queue,
  prefetch: number,
  visibilityTimeoutMs: number,
  waitMs?: number,
): Consumer {
  const { state } = step
  const consumer = new Consumer(step.mint(), session, queue, prefetch, visibilityTimeoutMs, waitMs !== undefined)
  if (consumer.wait !== undefined) {
    queue.receives++
    state.waits.set(consumer.wait, state.timeMs + waitMs!)
  }
  state.consumers.set(consumer.id, consumer)
  session.consumers.set(consumer.id, consumer)
  queue.consumers.set(consumer.id, consumer)
  grantCredit(state, consumer)
  return consumer
}

/** Its open deliveries return to their places (trap 39). A queue that is not durable goes with its last consumer that is no receive. */
export function endConsumer(state: State, consumer: Consumer): void {
  const { session, queue } = consumer
  consumer.ended = true
  stopCredit(consumer)
  state.consumers.delete(consumer.id)
  session.consumers.delete(consumer.id)
  queue.consumers.delete(consumer.id)
  state.timers.stop(consumer.visibility)
  if (consumer.wait !== undefined) {
    queue.receives--
    state.waits.stop(consumer.wait)
  }
  if (queue.deleted) {
    session.open -= consumer.open.size
    consumer.open.clear()
    return
  }
  startReturn(state, consumer, NOTHING)
  if (!queue.durable && consumer.wait === undefined && queue.consumers.size === queue.receives) {
    deleteQueue(state, queue)
  }
}

/** Some of its deliveries are open no more: it has credit again, or is over, if it was a receive and those were the last. */
export function lighten(state: State, consumer: Consumer): void {
  if (!consumer.served) grantCredit(state, consumer)
  else if (consumer.open.size === 0 && !consumer.ended) endConsumer(state, consumer)
}

/** All of its open deliveries but the held ones are in the queue again as of now; moving them is work for later. */
export function startReturn(state: State, consumer: Consumer, held: Runs): void {
  if (consumer.open.size === 0) return
  if (consumer.held !== undefined) {
    consumer.held = intersectRuns(consumer.held, held)
    return
  }
  consumer.held = held
  consumer.queue.returning++
  state.work.push({ type: 'return', consumer })
}

/** Does what `startReturn` promised. Returns how many rows it looked at. */
export function finishReturn(state: State, consumer: Consumer): number {
  const { open, queue, session } = consumer
  const held = consumer.held ?? NOTHING
  const before = open.size
  const end = open.endRow
  for (let row = open.startRow; row < end; row++) {
    if (!open.isOpen(row) || holdsRun(held, open.deliveryAt(row))) continue
    if (!queue.deleted) queue.returned.push(0, open.indexAt(row), open.positionAt(row), open.attemptAt(row))
    open.remove(row)
  }
  const returned = before - open.size
  session.open -= returned
  consumer.held = undefined
  queue.returning--
  if (!queue.deleted) {
    queue.unsettled -= returned
    state.totals.returned += returned
  }
  lighten(state, consumer)
  mark(state, queue)
  return end
}

/**
 * Brings back the deliveries whose deadline has passed and sets the timer for the next one. Returns how many rows it looked at.
 */
export function expireDeliveries(state: State, consumer: Consumer): number {
  const { open, queue, session } = consumer
  if (queue.deleted) {
    // A timer before this one took the queue away; the consumer is about to be told.
    state.timers.stop(consumer.visibility)
    return 0
  }
  const before = open.size
  const end = open.endRow
  let nextMs = Number.POSITIVE_INFINITY
  for (let row = open.startRow; row < end; row++) {
    if (!open.isOpen(row)) continue
    const deadlineMs = open.deadlineAt(row)
    if (deadlineMs > state.timeMs) {
      nextMs = Math.min(nextMs, deadlineMs)
      continue
    }
    queue.returned.push(0, open.indexAt(row), open.positionAt(row), open.attemptAt(row))
    open.remove(row)
  }
  if (nextMs === Number.POSITIVE_INFINITY) state.timers.stop(consumer.visibility)
  else state.timers.set(consumer.visibility, nextMs)
  const expired = before - open.size
  session.open -= expired
  queue.unsettled -= expired
  state.totals.expired += expired
  lighten(state, consumer)
  mark(state, queue)
  return end
}

/** Ends one consumer of a deleted queue and tells its session. */
export function cancelConsumer(step: Step, consumer: Consumer): void {
  const to = inForce(consumer.session)
  if (to !== undefined) {
    const reason = `the queue '${consumer.queue.name}' was deleted`
    step.effects.push({ type: 'cancelled', to, consumer: consumer.id, reason })
  }
  endConsumer(step.state, consumer)
}
