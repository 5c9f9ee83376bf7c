import { describe, expect, it } from 'vitest'
import { contextOf } from '../../../jepsen-lite/report/context.ts'
import {
  activeAt,
  electionsOf,
  lanesOf,
  leadershipsOf,
  spanOfRun,
  unreadyOf,
} from '../../../jepsen-lite/report/windows.ts'
import type { FaultWindow, WatchSample } from '../../../jepsen-lite/run/result.ts'
import { syntheticRun } from './synthetic.ts'

const fault = (number: number, nemesis: string, from: number, to: number): FaultWindow => ({
  number,
  nemesis,
  name: `${nemesis} ${number}`,
  from,
  to,
  what: '',
  done: {},
})

const sample = (
  time: number,
  leader: string | undefined,
  term: number,
  ready: readonly string[] = ['n1', 'n2'],
): WatchSample => ({
  time,
  leader,
  term,
  ready,
})

describe('Fault windows', () => {
  const faults = [fault(0, 'kill', 10, 20), fault(1, 'pause', 15, 30), fault(2, 'kill', 40, 50)]

  it('lie in a lane for each nemesis that did anything, in the order of the settings', () => {
    const { settings } = syntheticRun()
    const lanes = lanesOf({ faults, settings: { ...settings, nemeses: ['partition', 'pause', 'kill'] } })
    expect(lanes.map(({ nemesis, windows }) => [nemesis, windows.map(({ number }) => number)])).toEqual([
      ['pause', [1]],
      ['kill', [0, 2]],
    ])
  })

  it('hold from their beginning to their end, several at once', () => {
    const numbers = (time: number) => activeAt(faults, time).map(({ number }) => number)
    expect(numbers(9)).toEqual([])
    expect(numbers(10)).toEqual([0])
    expect(numbers(18)).toEqual([0, 1])
    expect(numbers(30)).toEqual([1])
    expect(numbers(35)).toEqual([])
  })
})

describe('Leaders over time', () => {
  const watch = [
    sample(0, 'n1', 1),
    sample(10, 'n1', 1),
    sample(20, undefined, 1, ['n2']),
    sample(30, 'n2', 3, ['n2']),
    sample(40, 'n2', 4),
    sample(50, 'n2', 4),
  ]

  it('follow each other without a gap, also when nobody leads or the same node is elected again', () => {
    expect(leadershipsOf(watch)).toEqual([
      { leader: 'n1', term: 1, from: 0, to: 20 },
      { leader: undefined, term: 1, from: 20, to: 30 },
      { leader: 'n2', term: 3, from: 30, to: 40 },
      { leader: 'n2', term: 4, from: 40, to: 50 },
    ])
    expect(electionsOf(watch)).toBe(3)
  })

  it('stand beside the times in which nodes were not ready', () => {
    expect(unreadyOf(watch, 'n1')).toEqual([{ from: 20, to: 40 }])
    expect(unreadyOf(watch, 'n2')).toEqual([])
    expect(unreadyOf(watch, 'n3')).toEqual([{ from: 0, to: 50 }])
  })

  it('are none when nobody watched', () => {
    expect(leadershipsOf([])).toEqual([])
    expect(electionsOf([])).toBe(0)
  })
})

describe('The time that charts show', () => {
  it('begins with the first event and ends with the last of events, faults and phases', () => {
    const run = syntheticRun()
    const span = spanOfRun(run)
    expect(span.from).toBe(run.history[0]!.time)
    expect(span.to).toBe(run.phases.find(({ name }) => name === 'drain')!.to)
  })

  it('has a length, whatever is missing', () => {
    expect(spanOfRun({ history: [], phases: [], faults: [] })).toEqual({ from: 0, to: 1 })
  })
})

describe('The context of an anomaly', () => {
  const { history } = syntheticRun()
  const anomaly = (events: readonly number[]) => ({ type: 'lost', message: '', events })

  it('is the events before and after, the ones that show it marked, and their other ends', () => {
    const { parts } = contextOf(history, anomaly([100]), new Map([[100, 120]]), 12)
    expect(parts.map(({ rows }) => rows.map(({ event }) => event.index))).toEqual([
      [96, 97, 98, 99, 100, 101, 102, 103, 104],
      [116, 117, 118, 119, 120, 121, 122, 123, 124],
    ])
    expect(parts.flatMap(({ rows }) => rows.filter(({ marked }) => marked).map(({ event }) => event.index))).toEqual([
      100, 120,
    ])
    expect(parts.map(({ skipped }) => skipped)).toEqual([96, 11])
  })

  it('joins what overlaps, and stops at both ends of the history', () => {
    const last = history.length - 1
    const { parts } = contextOf(history, anomaly([0, 3, last]), new Map(), 12)
    expect(parts.map(({ rows }) => rows.length)).toEqual([8, 5])
    expect(parts[0]).toMatchObject({ skipped: 0 })
  })

  it('shows so many events and says how many it leaves out; events that are not there are none', () => {
    const many = Array.from({ length: 17 }, (_, i) => i * 20)
    expect(contextOf(history, anomaly([...many, 1e9, -1]), new Map(), 12).omitted).toBe(5)
    expect(contextOf(history, anomaly([1e9]), new Map(), 12).parts).toEqual([])
  })
})
