import { describe, expect, it } from 'vitest'
import type { Event } from '../../../jepsen-lite/history.ts'
import { countsOf, type Operated, shortfallsOf } from '../../../jepsen-lite/run/floors.ts'
import type { FaultWindow } from '../../../jepsen-lite/run/result.ts'

const S = 1e9
const END = 70

function fault(name: string, from: number, to: number): FaultWindow {
  return { number: 0, nemesis: 'kill', name, from: from * S, to: to * S, what: '', done: {} }
}

/** Publishes that succeed, each a tenth of a second long and so many a second, while `when` says so of the second of their beginning. */
function publishes(perSecond: number, when: (second: number) => boolean): Event[] {
  const history: Event[] = []
  const add = (time: number, type: Event['type']) =>
    history.push({ index: history.length, time, process: 0, type, f: 'publish', value: null })
  for (let i = 0; i < END * perSecond; i++) {
    const second = i / perSecond
    if (!when(second)) continue
    add(second * S, 'invoke')
    add((second + 0.1) * S, 'ok')
  }
  return history
}

/** Quiet: 0–5, 10–14, 16–18, 30–34 s; and 65–70 s, before the heal. */
const faults = [
  fault('kill a', 5, 10),
  fault('kill b', 14, 16),
  fault('kill c', 18, 30),
  fault('kill d', 20, 22),
  fault('kill e', 34, 65),
]
const workload = { floors: { publish: 60 }, pulse: 'publish' }

function operated(change: Partial<Operated> = {}): Operated {
  return { history: publishes(2, () => true), workload, from: 0, to: END * S, faults, ...change }
}

const within = (from: number, to: number) => (second: number) => second >= from && second < to

describe('what a run has too little of', () => {
  it('is nothing when enough succeeded under faults and in every quiet time', () => {
    expect(shortfallsOf(operated())).toEqual([])
  })

  it('is told when the floor was met by what came before the first fault and after the last one', () => {
    const isQuiet = (second: number) => within(0, 4.9)(second) || within(65, 70)(second)
    const history = [...publishes(60, isQuiet), ...publishes(1, within(10, 14)), ...publishes(1, within(30, 34))]
    expect(shortfallsOf(operated({ history }))).toEqual([
      'only 8 of at least 60 publish succeeded under faults, in 60.0 s',
    ])
  })

  it('is measured over the whole time when there are no faults', () => {
    expect(shortfallsOf(operated({ faults: [], history: publishes(1, () => true) }))).toEqual([])
    const few = publishes(1, (second) => second % 2 === 0)
    expect(shortfallsOf(operated({ faults: [], history: few }))).toEqual([
      'only 35 of at least 70 publish succeeded, in 70.0 s',
    ])
  })

  it('counts what consumers tell, too, and nothing that did not succeed', () => {
    const told = (process: number | string, type: Event['type']): Event[] =>
      Array.from({ length: 60 }, (_, i) => ({ index: i, time: 20 * S, process, type, f: 'settled', value: null }))
    const floors = { settled: 60 }
    const history = operated().history
    const settled = (more: Event[]) => operated({ history: [...history, ...more], workload: { ...workload, floors } })
    expect(shortfallsOf(settled(told('c1', 'ok')))).toEqual([])
    for (const more of [told(1, 'info'), told(1, 'fail'), told(1, 'invoke'), []]) {
      expect(shortfallsOf(settled(more))).toEqual([expect.stringContaining('only 0 of at least 60 settled')])
    }
  })

  it.each([
    ['before the first fault', 0, 5],
    ['after kill a', 10, 14],
    ['after kill c', 30, 34],
    ['after kill e', 65, 70],
  ])('is a quiet time %s in which nothing succeeded', (when, from, to) => {
    const history = publishes(2, (second) => !within(from, to)(second))
    expect(shortfallsOf(operated({ history }))).toEqual([
      `no publish was begun and succeeded in the quiet time ${when}, from ${from}.0 s to ${to}.0 s`,
    ])
  })

  it('is not a quiet time so short that the cluster may not have come back in it', () => {
    const history = publishes(2, (second) => !within(16, 18)(second))
    expect(shortfallsOf(operated({ history }))).toEqual([])
  })

  it.each([
    ['was begun under the fault before', 9.95, 12],
    ['ended under the fault after', 12, 14.5],
  ])('is a quiet time in which all that succeeded %s', (_, from, to) => {
    const rest = publishes(2, (second) => !within(9.9, 14)(second))
    const other = { process: 1, f: 'publish', value: null, index: 0 }
    const history: Event[] = [
      ...rest,
      { ...other, type: 'invoke', time: from * S },
      { ...other, type: 'ok', time: to * S },
    ]
    expect(shortfallsOf(operated({ history }))).toEqual([expect.stringContaining('quiet time after kill a')])
  })

  it('is a quiet time in which other operations succeeded than the one that takes a leader', () => {
    const history = publishes(2, (second) => !within(10, 14)(second)).concat(
      publishes(2, within(10, 14)).map((event) => ({ ...event, process: 1, f: 'away' })),
    )
    expect(shortfallsOf(operated({ history }))).toEqual([expect.stringContaining('quiet time after kill a')])
  })
})

it('counts are of how operations ended, without invocations and faults', () => {
  const event = (process: number | string, type: Event['type'], f: string): Event => {
    return { index: 0, time: 0, process, type, f, value: null }
  }
  const history = [
    event(1, 'invoke', 'publish'),
    event(1, 'ok', 'publish'),
    event(1, 'invoke', 'publish'),
    event(1, 'info', 'publish'),
    event('c1', 'ok', 'deliver'),
    event('nemesis', 'info', 'kill'),
  ]
  expect(countsOf(history)).toEqual({ 'ok.publish': 1, 'info.publish': 1, 'ok.deliver': 1 })
})
