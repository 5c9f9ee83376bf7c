import { describe, expect, it } from 'vitest'
import { countOf, eventsOf, fields, isDrained, operationsOf, resultOf } from '../../../jepsen-lite/check/operations.ts'
import { Story } from './story.ts'

describe('operations of a history', () => {
  const { history } = new Story()
    .invoke(0, 'publish', 'a')
    .invoke(1, 'publish', 'b')
    .tell('consumer', 'deliver', {})
    .ok(1)
    .info(0)
    .did(1, 'drain', null)
    .invoke(1, 'publish', 'c')

  it('pairs each invocation with its end, across those of other processes', () => {
    expect(operationsOf(history).map((each) => [each.f, each.process, each.type, ...eventsOf(each)])).toEqual([
      ['publish', 0, 'info', 0, 4],
      ['publish', 1, 'ok', 1, 3],
      ['drain', 1, 'ok', 5, 6],
      ['publish', 1, 'info', 7],
    ])
  })

  it('lets what is info take effect at any time, what is ok before its end', () => {
    expect(operationsOf(history).map(({ from, to }) => [from, to])).toEqual([
      [0, Number.POSITIVE_INFINITY],
      [1, 3],
      [5, 6],
      [7, Number.POSITIVE_INFINITY],
    ])
  })

  it('counts what became of operations', () => {
    expect(countOf(operationsOf(history), 'publish')).toEqual({ publishOk: 1, publishFail: 0, publishInfo: 2 })
  })

  it('knows whether every slot was drained', () => {
    expect(isDrained(operationsOf(history), 1)).toBe(true)
    expect(isDrained(operationsOf(history), 2)).toBe(false)
  })
})

it('takes no fields from what has none', () => {
  expect([null, 1, 'a', [1]].map(fields)).toEqual([{}, {}, {}, {}])
})

describe('a result', () => {
  const anomaly = { type: 'lost', message: 'it is gone', events: [1] }

  it('is invalid with an anomaly, drained or not', () => {
    expect(resultOf([anomaly], {}, true).valid).toBe(false)
    expect(resultOf([anomaly], {}, false).valid).toBe(false)
  })

  it('is valid only when the queues were drained', () => {
    expect(resultOf([], {}, true).valid).toBe(true)
    expect(resultOf([], {}, false)).toMatchObject({ valid: 'unknown', reason: expect.stringContaining('not drained') })
  })
})
