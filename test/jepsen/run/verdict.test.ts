import { describe, expect, it } from 'vitest'
import type { Nemesis } from '../../../jepsen-lite/nemesis.ts'
import type { FaultWindow } from '../../../jepsen-lite/run/result.ts'
import { bitesOf, type Evidence, verdictOf } from '../../../jepsen-lite/run/verdict.ts'

const window: FaultWindow = {
  number: 0,
  nemesis: 'kill',
  name: 'kill n1',
  from: 1,
  to: 2,
  what: 'n1',
  done: { kills: 1 },
}
const anomaly = { type: 'lost', message: '7 was acknowledged and never delivered', events: [3] }

/** Of a run in which everything is in order. */
const good: Evidence = {
  check: { valid: true, anomalies: [], counts: { lost: 0 } },
  anomalies: [],
  counts: { 'ok.publish': 500, 'info.publish': 3 },
  bite: [{ nemesis: 'kill', faults: 1, done: { kills: 1 } }],
  faults: [window],
  shortcomings: [],
}

describe('a verdict', () => {
  it('is valid when the checker says so, every nemesis bit and enough succeeded', () => {
    expect(verdictOf(good)).toEqual({
      valid: true,
      reasons: [],
      anomalies: [],
      counts: { 'ok.publish': 500, 'info.publish': 3, lost: 0 },
      bite: good.bite,
    })
  })

  const unknown: [string, Partial<Evidence>, string][] = [
    [
      'a nemesis did not bite',
      { bite: [{ ...good.bite[0]!, problem: 'nobody died' }] },
      'kill did not bite: nobody died',
    ],
    ['it did not end in good order', { shortcomings: ['3 slots were not drained'] }, '3 slots were not drained'],
    ['a fault could not begin', { faults: [{ ...window, error: 'kill n1 could not begin' }] }, 'could not begin'],
    [
      'the checker could not decide',
      { check: { valid: 'unknown', anomalies: [], counts: {}, reason: 'out of time' } },
      'could not decide: out of time',
    ],
  ]

  it.each(unknown)('is unknown when %s', (_, change, reason) => {
    const verdict = verdictOf({ ...good, ...change })
    expect(verdict.valid).toBe('unknown')
    expect(verdict.reasons).toEqual([expect.stringContaining(reason)])
  })

  it.each([
    ['the checker found an anomaly', { check: { valid: false as const, anomalies: [anomaly], counts: {} } }],
    ['the checker says invalid and nothing else', { check: { valid: false as const, anomalies: [], counts: {} } }],
    ['an anomaly was found beside the history', { anomalies: [{ type: 'crashed', message: 'n1', events: [] }] }],
    [
      'an anomaly comes with a checker that is not sure',
      {
        check: { valid: 'unknown' as const, anomalies: [anomaly], counts: {} },
      },
    ],
  ])('is invalid when %s, whatever else would make it unknown', (_, change) => {
    expect(verdictOf({ ...good, ...change }).valid).toBe(false)
    const verdict = verdictOf({ ...good, shortcomings: ['not drained'], counts: {}, ...change })
    expect(verdict.valid).toBe(false)
    expect(verdict.reasons.join()).not.toContain('not drained')
  })
})

describe('what a verdict stands on', () => {
  it('sums what the faults of each nemesis did, and lets the nemesis judge it', () => {
    const nemesis = (name: string): Nemesis => ({
      name,
      about: '',
      draw: () => {
        throw new Error('not asked')
      },
      bite: ({ kills = 0 }) => (kills >= 3 ? undefined : `${kills} kills`),
    })
    const windows = [window, { ...window, done: { kills: 2 } }, { ...window, nemesis: 'pause', done: { kills: 1 } }]
    expect(bitesOf([nemesis('kill'), nemesis('pause'), nemesis('cut')], windows)).toEqual([
      { nemesis: 'kill', faults: 2, done: { kills: 3 } },
      { nemesis: 'pause', faults: 1, done: { kills: 1 }, problem: '1 kills' },
      { nemesis: 'cut', faults: 0, done: {}, problem: 'none of its faults had a turn' },
    ])
  })
})
