/**
 * Queues and their bindings: declare, delete, bind, unbind, and the way from a topic to queues. Fan-out is by reference: a
 * message that matches many queues is one pair of numbers in each.
 */
import { limits } from '../../wire/limits.ts'
import { topicProblem } from '../../wire/names.ts'
import { Queue, type Route, type Session, type State } from './state.ts'
import type { Step } from './step.ts'

export function createQueue(step: Step, name: string, durable: boolean, owner: Session | undefined): void {
  const queue = new Queue(step.mint(), name, durable, owner)
  step.state.queues.set(name, queue)
  owner?.exclusiveQueues.add(queue)
}

/** Its name and bindings are free at once, its messages are gone; its consumers end by and by, and get nothing any more. */
export function deleteQueue(state: State, queue: Queue): void {
  queue.deleted = true
  state.queues.delete(queue.name)
  for (const pattern of queue.bindings) state.bindings.remove(pattern, queue)
  if (queue.bindings.size > 0) state.routes.clear()
  queue.bindings.clear()
  queue.owner?.exclusiveQueues.delete(queue)
  state.totals.dropped += queue.ready.length + queue.returned.length + queue.delayed.length + queue.unsettled
  queue.ready.clear()
  queue.returned.clear()
  queue.delayed.clear()
  queue.unsettled = 0
  state.timers.stop(queue.release)
  if (queue.consumers.size > 0) state.work.push({ type: 'cancelConsumers', queue })
}

/** Why there is no room for the binding; undefined: it is made. Without effect when the queue is bound so already. */
export function bind(state: State, queue: Queue, pattern: string): string | undefined {
  if (queue.bindings.has(pattern)) return undefined
  if (queue.bindings.size >= limits.bindingsPerQueueMax) {
    return `the queue '${queue.name}' has ${limits.bindingsPerQueueMax} bindings already`
  }
  if (state.bindings.size >= limits.bindingsMax) return `there are ${limits.bindingsMax} bindings already`
  queue.bindings.add(pattern)
  state.bindings.add(pattern, queue)
  state.routes.clear()
  return undefined
}

export function unbind(state: State, queue: Queue, pattern: string): void {
  if (!queue.bindings.delete(pattern)) return
  state.bindings.remove(pattern, queue)
  state.routes.clear()
}

/** Where a topic leads to; or why it is no topic. */
export function route(state: State, topic: string): Route | string {
  const known = state.routes.get(topic)
  if (known !== undefined) return known
  const problem = topicProblem(topic)
  if (problem !== undefined) return problem
  const visits = state.bindings.visits
  const queues = [...state.bindings.match(topic)].sort((a, b) => a.id - b.id)
  const found = { queues, cost: state.bindings.visits - visits + queues.length }
  state.routes.set(topic, found, queues.length)
  return found
}
