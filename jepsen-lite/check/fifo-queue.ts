/**
 * Linearizability of queues: each queue's operations are a history of their own (linearizability is local: Herlihy and Wing 1990), judged
 * against a FIFO queue.
 *
 * A *receive* is the message that it got and acknowledged, or nothing. What the model must know of at-least-once delivery: a message that a
 * client took and did not keep is out of sight meanwhile, and comes back to its place as another attempt. So one whose last attempt was not its
 * first may have been out of sight at any time; all others never were, since each time costs an attempt. Order among redelivered messages is
 * judged elsewhere (check/returns.ts).
 *
 * A receive of which nobody knows what it got may have kept one message at most: it is the excuse for one that never came.
 */
import type { Event, Json } from '../history.ts'
import type { Anomaly, CheckResult } from '../workload.ts'
import { groupBy } from './deliveries.ts'
import { Budget, type Interval, type Linearization, linearize, type Model } from './linearizable.ts'
import { countOf, type Done, fields, operationsOf, resultOf } from './operations.ts'

export type QueueOperation =
  | { readonly f: 'publish'; readonly id: number }
  /** Null: there was nothing. */
  | { readonly f: 'receive'; readonly id: number | null }
  | { readonly f: 'length'; readonly length: number }
  /** Receives that may have kept so many of the messages that nobody is known to have got. */
  | { readonly f: 'unknown'; readonly most: number }
  /** It has kept this one. */
  | { readonly f: 'kept'; readonly id: number }
  /** All is over, and the queue was found empty. What nobody knows to have been published may come later still. */
  | { readonly f: 'end'; readonly unsure: ReadonlySet<number> }

interface State {
  readonly items: readonly number[]
  /** Messages that unknown receives may still have kept. */
  readonly unknown: number
}

/** `hidden`: messages that may be out of sight. */
export function fifoQueue(hidden: ReadonlySet<number>): Model<State, QueueOperation> {
  const seen = (items: readonly number[]) => items.filter((id) => !hidden.has(id))
  /** Takes a message that is the first in sight, or out of it. */
  const take = ({ items, unknown }: State, id: number): State | undefined => {
    const place = items.indexOf(id)
    if (place < 0 || seen(items.slice(0, place)).length > 0) return undefined
    return { items: items.toSpliced(place, 1), unknown }
  }
  return {
    init: { items: [], unknown: 0 },
    step(state, operation) {
      const { items, unknown } = state
      switch (operation.f) {
        case 'publish':
          return { items: [...items, operation.id], unknown }
        case 'receive':
          if (operation.id !== null) return take(state, operation.id)
          return seen(items).length === 0 ? state : undefined
        case 'length':
          return operation.length <= items.length && operation.length >= seen(items).length ? state : undefined
        case 'unknown':
          return { items, unknown: unknown + operation.most }
        case 'kept':
          return unknown > 0 ? take({ items, unknown: unknown - 1 }, operation.id) : undefined
        case 'end':
          return items.every((id) => operation.unsure.has(id)) ? state : undefined
      }
    },
    key: ({ items, unknown }) => `${unknown}:${items.join()}`,
  }
}

/** An operation of a queue, and the one of the history that it is from. */
export interface Part extends Interval<QueueOperation> {
  readonly done: Done
}

/**
 * What the operations of one queue say, in the order of the history: `publish` of `{ queue, id }`; `receive` of `{ queue }`, completed with
 * `{ queue, id, attempt }` where it got something; `length`, completed with `{ queue, length }`; `drain`, completed with
 * `{ queue, got: [{ id, attempt }] }`, which says `ok` when it found the queue empty at last.
 */
export function partsOf(operations: readonly Done[]): { parts: Part[]; hidden: Set<number>; isDrained: boolean } {
  const parts: Part[] = []
  const attempts = new Map<number, number>()
  const published = new Map<number, Done>()
  let unknowns = 0
  const unknown = (done: Done, most: number) => {
    unknowns++
    parts.push({ done, from: done.from, to: Number.POSITIVE_INFINITY, operation: { f: 'unknown', most } })
  }
  const receive = (done: Done, id: number | null, attempt: Json | undefined) => {
    const to = done.end?.index ?? Number.POSITIVE_INFINITY
    if (id !== null) attempts.set(id, Math.max(attempts.get(id) ?? 0, Number(attempt)))
    parts.push({ done, from: done.from, to, operation: { f: 'receive', id } })
  }
  for (const done of operations) {
    const { f, type, from, to } = done
    const value = fields(done.end?.value ?? done.invoke.value)
    if (f === 'publish' && type !== 'fail') {
      const id = Number(value.id)
      published.set(id, done)
      parts.push({ done, from, to, operation: { f, id } })
    } else if (f === 'receive') {
      if (type === 'ok') receive(done, typeof value.id === 'number' ? value.id : null, value.attempt)
      else if (type === 'info') unknown(done, 1)
    } else if (f === 'drain') {
      for (const got of Array.isArray(value.got) ? value.got : [])
        receive(done, Number(fields(got).id), fields(got).attempt)
      // Its client died with what it knew, or does not know of the last one.
      if (type === 'info') unknown(done, value.got === undefined ? operations.length : 1)
    } else if (f === 'length' && type === 'ok') {
      parts.push({ done, from, to, operation: { f, length: Number(value.length) } })
    }
  }
  const hidden = new Set([...attempts].filter(([, attempt]) => attempt > 1).map(([id]) => id))
  for (const [id, done] of published) {
    if (attempts.has(id) || unknowns === 0) continue
    // It may have been taken and given back by any of them.
    hidden.add(id)
    parts.push({ done, from: done.from, to: Number.POSITIVE_INFINITY, operation: { f: 'kept', id } })
  }
  const last = operations.at(-1)
  const isDrained = last?.f === 'drain' && last.type === 'ok'
  if (isDrained) {
    const unsure = new Set([...published].filter(([, { type }]) => type === 'info').map(([id]) => id))
    const from = Math.max(...operations.map(({ invoke, end }) => end?.index ?? invoke.index)) + 0.25
    parts.push({ done: last, from, to: from + 0.5, operation: { f: 'end', unsure } })
  }
  return { parts, hidden, isDrained }
}

/** Every queue by itself; what they may cost together is bounded, and a queue too many is unknown. */
export function checkFifoQueues(history: readonly Event[], budget = new Budget()): CheckResult {
  const operations = operationsOf(history).filter(({ f }) => f in KINDS)
  const queues = groupBy(operations, ({ invoke }) => String(fields(invoke.value).queue))
  const anomalies: Anomaly[] = []
  let undrained = 0
  let undecided = 0
  let hidden = 0
  for (const [queue, ofQueue] of queues) {
    const { parts, ...rest } = partsOf(ofQueue)
    const verdict = linearize(fifoQueue(rest.hidden), parts, budget)
    if (!rest.isDrained) undrained++
    hidden += rest.hidden.size
    if (verdict.valid === 'unknown') undecided++
    else if (!verdict.valid) anomalies.push(anomalyOf(queue, parts, verdict))
  }
  const counts = {
    ...countOf(operations, 'publish'),
    ...countOf(operations, 'receive'),
    ...countOf(operations, 'length'),
    queues: queues.size,
    hidden,
    undecided,
    nonlinearizable: anomalies.length,
  }
  const result = resultOf(anomalies, counts, undrained === 0)
  if (result.valid !== true || undecided === 0) return result
  return { ...result, valid: 'unknown', reason: `${undecided} queues could not be decided within the budget` }
}

const KINDS = { publish: 0, receive: 0, length: 0, drain: 0 }
/** Of the longest order, as many as an anomaly tells. */
const TOLD = 12

function anomalyOf(queue: string, parts: readonly Part[], verdict: Linearization & { valid: false }): Anomaly {
  const stuck = parts[verdict.stuck]!
  const before = verdict.prefix.map((number) => parts[number]!)
  const told = before.slice(-TOLD)
  const events = [...told, stuck].flatMap(({ done }) => [
    done.invoke.index,
    ...(done.end === undefined ? [] : [done.end.index]),
  ])
  const order = `${before.length > TOLD ? '… ' : ''}${told.map(wordsOf).join(', ')}`
  return {
    type: 'nonlinearizable',
    message: `${queue}: ${wordsOf(stuck)} has no place; the longest order is ${order || 'nothing'}`,
    events: [...new Set(events)].sort((a, b) => a - b),
  }
}

function wordsOf({ operation, done }: Part): string {
  const { f } = operation
  if (f === 'end') return 'its end, found empty by the drain,'
  if (f === 'length') return `length ${operation.length} (process ${done.process})`
  if (f === 'unknown') return `a receive that nobody knows of (process ${done.process})`
  return `${f} ${operation.id ?? 'nothing'} (process ${done.process})`
}
