import { describe, expect, it } from 'vitest'
import { Budget, type Interval, linearize, type Model } from '../../../jepsen-lite/check/linearizable.ts'
import { fc } from '../../support/property.ts'

/** A register: what a read finds is what was written last. */
type Access = { readonly write: number } | { readonly read: number }
const register: Model<number, Access> = {
  init: 0,
  step: (state, access) => ('write' in access ? access.write : access.read === state ? state : undefined),
  key: String,
}

/** A queue, so that the order of many operations matters. */
type Queueing = { readonly put: number } | { readonly take: number | null }
const queue: Model<readonly number[], Queueing> = {
  init: [],
  step: (state, operation) => {
    if ('put' in operation) return [...state, operation.put]
    if (operation.take === null) return state.length === 0 ? state : undefined
    return state[0] === operation.take ? state.slice(1) : undefined
  },
  key: (state) => state.join(),
}

const at = <O>(from: number, to: number, operation: O): Interval<O> => ({ from, to, operation })
const NEVER = Number.POSITIVE_INFINITY

/** All orders, one after the other. */
function bruteForce<S, O>(model: Model<S, O>, intervals: readonly Interval<O>[]): boolean {
  const search = (state: S, left: readonly Interval<O>[]): boolean => {
    if (left.every(({ to }) => to === NEVER)) return true
    return left.some((each) => {
      if (left.some((other) => other !== each && other.to <= each.from)) return false
      const after = model.step(state, each.operation)
      const rest = left.filter((other) => other !== each)
      return after !== undefined && search(after, rest)
    })
  }
  return search(model.init, intervals)
}

/** Whether this is an order as it is claimed to be. */
function isOrder<S, O>(model: Model<S, O>, intervals: readonly Interval<O>[], order: readonly number[]): boolean {
  let state: S | undefined = model.init
  for (const [place, number] of order.entries()) {
    const { from, operation } = intervals[number]!
    const rest = intervals.filter((_, other) => !order.slice(0, place + 1).includes(other))
    if (rest.some(({ to }) => to <= from)) return false
    state = state === undefined ? undefined : model.step(state, operation)
  }
  return state !== undefined && new Set(order).size === order.length
}

describe('known histories', () => {
  it.each<[string, boolean, Interval<Access>[]]>([
    ['nothing at all', true, []],
    ['a read of what was written', true, [at(1, 2, { write: 7 }), at(3, 4, { read: 7 })]],
    ['a stale read', false, [at(1, 2, { write: 7 }), at(3, 4, { read: 0 })]],
    ['a read of either beside a write', true, [at(1, 9, { write: 7 }), at(2, 3, { read: 0 }), at(4, 5, { read: 7 })]],
    [
      'a read that goes back beside a write',
      false,
      [at(1, 9, { write: 7 }), at(2, 3, { read: 7 }), at(4, 5, { read: 0 })],
    ],
    ['a write without an end that is seen much later', true, [at(1, NEVER, { write: 7 }), at(50, 60, { read: 7 })]],
    ['a write without an end that is never seen', true, [at(1, NEVER, { write: 7 }), at(50, 60, { read: 0 })]],
    [
      'a write without an end that is seen, and then not',
      false,
      [at(1, NEVER, { write: 7 }), at(50, 60, { read: 7 }), at(61, 62, { read: 0 })],
    ],
    ['a write that is seen before it is called', false, [at(1, 2, { read: 7 }), at(3, NEVER, { write: 7 })]],
    ['an operation that ends when another begins is before it', false, [at(1, 2, { write: 7 }), at(2, 3, { read: 0 })]],
  ])('%s', (_, valid, intervals) => {
    expect(linearize(register, intervals).valid).toBe(valid)
    expect(bruteForce(register, intervals)).toBe(valid)
  })

  it('of a queue: Herlihy and Wing (1990), figure 1', () => {
    const a = at<Queueing>(1, 4, { put: 1 })
    const b = at<Queueing>(2, 3, { put: 2 })
    expect(linearize(queue, [a, b, at(5, 8, { take: 1 }), at(6, 7, { take: 2 })]).valid).toBe(true)
    expect(linearize(queue, [a, b, at(5, 6, { take: 2 }), at(7, 8, { take: 1 })]).valid).toBe(true)
    const ordered = [at<Queueing>(1, 2, { put: 1 }), at<Queueing>(3, 4, { put: 2 })]
    expect(linearize(queue, [...ordered, at(5, 6, { take: 2 })]).valid).toBe(false)
    expect(linearize(queue, [a, at(5, 6, { take: 1 }), at(7, 8, { take: 1 })]).valid).toBe(false)
  })
})

describe('a violation', () => {
  it('is shown by the longest order there is, and the operation that cannot follow', () => {
    const intervals = [
      at<Queueing>(1, 2, { put: 1 }),
      at<Queueing>(3, 4, { put: 2 }),
      at<Queueing>(5, 6, { take: 1 }),
      at<Queueing>(7, 8, { take: null }),
      at<Queueing>(9, 10, { take: 2 }),
    ]
    expect(linearize(queue, intervals)).toEqual({ valid: false, prefix: [0, 1, 2], stuck: 3 })
  })
})

describe('the search', () => {
  it('remembers what it has tried: many operations at a time are no more than the states that they lead to', () => {
    const puts = Array.from({ length: 16 }, (_, i) => at<Access>(i + 1, 100, { write: i % 3 }))
    const read = at<Access>(101, 102, { read: 9 })
    // Without memory 16! orders.
    expect(linearize(register, [...puts, read], new Budget(5_000_000)).valid).toBe(false)
  })

  it('ends as unknown, never as valid, when its steps or its memory are used up', () => {
    const puts = Array.from({ length: 40 }, (_, i) => at<Queueing>(i + 1, 100, { put: i }))
    const history = [...puts, at<Queueing>(101, 102, { take: null })]
    expect(linearize(queue, history, new Budget(10_000)).valid).toBe('unknown')
    expect(linearize(queue, history, new Budget(10_000_000, 5_000)).valid).toBe('unknown')
  })

  it('walks long histories of few operations at a time', () => {
    const intervals: Interval<Queueing>[] = []
    for (let i = 0; i < 2000; i++) {
      intervals.push(at(4 * i, 4 * i + 3, { put: i }), at(4 * i + 1, 4 * i + 5, { take: i }))
    }
    expect(linearize(queue, intervals).valid).toBe(true)
  })

  it('refuses an operation that ends before it begins', () => {
    expect(() => linearize(queue, [at(2, 1, { put: 1 })])).toThrow(RangeError)
  })
})

const span = fc.record({ from: fc.nat({ max: 30 }), length: fc.integer({ min: 1, max: 12 }), ends: fc.nat({ max: 5 }) })

/** Operations that took effect somewhere in their intervals, in an order that the model made, and then perhaps one result changed. */
const queueHistory = fc.array(fc.tuple(span, fc.boolean()), { maxLength: 7 }).chain((rows) => {
  const state: number[] = []
  const sorted = rows
    .map(([{ from, length, ends }, isPut], i) => ({ i, from, to: from + length, isKnown: ends > 0, isPut }))
    .sort((a, b) => (a.from + a.to) / 2 - (b.from + b.to) / 2)
  const intervals = sorted.map(({ i, from, to, isKnown, isPut }): Interval<Queueing> => {
    let operation: Queueing = { put: i }
    if (isPut) state.push(i)
    else operation = { take: state.shift() ?? null }
    return { from, to: isKnown ? to : NEVER, operation }
  })
  return fc.record({
    intervals: fc.shuffledSubarray(intervals, { minLength: intervals.length }),
    changed: fc.option(fc.record({ which: fc.nat(), take: fc.option(fc.nat({ max: 6 }), { nil: null }) })),
  })
})

describe('random histories', () => {
  it('of a queue are judged as by trying every order, and the order that is told is one', () => {
    let valid = 0
    let invalid = 0
    fc.assert(
      fc.property(queueHistory, ({ intervals, changed }) => {
        const history = [...intervals]
        if (changed !== null && history.length > 0) {
          const which = changed.which % history.length
          history[which] = { ...history[which]!, operation: { take: changed.take } }
        }
        const verdict = linearize(queue, history)
        expect(verdict.valid).toBe(bruteForce(queue, history))
        if (verdict.valid === true) {
          valid++
          expect(isOrder(queue, history, verdict.order)).toBe(true)
          const missing = history.filter((each, i) => each.to !== NEVER && !verdict.order.includes(i))
          expect(missing).toEqual([])
        } else if (verdict.valid === false) {
          invalid++
          expect(isOrder(queue, history, verdict.prefix)).toBe(true)
          expect(verdict.prefix).not.toContain(verdict.stuck)
        }
      }),
      { numRuns: 3000 },
    )
    expect(Math.min(valid, invalid)).toBeGreaterThan(200)
  })

  it('of a register are judged as by trying every order', () => {
    const access = fc.oneof(
      fc.record({ write: fc.nat({ max: 2 }) }),
      fc.record({ read: fc.nat({ max: 2 }) }),
    ) as fc.Arbitrary<Access>
    const history = fc.array(fc.tuple(span, access), { maxLength: 6 })
    fc.assert(
      fc.property(history, (rows) => {
        const intervals = rows.map(([{ from, length, ends }, operation]) =>
          at(from, ends === 0 ? NEVER : from + length, operation),
        )
        expect(linearize(register, intervals).valid).toBe(bruteForce(register, intervals))
      }),
      { numRuns: 2000 },
    )
  })
})
