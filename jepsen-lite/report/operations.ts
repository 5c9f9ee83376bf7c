/**
 * A history as operations: invocations joined with their completions, and what consumers told beside them. All figures and charts
 * of the report are made of these.
 */
import { type Event, NEMESIS } from '../history.ts'

export type Outcome = 'ok' | 'fail' | 'info'

export interface Span {
  readonly f: string
  readonly process: number | string
  /** Nanoseconds of the invocation and of the completion; of one that never completed, the end of the history. */
  readonly from: number
  readonly to: number
  /** An operation that never completed is info. */
  readonly type: Outcome
  /** Index of the invocation, and of the completion. */
  readonly invoked: number
  readonly completed: number | undefined
}

/** What a consumer told of itself, as that it was told a message: a completion that nobody invoked. */
export interface Told {
  readonly f: string
  readonly process: number | string
  readonly time: number
  readonly index: number
}

export interface Operations {
  /** In the order of their invocations. */
  readonly spans: readonly Span[]
  readonly told: readonly Told[]
  /** Names of operations, most frequent first; behind them those of what only consumers told. */
  readonly names: readonly string[]
}

export function operationsOf(history: readonly Event[]): Operations {
  const end = history.at(-1)?.time ?? 0
  const open = new Map<number | string, number>()
  const spans: (Span | Event)[] = []
  const told: Told[] = []
  const frequency = new Map<string, number>()
  const toldFrequency = new Map<string, number>()
  for (const event of history) {
    if (event.process === NEMESIS) continue
    if (event.type === 'invoke') {
      open.set(event.process, spans.length)
      spans.push(event)
      frequency.set(event.f, (frequency.get(event.f) ?? 0) + 1)
      continue
    }
    const place = open.get(event.process)
    if (place === undefined) {
      told.push({ f: event.f, process: event.process, time: event.time, index: event.index })
      toldFrequency.set(event.f, (toldFrequency.get(event.f) ?? 0) + 1)
      continue
    }
    open.delete(event.process)
    spans[place] = spanOf(spans[place] as Event, event.time, event.type, event.index)
  }
  for (const place of open.values()) spans[place] = spanOf(spans[place] as Event, end, 'info', undefined)
  // A process that was given a second operation while its first was open (a defect of the harness) leaves the first without an end.
  const whole = spans.map((each) => ('invoked' in each ? each : spanOf(each, end, 'info', undefined)))
  const names = [...new Set([...byFrequency(frequency), ...byFrequency(toldFrequency)])]
  return { spans: whole, told, names }
}

function byFrequency(frequency: ReadonlyMap<string, number>): string[] {
  return [...frequency].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([name]) => name)
}

function spanOf(invocation: Event, to: number, type: Outcome, completed: number | undefined): Span {
  const { f, process, time, index } = invocation
  return { f, process, from: time, to: Math.max(time, to), type, invoked: index, completed }
}
