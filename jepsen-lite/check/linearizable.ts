/**
 * Whether a history is linearizable: whether its operations have an order that agrees with real time and that the model allows. The search
 * of Wing and Gong (1993), with the memoisation of Lowe (2017): what was tried once, the same operations in the same state, is not tried
 * again. Calls and returns are a linked list from which operations are lifted as they are placed, as in Lowe's and Horn and Kroening's.
 *
 * An operation without a known end (`to` is Infinity) may be placed anywhere after its invocation, or never.
 *
 * The problem is NP-hard: a history is to be cut into independent ones by whoever asks, and the search ends at a budget, as unknown.
 */

/** What the operations are about. States are never changed; an operation carries its result. */
export interface Model<S, O> {
  readonly init: S
  /** The state after it; undefined: it cannot happen here, with this result. */
  step(state: S, operation: O): S | undefined
  /** Equal for equal states, and for no others. */
  key(state: S): string
}

export interface Interval<O> {
  readonly operation: O
  /** When it is called. */
  readonly from: number
  /** When it returns; above `from`. It takes effect in between. What returns when another is called took effect before that. */
  readonly to: number
}

/** Steps and remembered states that a search may still take; several searches may share one. */
export class Budget {
  #steps: number
  readonly #rememberedMax: number

  constructor(steps = 20_000_000, rememberedMax = 1_000_000) {
    this.#steps = steps
    this.#rememberedMax = rememberedMax
  }

  /** False when it is used up. */
  take(remembered: number): boolean {
    return --this.#steps >= 0 && remembered < this.#rememberedMax
  }
}

/** Numbers are places in the list of intervals. */
export type Linearization =
  /** An order in which all known operations, and some of the others, take effect. */
  | { readonly valid: true; readonly order: readonly number[] }
  /** There is none. `prefix` is the longest order found, after which `stuck` must take effect and cannot. */
  | { readonly valid: false; readonly prefix: readonly number[]; readonly stuck: number }
  | { readonly valid: 'unknown' }

/** A call or a return in the list, which begins with a node that is neither. */
interface Node {
  readonly number: number
  /** The call's return, if it is a call that has one. */
  readonly match: Node | undefined
  readonly isCall: boolean
  /** Undefined at the head alone. */
  previous: Node | undefined
  next: Node | undefined
}

export function linearize<S, O>(
  model: Model<S, O>,
  intervals: readonly Interval<O>[],
  budget = new Budget(),
): Linearization {
  const head = listOf(intervals)
  const placed = new Placed(intervals.length)
  const tried = new Set<string>()
  const stack: { readonly call: Node; readonly state: S }[] = []
  const order = () => stack.map(({ call }) => call.number)
  let missing = intervals.filter(({ to }) => to !== Number.POSITIVE_INFINITY).length
  let furthest: { prefix: readonly number[]; stuck: number; missing: number } | undefined
  let state = model.init
  let node = head.next
  while (missing > 0) {
    // As long as one is missing its return is in the list.
    const { number, isCall, match } = node!
    if (isCall) {
      if (!budget.take(tried.size)) return { valid: 'unknown' }
      const after = model.step(state, intervals[number]!.operation)
      if (after !== undefined && isNew(tried, placed.with(number), model.key(after))) {
        stack.push({ call: node!, state })
        placed.flip(number)
        lift(node!)
        state = after
        if (match !== undefined) missing--
        node = head.next
      } else node = node!.next
      continue
    }
    if (furthest === undefined || missing < furthest.missing) furthest = { prefix: order(), stuck: number, missing }
    const last = stack.pop()
    if (last === undefined) return { valid: false, prefix: furthest.prefix, stuck: furthest.stuck }
    placed.flip(last.call.number)
    unlift(last.call)
    state = last.state
    if (last.call.match !== undefined) missing++
    node = last.call.next
  }
  return { valid: true, order: order() }
}

function isNew(tried: Set<string>, placed: string, key: string): boolean {
  const before = tried.size
  return tried.add(`${placed}|${key}`).size > before
}

/** Which operations are placed, a bit each. */
class Placed {
  readonly #words: Uint32Array

  constructor(operations: number) {
    this.#words = new Uint32Array(Math.ceil(operations / 32))
  }

  flip(number: number): void {
    this.#words[number >>> 5]! ^= 1 << (number & 31)
  }

  /** As a text, with this one among them. */
  with(number: number): string {
    this.flip(number)
    const text = this.#words.join()
    this.flip(number)
    return text
  }
}

function listOf<O>(intervals: readonly Interval<O>[]): Node {
  const events: { at: number; isCall: boolean; number: number }[] = []
  for (const [number, { from, to }] of intervals.entries()) {
    if (to <= from) throw new RangeError(`operation ${number} ends before it begins`)
    events.push({ at: from, isCall: true, number })
    if (to !== Number.POSITIVE_INFINITY) events.push({ at: to, isCall: false, number })
  }
  events.sort((a, b) => a.at - b.at || Number(a.isCall) - Number(b.isCall))
  const head: Node = { number: -1, isCall: false, match: undefined, previous: undefined, next: undefined }
  const returns = new Map<number, Node>()
  let next: Node | undefined
  // From the back, so that each call meets its return.
  for (const { isCall, number } of events.reverse()) {
    const node: Node = { number, isCall, match: isCall ? returns.get(number) : undefined, previous: head, next }
    if (!isCall) returns.set(number, node)
    if (next !== undefined) next.previous = node
    next = node
  }
  head.next = next
  return head
}

/** Takes a call and its return out of the list. They keep their neighbours, by which `unlift` puts them back. */
function lift(call: Node): void {
  remove(call)
  if (call.match !== undefined) remove(call.match)
}

function unlift(call: Node): void {
  if (call.match !== undefined) restore(call.match)
  restore(call)
}

function remove(node: Node): void {
  node.previous!.next = node.next
  if (node.next !== undefined) node.next.previous = node.previous
}

function restore(node: Node): void {
  node.previous!.next = node
  if (node.next !== undefined) node.next.previous = node
}
