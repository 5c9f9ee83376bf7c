/**
 * Operations by process: a line for each client, a bar for each operation from its invocation to its completion. Bars that touch are drawn
 * as one; a process that was retired shares its line with those that took its place.
 */
import type { Operations, Outcome, Span } from '../operations.ts'
import type { Stretch } from '../windows.ts'
import { plural } from './format.ts'
import { shaded, timeAxis } from './lanes.ts'
import { type Content, html, type Markup } from './markup.ts'
import { OUTCOMES } from './points.ts'
import { round, row, type Scale, svg, WIDTH } from './scale.ts'

/** Few lines stand apart, so that each can be named. */
const FEW = 16
/** Lines that are drawn. */
const LINES_MAX = 64
/** Bars of one outcome that are drawn in all lines together. */
const BARS_MAX = 12_000

function lineHeight(lines: number): number {
  return lines <= FEW ? 14 : 8
}

export interface Line {
  readonly name: string
  readonly spans: readonly Span[]
  /** Moments of what a consumer told. */
  readonly told: readonly number[]
}

/** Lines of clients in the order of their numbers, then those of consumers by name. */
export function linesOf(operations: Operations, concurrency: number): Line[] {
  const lines = new Map<number | string, { name: string; spans: Span[]; told: number[] }>()
  const lineOf = (process: number | string) => {
    // A consumer whose client was lost comes again under the same name with another number behind it.
    const key = typeof process === 'number' ? process % Math.max(1, concurrency) : process.replace(/#\d+$/, '')
    const line = lines.get(key) ?? { name: String(key), spans: [], told: [] }
    lines.set(key, line)
    return line
  }
  for (const span of operations.spans) lineOf(span.process).spans.push(span)
  for (const { process, time } of operations.told) lineOf(process).told.push(time)
  const rank = (key: number | string) => (typeof key === 'number' ? key : Number.MAX_SAFE_INTEGER)
  return [...lines].sort(([a], [b]) => rank(a) - rank(b) || (String(a) < String(b) ? -1 : 1)).map(([, line]) => line)
}

export function processes(lines: readonly Line[], scale: Scale): Markup {
  const shown = lines.slice(0, LINES_MAX)
  const left = lines.length - shown.length
  const about = `operations of ${plural(lines.length, 'process', 'processes')} over time`
  const height = heightOf(shown.length)
  const chart = row(
    lineLabels(shown),
    height,
    svg(height, about, [shaded(height), ...lineBars(shown, scale, BARS_MAX)]),
  )
  const more = left > 0 ? `; ${plural(left, 'line')} more not drawn` : ''
  return html`<section class="panel"><h3>By process <small>a line for each client or consumer, a bar for each operation${more}</small></h3>${chart}${timeAxis(scale)}</section>`
}

export function heightOf(lines: number): number {
  return lines * lineHeight(lines) + 4
}

/** Every line's name if there are few, else every fifth one's. */
export function lineLabels(lines: readonly Line[]): Content {
  return lines.map(({ name }, i) =>
    lines.length <= FEW || i % 5 === 0 ? html`<span style="top:${middle(i, lines.length)}px">${name}</span>` : '',
  )
}

function middle(i: number, lines: number): number {
  return (i + 0.5) * lineHeight(lines) + 2
}

/** The bars of lines one under the other, as one path for each outcome; at most about so many of each. */
export function lineBars(lines: readonly Line[], scale: Scale, most: number): Content[] {
  const cells = Math.min(WIDTH, Math.ceil(most / Math.max(1, lines.length)))
  const outcomes = OUTCOMES.map((outcome) => {
    const d = lines.map(({ spans }, i) => barsOf(spans, outcome, scale, cells, middle(i, lines.length))).join('')
    return d === '' ? '' : html`<path class="${outcome}-bar" d="${d}"/>`
  })
  const told = lines.map(({ told: times }, i) => dotsOf(times, scale, cells, middle(i, lines.length))).join('')
  return [...outcomes, told === '' ? '' : html`<path class="told" d="${told}"/>`]
}

/** Of spans in the order of their beginning: bars on a grid of so many cells, touching ones joined. */
function barsOf(spans: readonly Span[], outcome: Outcome, scale: Scale, cells: number, y: number): string {
  const joined: Stretch[] = []
  for (const { from, to, type } of spans) {
    if (type !== outcome || to < scale.from || from > scale.to) continue
    const first = Math.floor((scale.x(from) / WIDTH) * cells)
    const last = Math.max(first + 1, Math.ceil((scale.x(to) / WIDTH) * cells))
    const before = joined.at(-1)
    if (before !== undefined && first <= before.to)
      joined[joined.length - 1] = { from: before.from, to: Math.max(before.to, last) }
    else joined.push({ from: first, to: last })
  }
  const x = (cell: number) => round((cell / cells) * WIDTH)
  return joined.map(({ from, to }) => `M${x(from)} ${y}H${x(to)}`).join('')
}

function dotsOf(times: readonly number[], scale: Scale, cells: number, y: number): string {
  const taken = new Set<number>()
  for (const time of times)
    if (time >= scale.from && time <= scale.to) taken.add(Math.floor((scale.x(time) / WIDTH) * cells))
  return [...taken].map((cell) => `M${round((cell / cells) * WIDTH)} ${y}h0`).join('')
}
