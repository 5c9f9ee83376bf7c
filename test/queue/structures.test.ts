import { describe, expect, it } from 'vitest'
import { Fifo } from '../../node/queue/fifo.ts'
import { MessageHeap } from '../../node/queue/message-heap.ts'
import { OpenDeliveries } from '../../node/queue/open-deliveries.ts'
import { ReadyMessages } from '../../node/queue/ready-messages.ts'
import { holdsRun, intersectRuns, normalizeRuns, type Run } from '../../node/queue/runs.ts'
import { Timer, TimerHeap } from '../../node/queue/timers.ts'
import { fc } from '../support/property.ts'

describe('ready messages', () => {
  it('come out as they went in, whatever the sizes of the runs', () => {
    const step = fc.record({ push: fc.nat({ max: 9000 }), take: fc.nat({ max: 9000 }) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const messages = new ReadyMessages()
        let expected: string[] = []
        for (const [i, { push, take }] of steps.entries()) {
          if (push > 0) messages.pushRun(i + 1, i * 3, push)
          for (let n = 0; n < push; n++) expected.push(`${i + 1}/${i * 3 + n}`)
          const taken: string[] = []
          for (let n = 0; n < take && messages.length > 0; n++) {
            taken.push(`${messages.index}/${messages.position}`)
            messages.shift()
          }
          const left: string[] = []
          messages.forEachRun((index, first, count) => {
            for (let n = 0; n < count; n++) left.push(`${index}/${first + n}`)
          })
          expect(messages.length).toBe(left.length)
          expect([...taken, ...left].join()).toBe(expected.join())
          expected = left
        }
      }),
      { numRuns: 20 },
    )
  })

  it('hold positions up to the largest u32 and indexes beyond it', () => {
    const messages = new ReadyMessages()
    messages.pushRun(2 ** 40, 2 ** 32 - 2, 2)
    messages.shift()
    expect([messages.index, messages.position]).toEqual([2 ** 40, 2 ** 32 - 1])
  })
})

describe('the heap of returned messages', () => {
  it('gives them in order of time and place, whatever the order of their return', () => {
    const row = fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 4 }), fc.nat({ max: 2000 }), fc.integer({ min: 1, max: 9 }))
    const isBefore = (a: number[], b: number[]) => a[0]! - b[0]! || a[1]! - b[1]! || a[2]! - b[2]!
    fc.assert(
      fc.property(
        fc.uniqueArray(row, { selector: (r) => r.slice(0, 3).join() }),
        fc.nat({ max: 40 }),
        (rows, taken) => {
          const heap = new MessageHeap()
          for (const each of rows) heap.push(...each)
          const expected = [...rows].sort(isBefore)
          for (let i = 0; i < taken && heap.length > 0; i++) {
            expect([heap.dueMs, heap.index, heap.position, heap.attempts]).toEqual(expected.shift())
            heap.shift()
          }
          const seen: number[][] = []
          const copy = heap.capture()
          for (; copy !== undefined && copy.length > 0; copy.shift()) {
            seen.push([copy.dueMs, copy.index, copy.position, copy.attempts])
          }
          expect(seen).toEqual(expected)
        },
      ),
    )
  })
})

describe('open deliveries', () => {
  it('find, keep and forget what a map would', () => {
    const step = fc.oneof(
      fc.record({ add: fc.integer({ min: 1, max: 20 }) }),
      fc.record({ find: fc.nat({ max: 200 }), remove: fc.integer({ min: 0, max: 15 }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const open = new OpenDeliveries()
        const expected = new Map<number, number>()
        let next = 1
        for (const each of steps) {
          if ('add' in each) {
            for (let i = 0; i < each.add; i++, next++) {
              open.add(next, next * 10, next * 7, 1 + (next % 3), next * 2)
              expected.set(next, next)
            }
            continue
          }
          const first = open.lowerBound(each.find)
          for (let row = first; row < Math.min(first + each.remove, open.endRow); row++) {
            if (!open.isOpen(row)) continue
            expect(open.deliveryAt(row)).toBeGreaterThanOrEqual(each.find)
            expected.delete(open.deliveryAt(row))
            open.remove(row)
          }
          expect(open.size).toBe(expected.size)
          const seen: number[] = []
          for (let row = open.startRow; row < open.endRow; row++) if (open.isOpen(row)) seen.push(open.deliveryAt(row))
          expect(seen).toEqual([...expected.keys()])
          for (const delivery of seen) {
            const row = open.lowerBound(delivery)
            expect([open.deliveryAt(row), open.indexAt(row), open.positionAt(row)]).toEqual([
              delivery,
              delivery * 10,
              delivery * 7,
            ])
            expect([open.attemptAt(row), open.deadlineAt(row)]).toEqual([1 + (delivery % 3), delivery * 2])
          }
        }
      }),
    )
  })

  it('are captured as they are, whatever is added, settled or moved afterwards', () => {
    /** Flat, and compared by hand: each capture is looked at after each step, and that took the framework half a minute on a busy machine. */
    const numbersOf = (of: OpenDeliveries) => {
      const numbers: number[] = []
      for (let row = of.startRow; row < of.endRow; row++) {
        if (of.isOpen(row)) numbers.push(of.deliveryAt(row), of.indexAt(row), of.attemptAt(row), of.deadlineAt(row))
      }
      return numbers
    }
    const areEqual = (some: readonly number[], others: readonly number[]) =>
      some.length === others.length && some.every((number, i) => number === others[i])
    const step = fc.oneof(
      fc.record({ add: fc.integer({ min: 1, max: 20 }) }),
      fc.record({ at: fc.nat({ max: 60 }), remove: fc.boolean() }),
      fc.constant({ capture: true }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
        const open = new OpenDeliveries()
        const captures: [OpenDeliveries, number[]][] = []
        let next = 1
        for (const each of steps) {
          if ('add' in each) {
            for (let i = 0; i < each.add; i++, next++) open.add(next, next * 10, next * 7, 1 + (next % 3), next * 2)
          } else if ('at' in each) {
            const row = open.startRow + each.at
            if (row >= open.endRow || !open.isOpen(row)) continue
            if (each.remove) open.remove(row)
            else open.setDeadline(row, 5)
          } else {
            const captured = open.capture()
            expect(captured === undefined).toBe(open.size === 0)
            if (captured !== undefined) captures.push([captured, numbersOf(open)])
          }
          for (const [captured, then] of captures)
            if (!areEqual(numbersOf(captured), then)) expect(numbersOf(captured)).toEqual(then)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('are not squeezed where a capture reads them', () => {
    const open = new OpenDeliveries()
    for (let delivery = 1; delivery <= 16; delivery++) open.add(delivery, delivery, 0, 1, 0)
    for (let row = 1; row < 12; row++) open.remove(row)
    const captured = open.capture()!
    open.add(17, 17, 0, 1, 0)
    const deliveries: number[] = []
    for (let row = captured.startRow; row < captured.endRow; row++) {
      if (captured.isOpen(row)) deliveries.push(captured.deliveryAt(row))
    }
    expect(deliveries).toEqual([1, 13, 14, 15, 16])
  })

  it('take memory for what is open, however long the oldest stays so', () => {
    const open = new OpenDeliveries()
    open.add(1, 1, 1, 1, 1)
    for (let delivery = 2; delivery < 100_000; delivery++) {
      open.add(delivery, 1, 1, 1, 1)
      open.remove(open.lowerBound(delivery))
    }
    expect(open.size).toBe(1)
    expect(open.endRow).toBeLessThanOrEqual(16)
  })
})

describe('timers', () => {
  it('run in order of time, rank and id, however they were set, moved and stopped', () => {
    const step = fc.record({ timer: fc.nat({ max: 19 }), atMs: fc.nat({ max: 8 }), action: fc.nat({ max: 3 }) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const heap = new TimerHeap<string>()
        const timers = Array.from({ length: 20 }, (_, i) => new Timer(`t${i}`, i % 3, i))
        for (const { timer: i, atMs, action } of steps) {
          const timer = timers[i]!
          if (action === 0) heap.stop(timer)
          else if (action === 1) heap.setNoLater(timer, atMs)
          else heap.set(timer, atMs)
        }
        const running = timers.filter((timer) => timer.slot >= 0)
        running.sort((a, b) => a.atMs - b.atMs || a.rank - b.rank || a.id - b.id)
        for (const timer of running) {
          expect(heap.first).toBe(timer)
          heap.stop(timer)
        }
        expect(heap.first).toBeUndefined()
      }),
    )
  })

  it('are moved earlier by setNoLater, never later', () => {
    const heap = new TimerHeap<string>()
    const timer = new Timer('t', 0, 0)
    for (const [atMs, expected] of [
      [5, 5],
      [7, 5],
      [3, 3],
    ] as const) {
      heap.setNoLater(timer, atMs)
      expect(timer.atMs).toBe(expected)
    }
  })
})

describe('runs', () => {
  const runs = fc.array(fc.tuple(fc.integer({ min: 1, max: 30 }), fc.nat({ max: 8 })), { maxLength: 8 })
  const setOf = (list: readonly Run[]) =>
    new Set(list.flatMap(([first, count]) => Array.from({ length: count }, (_, i) => first + i)))

  it('hold, once normalized, the same numbers, sorted and apart', () => {
    fc.assert(
      fc.property(runs, (list) => {
        const normal = normalizeRuns(list)
        expect(setOf(normal)).toEqual(new Set([...setOf(list)].sort((a, b) => a - b)))
        for (const [i, [first]] of normal.entries()) {
          if (i > 0) expect(first).toBeGreaterThan(normal[i - 1]![0] + normal[i - 1]![1])
        }
        for (let number = 0; number < 50; number++) expect(holdsRun(normal, number)).toBe(setOf(list).has(number))
      }),
    )
  })

  it('intersect like sets', () => {
    fc.assert(
      fc.property(runs, runs, (a, b) => {
        const both = setOf(intersectRuns(normalizeRuns(a), normalizeRuns(b)))
        expect([...both]).toEqual([...setOf(a)].filter((number) => setOf(b).has(number)).sort((x, y) => x - y))
      }),
    )
  })
})

describe('a fifo', () => {
  it('gives what it got, in order', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 6 }), { maxLength: 40 }), (steps) => {
        const fifo = new Fifo<number>()
        const expected: number[] = []
        for (const [i, n] of steps.entries()) {
          if (n > 3) {
            fifo.shift()
            expected.shift()
          } else {
            for (let k = 0; k < n; k++) {
              fifo.push(i)
              expected.push(i)
            }
          }
          expect([fifo.length, fifo.first, [...fifo]]).toEqual([expected.length, expected[0], expected])
        }
      }),
    )
  })
})
