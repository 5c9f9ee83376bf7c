/**
 * Operations by process: a line for each client, a bar for each operation from its invocation to its completion. Bars that touch are drawn
 * as one; a process that was retired shares its line with those that took its place.
 */
import type { Operations, Outcome, Span } from '../operations.ts'
import type { Stretch } from '../windows.ts'
import { plural } from './format.ts'
import { shaded } from './lanes.ts'
import { type Content, html, type Markup } from './markup.ts'
import { OUTCOMES } from './points.ts'
import { round, row, type Scale, svg, WIDTH } from './scale.ts'

const LINE_HEIGHT = 9
/** Lines that are drawn. */
const LINES_MAX = 64
/** Bars that are drawn in all lines together, about. */
const BARS_MAX = 24_000

export interface Line {
  readonly name: string
  readonly spans: readonly Span[]
  /** Moments at which a consumer was handed something. */
  readonly handed: readonly number[]
}

/** Lines of clients in the order of their numbers, then those of consumers by name. */
export function linesOf(operations: Operations, concurrency: number): Line[] {
  const lines = new Map<number | string, { name: string; spans: Span[]; handed: number[] }>()
  const lineOf = (process: number | string) => {
    const key = typeof process === 'number' ? process % Math.max(1, concurrency) : process
    const line = lines.get(key) ?? { name: String(key), spans: [], handed: [] }
    lines.set(key, line)
    return line
  }
  for (const span of operations.spans) lineOf(span.process).spans.push(span)
  for (const { process, time } of operations.handed) lineOf(process).handed.push(time)
  const rank = (key: number | string) => (typeof key === 'number' ? key : Number.MAX_SAFE_INTEGER)
  return [...lines].sort(([a], [b]) => rank(a) - rank(b) || (String(a) < String(b) ? -1 : 1)).map(([, line]) => line)
}

export function processes(lines: readonly Line[], scale: Scale): Markup {
  const shown = lines.slice(0, LINES_MAX)
  const height = shown.length * LINE_HEIGHT + 4
  const left = lines.length - shown.length
  const labels = shown.map(({ name }, i) => {
    const every = shown.length > 12 ? 5 : 1
    return i % every === 0 || Number.isNaN(Number(name))
      ? html`<span style="top:${i * LINE_HEIGHT + 7}px">${name}</span>`
      : ''
  })
  const about = `operations of ${plural(lines.length, 'process', 'processes')} over time`
  const chart = row(labels, height, svg(height, about, [shaded(height), ...lineBars(shown, scale)]))
  return html`<section class="panel"><h3>By process <small>a line for each client or consumer, a bar for each operation${left > 0 ? `; ${plural(left, 'line')} more not drawn` : ''}</small></h3>${chart}</section>`
}

/** The bars of lines one under the other, as one path for each outcome. */
export function lineBars(lines: readonly Line[], scale: Scale): Content[] {
  const cells = Math.min(WIDTH, Math.max(100, Math.floor(BARS_MAX / Math.max(1, lines.length))))
  const y = (i: number) => i * LINE_HEIGHT + 6
  const outcomes = OUTCOMES.map((outcome) => {
    const d = lines.map(({ spans }, i) => barsOf(spans, outcome, scale, cells, y(i))).join('')
    return d === '' ? '' : html`<path class="${outcome}-bar" d="${d}"/>`
  })
  const handed = lines.map(({ handed: times }, i) => dotsOf(times, scale, cells, y(i))).join('')
  return [...outcomes, handed === '' ? '' : html`<path class="handed" d="${handed}"/>`]
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
