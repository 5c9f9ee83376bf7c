/**
 * Who gets which message: the consumers of a queue that have credit take turns, in a ring, so that a message costs the same
 * beside ten thousand idle consumers as beside one. Assignment is part of the state (docs/ARCHITECTURE.md, idea 3): a delivery costs no entry.
 *
 * Never: a message for a consumer whose session is not attached, or while returns to the queue are pending, since the messages
 * that come back have older places.
 */
import { ASSIGNMENTS_PER_ENTRY_MAX, ATTEMPTS_MAX } from './constants.ts'
import { type Consumer, inForce, type Queue, type State } from './state.ts'
import type { Step } from './step.ts'

/** Lets the queue be looked at before the entry ends. */
export function mark(state: State, queue: Queue): void {
  if (queue.marked || queue.turn === undefined) return
  queue.marked = true
  state.unassigned.push(queue)
}

/** Puts the consumer at the end of the ring if it has credit and is not there yet. */
export function grantCredit(state: State, consumer: Consumer): void {
  const { queue } = consumer
  if (consumer.next !== undefined || consumer.ended || consumer.served || queue.deleted) return
  if (consumer.open.size >= consumer.prefetch || inForce(consumer.session) === undefined) return
  joinTurns(consumer)
  mark(state, queue)
}

/** Puts a consumer that is not in the ring of its queue at the ring's end. */
export function joinTurns(consumer: Consumer): void {
  const { queue } = consumer
  const first = queue.turn
  if (first === undefined) {
    consumer.next = consumer
    consumer.previous = consumer
    queue.turn = consumer
  } else {
    const last = first.previous!
    consumer.next = first
    consumer.previous = last
    last.next = consumer
    first.previous = consumer
  }
}

/** Takes the consumer out of the ring. Without effect when it is not there. */
export function stopCredit(consumer: Consumer): void {
  const { queue, next, previous } = consumer
  if (next === undefined || previous === undefined) return
  if (next === consumer) {
    queue.turn = undefined
  } else {
    next.previous = previous
    previous.next = next
    if (queue.turn === consumer) queue.turn = next
  }
  consumer.next = undefined
  consumer.previous = undefined
}

/** Serves the marked queues in the order in which they were marked. What the entry's bound leaves over waits for the next one. */
export function assign(step: Step): void {
  const { unassigned } = step.state
  let allowance = ASSIGNMENTS_PER_ENTRY_MAX
  for (let queue = unassigned.first; queue !== undefined; queue = unassigned.first) {
    if (allowance <= 0) return
    allowance -= assignQueue(step, queue, allowance)
    if (isAssignable(step.state, queue)) return
    queue.marked = false
    unassigned.shift()
  }
}

function isAssignable(state: State, queue: Queue): boolean {
  if (queue.turn === undefined || queue.deleted || queue.returning > 0) return false
  if (queue.returned.length === 0 && queue.ready.length === 0) return false
  // Delayed messages that are due but not yet back have older places too.
  return queue.release.atMs > state.timeMs
}

/** Rows of one deliver effect in the making. */
interface Batch {
  readonly consumer: Consumer
  readonly firstDelivery: number
  readonly indexes: number[]
  readonly positions: number[]
  readonly attempts: number[]
}

/** Returns how much of the allowance was used. */
function assignQueue(step: Step, queue: Queue, allowance: number): number {
  const { state } = step
  if (!isAssignable(state, queue)) return 0
  const batches = new Map<Consumer, Batch>()
  const { ready, returned } = queue
  let used = 0
  let delivered = 0
  let redelivered = 0
  let batch: Batch | undefined
  for (; used < allowance && ready.length + returned.length > 0; used++) {
    const consumer = queue.turn
    if (consumer === undefined) break
    if (batch?.consumer !== consumer) batch = batches.get(consumer)
    if (batch === undefined) {
      if (inForce(consumer.session) === undefined) {
        stopCredit(consumer)
        continue
      }
      batch = { consumer, firstDelivery: consumer.nextDelivery, indexes: [], positions: [], attempts: [] }
      batches.set(consumer, batch)
      state.timers.setNoLater(consumer.visibility, state.timeMs + consumer.visibilityTimeoutMs)
    }
    if (returned.length > 0) {
      give(state, batch, returned.index, returned.position, Math.min(returned.attempts + 1, ATTEMPTS_MAX))
      returned.shift()
      redelivered++
    } else {
      give(state, batch, ready.index, ready.position, 1)
      ready.shift()
    }
    delivered++
    if (consumer.open.size >= consumer.prefetch) stopCredit(consumer)
    else queue.turn = consumer.next
  }
  count(state, queue, delivered, redelivered)
  for (const made of batches.values()) {
    emit(step, made)
    if (made.consumer.wait !== undefined) serve(step, made.consumer, made.indexes.length)
  }
  return used
}

/** A receive has got what it gets. */
function serve(step: Step, consumer: Consumer, count: number): void {
  consumer.served = true
  stopCredit(consumer)
  step.state.waits.stop(consumer.wait!)
  step.effects.push({ type: 'received', to: inForce(consumer.session)!, consumer: consumer.id, count })
}

function give(state: State, batch: Batch, index: number, position: number, attempt: number): void {
  const { consumer } = batch
  const deadlineMs = state.timeMs + consumer.visibilityTimeoutMs
  consumer.open.add(consumer.nextDelivery++, index, position, attempt, deadlineMs)
  batch.indexes.push(index)
  batch.positions.push(position)
  batch.attempts.push(attempt)
}

function count(state: State, queue: Queue, delivered: number, redelivered: number): void {
  queue.unsettled += delivered
  queue.delivered += delivered
  queue.redelivered += redelivered
  state.totals.delivered += delivered
  state.totals.redelivered += redelivered
}

function emit(step: Step, batch: Batch): void {
  const { consumer, firstDelivery, indexes, positions, attempts } = batch
  consumer.session.open += indexes.length
  const to = inForce(consumer.session)!
  step.effects.push({ type: 'deliver', to, consumer: consumer.id, firstDelivery, indexes, positions, attempts })
}
