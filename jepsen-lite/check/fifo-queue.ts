/**
 * Linearizability of queues: each queue's operations are a history of their own (linearizability is local: Herlihy and Wing 1990), judged
 * against a FIFO queue.
 *
 * A *receive* is the message that it got and acknowledged, or nothing. What the model must know of at-least-once delivery: a message that a
 * client took and did not keep is out of sight meanwhile, and comes back to its place as another attempt. So one whose last attempt was not its
 * first may have been out of sight at any time; all others never were, since each time costs an attempt. Order among redelivered messages is
 * judged elsewhere (check/returns.ts).
 *
 * A receive of which nobody knows what it got may have kept one message at most: it is the excuse for one that never came, and all that never
 * came may then have been out of sight too. One that knows what it got, and not whether its ack did anything, is an excuse for that message
 * alone, and for none if that message came again. It was next when it was taken, all the same.
 */
import type { Event } from '../history.ts'
import type { Anomaly, CheckResult } from '../workload.ts'
import { groupBy } from './deliveries.ts'
import { Budget, type Interval, type Linearization, linearize, type Model } from './linearizable.ts'
import { countOf, type Done, fields, operationsOf, resultOf } from './operations.ts'
import { checkTakings, type Taking, takingsOf } from './takings.ts'

type QueueOperation =
  | { readonly f: 'publish'; readonly id: number }
  /** Null: there was nothing. */
  | { readonly f: 'receive'; readonly id: number | null }
  /** Taken, and nobody knows whether for good. */
  | { readonly f: 'taken'; readonly id: number }
  | { readonly f: 'length'; readonly length: number }
  /** All is over, and the queue was found empty. */
  | { readonly f: 'end' }

interface Receipt {
  readonly from: number
  readonly to: number
  readonly attempt: number
}

/** What a queue's history says beside its operations, and what it leaves open. */
interface Circumstances {
  /** Messages that may have been out of sight. */
  readonly hidden: ReadonlySet<number>
  /** When each message that came was received. */
  readonly receipts: ReadonlyMap<number, Receipt>
  /** Messages that nobody knows to have been published, or to have come; they may have been in the queue and been taken unseen. */
  readonly ghosts: number
  /** How many messages may have been taken for good by receives of which nobody knows what they got. */
  readonly kept: number
  /** Messages that may have been taken for good by receives that got them, and of whose acks nobody knows; and by when they were. */
  readonly doubtful: ReadonlyMap<number, number>
}

/** The messages in the queue, in order; the order of those that are hidden among themselves decides nothing. */
function fifoQueue(circumstances: Circumstances): Model<readonly number[], QueueOperation> {
  const { hidden, receipts, ghosts, kept, doubtful } = circumstances
  const seen = (items: readonly number[]) => items.reduce((count, id) => count + (hidden.has(id) ? 0 : 1), 0)
  /** Where it is, if it is next: nothing in sight is before it. */
  const placeOf = (items: readonly number[], id: number) => {
    const place = items.indexOf(id)
    return place < 0 || seen(items.slice(0, place)) > 0 ? undefined : place
  }
  /**
   * Whether the message can ever come from behind these: those in sight must be received before it. Asked when it is published, since the search
   * would try each order of the messages in a long queue until one comes out.
   */
  const canFollow = (items: readonly number[], id: number) => {
    const { to } = receipts.get(id) ?? { to: Number.POSITIVE_INFINITY }
    return items.every((other) => hidden.has(other) || (receipts.get(other)?.from ?? Number.POSITIVE_INFINITY) <= to)
  }
  return {
    init: [],
    step(items, operation) {
      switch (operation.f) {
        case 'publish':
          return canFollow(items, operation.id) ? [...items, operation.id] : undefined
        case 'receive': {
          if (operation.id === null) return seen(items) === 0 ? items : undefined
          const place = placeOf(items, operation.id)
          return place === undefined ? undefined : items.toSpliced(place, 1)
        }
        case 'taken':
          // It may come back, and is out of sight until then.
          return placeOf(items, operation.id) === undefined ? undefined : items
        case 'length': {
          const { length } = operation
          return length >= seen(items) && length <= items.length + ghosts ? items : undefined
        }
        case 'end':
          return items.filter((id) => !doubtful.has(id)).length <= kept ? items : undefined
      }
    },
    key: (items) => keyOf(items, hidden),
  }
}

function keyOf(items: readonly number[], hidden: ReadonlySet<number>): string {
  let key = ''
  let run: number[] = []
  const put = () => {
    if (run.length > 0) key += `(${run.sort((a, b) => a - b).join()})`
    run = []
  }
  for (const id of items) {
    if (hidden.has(id)) run.push(id)
    else {
      put()
      key += `${id},`
    }
  }
  put()
  return key
}

/** An operation of a queue, and the one of the history that it is from. */
interface Part extends Interval<QueueOperation> {
  readonly done: Done
}

/** What was received for certain, and how many messages may have been beside it. */
class Receipts {
  readonly parts: Part[] = []
  readonly byId = new Map<number, Receipt>()
  /** What was got by receives of whose acks nobody knows, and when the first of them ended. */
  readonly doubtful = new Map<number, number>()
  kept = 0

  take({ done, id, attempt, isAcked }: Taking): void {
    // What is no id is nobody's message.
    if (Number.isNaN(id)) return
    const { from } = done
    const to = this.#place(done, { f: isAcked ? 'receive' : 'taken', id })
    // One that is acked twice is wrong whatever is said of it here.
    if (isAcked && !this.byId.has(id)) this.byId.set(id, { from, to, attempt })
    if (!isAcked) this.doubtful.set(id, Math.min(to, this.doubtful.get(id) ?? to))
  }

  /** Of a queue: its receives and drains, and what they took. */
  static of(operations: readonly Done[], takings: readonly Taking[]): Receipts {
    const receipts = new Receipts()
    for (const taking of takings) receipts.take(taking)
    for (const done of operations) {
      const { f, type, end } = done
      const { attempt, got } = fields(end?.value ?? null)
      const hasTaken = attempt !== undefined
      if (f === 'receive' && type === 'ok' && !hasTaken) receipts.#place(done, { f: 'receive', id: null })
      if (f === 'receive' && type === 'info' && !hasTaken) receipts.kept++
      // Its client died with what it knew, or does not know of the last one.
      if (f === 'drain' && type === 'info') receipts.kept += Array.isArray(got) ? 1 : operations.length
    }
    return receipts
  }

  #place(done: Done, operation: QueueOperation): number {
    const to = done.end!.index
    this.parts.push({ done, from: done.from, to, operation })
    return to
  }
}

/**
 * What the operations of one queue say, in the order of the history: `publish` of `{ queue, id }`; `receive` of `{ queue }`, completed with
 * `{ queue, id, attempt }` where it got something; `length`, completed with `{ queue, length }`; `drain`, completed with
 * `{ queue, got: [{ id, attempt }] }`, which says `ok` when it found the queue empty at last.
 */
function partsOf(
  operations: readonly Done[],
  takings: readonly Taking[],
): {
  parts: Part[]
  circumstances: Circumstances
  isDrained: boolean
} {
  const last = operations.at(-1)
  const isDrained = last?.f === 'drain' && last.type === 'ok'
  const { parts, byId, doubtful, kept } = Receipts.of(operations, takings)
  // Before the end of a drain, what never came may have been given out to a client that asked again, too.
  const isAnyUnseen = kept > 0 || (!isDrained && doubtful.size > 0)
  const hidden = new Set([...byId].filter(([, { attempt }]) => attempt > 1).map(([id]) => id))
  let ghosts = 0
  for (const done of operations) {
    const { f, type, from, to } = done
    const value = fields(done.end?.value ?? done.invoke.value)
    if (f === 'length' && type === 'ok') parts.push({ done, from, to, operation: { f, length: Number(value.length) } })
    if (f !== 'publish' || type === 'fail') continue
    const id = Number(value.id)
    const receipt = byId.get(id)
    // It may have been taken, and given back, by any receive that nobody knows of.
    if (receipt === undefined && (isAnyUnseen || doubtful.has(id))) hidden.add(id)
    // What came was published before.
    const came = Math.min(receipt?.to ?? to, doubtful.get(id) ?? to)
    const by = came <= from ? to : Math.min(to, came)
    if (by !== Number.POSITIVE_INFINITY) parts.push({ done, from, to: by, operation: { f, id } })
    else if (kept > 0 || !isDrained) ghosts++
  }
  if (isDrained) {
    const from = Math.max(...operations.map(({ invoke, end }) => end?.index ?? invoke.index)) + 0.25
    parts.push({ done: last, from, to: from + 0.5, operation: { f: 'end' } })
  }
  return { parts, circumstances: { hidden, receipts: byId, ghosts, kept, doubtful }, isDrained }
}

/** Every queue by itself; what they may cost together is bounded, and a queue too many is unknown. */
export function checkFifoQueues(history: readonly Event[], budget = new Budget()): CheckResult {
  const operations = operationsOf(history).filter(({ f }) => f in KINDS)
  const queues = groupBy(operations, ({ invoke }) => String(fields(invoke.value).queue))
  const anomalies: Anomaly[] = []
  let undrained = 0
  let undecided = 0
  let nonlinearizable = 0
  let hidden = 0
  for (const [queue, ofQueue] of queues) {
    const takings = takingsOf(ofQueue)
    anomalies.push(...checkTakings(queue, takings))
    const { parts, circumstances, isDrained } = partsOf(ofQueue, takings)
    const verdict = linearize(fifoQueue(circumstances), parts, budget)
    if (!isDrained) undrained++
    hidden += circumstances.hidden.size
    if (verdict.valid === 'unknown') undecided++
    else if (!verdict.valid) {
      anomalies.push(anomalyOf(queue, parts, verdict))
      nonlinearizable++
    }
  }
  const counts = {
    ...countOf(operations, 'publish'),
    ...countOf(operations, 'receive'),
    ...countOf(operations, 'length'),
    queues: queues.size,
    hidden,
    undecided,
    nonlinearizable,
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
  return `${f} ${operation.id ?? 'nothing'} (process ${done.process})`
}
