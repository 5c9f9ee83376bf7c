import { describe, expect, it } from 'vitest'
import type { Event, EventType } from '../../../jepsen-lite/history.ts'
import { figuresOf, gapsOf, quantilesOf } from '../../../jepsen-lite/report/figures.ts'
import { operationsOf } from '../../../jepsen-lite/report/operations.ts'

/** `[milliseconds, process, type, f]` each. */
function historyOf(...rows: readonly (readonly [number, number | string, EventType, string])[]): Event[] {
  return rows.map(([ms, process, type, f], index) => ({ index, time: ms * 1e6, process, type, f, value: null }))
}

const ALWAYS = Number.POSITIVE_INFINITY

describe('Operations', () => {
  it('are invocations with their completions', () => {
    const { spans } = operationsOf(
      historyOf([0, 0, 'invoke', 'a'], [1, 1, 'invoke', 'b'], [5, 0, 'ok', 'a'], [9, 1, 'fail', 'b']),
    )
    expect(spans).toEqual([
      { f: 'a', process: 0, from: 0, to: 5e6, type: 'ok', invoked: 0, completed: 2 },
      { f: 'b', process: 1, from: 1e6, to: 9e6, type: 'fail', invoked: 1, completed: 3 },
    ])
  })

  it('that never completed are unknown, to the end of the history', () => {
    const { spans } = operationsOf(historyOf([0, 0, 'invoke', 'a'], [3, 1, 'invoke', 'a'], [8, 1, 'ok', 'a']))
    expect(spans[0]).toMatchObject({ type: 'info', to: 8e6, completed: undefined })
  })

  it('leave out the nemesis, and tell what consumers told apart', () => {
    const { spans, told, names } = operationsOf(
      historyOf(
        [0, 'nemesis', 'info', 'kill'],
        [1, 'c', 'ok', 'deliver'],
        [2, 'c', 'ok', 'deliver'],
        [3, 0, 'invoke', 'a'],
      ),
    )
    expect(spans.map(({ f }) => f)).toEqual(['a'])
    expect(told.map(({ index }) => index)).toEqual([1, 2])
    expect(names).toEqual(['a', 'deliver'])
  })
})

describe('The time without an ok', () => {
  it('goes from one ok to the next while operations wait', () => {
    const history = historyOf(
      [0, 0, 'invoke', 'a'],
      [10, 0, 'ok', 'a'],
      [20, 0, 'invoke', 'a'],
      [25, 1, 'invoke', 'a'],
      [30, 0, 'ok', 'a'],
      [530, 1, 'ok', 'a'],
    )
    expect(gapsOf(history, ALWAYS).get('a')).toEqual({ longestMs: 500, longestFrom: 30e6, count: 1, totalMs: 500 })
  })

  it('holds the pauses between attempts that fail', () => {
    const history = historyOf(
      [0, 0, 'invoke', 'a'],
      [1, 0, 'fail', 'a'],
      [200, 0, 'invoke', 'a'],
      [201, 0, 'info', 'a'],
      [400, 1, 'invoke', 'a'],
      [402, 1, 'ok', 'a'],
    )
    expect(gapsOf(history, ALWAYS).get('a')).toMatchObject({ longestMs: 402, count: 1 })
  })

  it('does not hold the time in which nobody asks', () => {
    const history = historyOf([0, 0, 'invoke', 'a'], [1, 0, 'ok', 'a'], [5000, 0, 'invoke', 'a'], [5002, 0, 'ok', 'a'])
    expect(gapsOf(history, ALWAYS).get('a')).toEqual({ longestMs: 2, longestFrom: 5000e6, count: 0, totalMs: 0 })
  })

  it('goes on to the end when no ok follows', () => {
    const history = historyOf(
      [0, 0, 'invoke', 'a'],
      [1, 0, 'ok', 'a'],
      [5, 0, 'invoke', 'a'],
      [700, 1, 'invoke', 'b'],
      [800, 1, 'ok', 'b'],
    )
    expect(gapsOf(history, ALWAYS).get('a')).toMatchObject({ longestMs: 795, longestFrom: 5e6 })
  })

  it('is counted for each kind of operation by itself, and of the time under faults', () => {
    const history = historyOf(
      [0, 0, 'invoke', 'a'],
      [1, 1, 'invoke', 'b'],
      [150, 1, 'ok', 'b'],
      [300, 0, 'ok', 'a'],
      [1000, 0, 'invoke', 'a'],
      [3000, 0, 'ok', 'a'],
    )
    const gaps = gapsOf(history, 900e6)
    expect(gaps.get('a')).toMatchObject({ longestMs: 300, count: 1, totalMs: 300 })
    expect(gaps.get('b')).toMatchObject({ longestMs: 149, count: 1 })
  })
})

describe('Figures', () => {
  it('count outcomes, and take latency from those that are ok', () => {
    const history = historyOf(
      [0, 0, 'invoke', 'a'],
      [4, 0, 'ok', 'a'],
      [5, 0, 'invoke', 'a'],
      [905, 0, 'fail', 'a'],
      [906, 0, 'invoke', 'a'],
      [907, 'c', 'ok', 'deliver'],
    )
    const [a, deliver] = figuresOf(history, operationsOf(history), ALWAYS)
    expect(a).toMatchObject({ f: 'a', ok: 1, fail: 1, info: 1, told: 0, latencyMs: { p50: 4, max: 4 } })
    expect(deliver).toMatchObject({ f: 'deliver', ok: 0, told: 1, latencyMs: undefined })
  })

  it('have the quantiles that sorting by hand gives', () => {
    const values = Array.from({ length: 200 }, (_, i) => ((i * 7919) % 200) + 1)
    expect(quantilesOf(values)).toEqual({ p50: 100, p90: 180, p99: 198, max: 200 })
    expect(quantilesOf([10, 9])).toEqual({ p50: 9, p90: 10, p99: 10, max: 10 })
    expect(quantilesOf([])).toBeUndefined()
  })
})
