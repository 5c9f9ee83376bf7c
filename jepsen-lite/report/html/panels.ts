/**
 * One panel for each kind of operation: latency over time, logarithmic, a sign for each operation; under it how many completed.
 */
import type { Figures } from '../figures.ts'
import type { Operations, Outcome, Span } from '../operations.ts'
import { type Point, thin } from '../thinning.ts'
import type { Lane } from '../windows.ts'
import type { Buckets } from './buckets.ts'
import { count, duration } from './format.ts'
import { faultLabels, shaded, timeAxis } from './lanes.ts'
import { html, type Markup } from './markup.ts'
import { OUTCOMES, signs } from './points.ts'
import { rateChart } from './rates.ts'
import { type LogScale, logScaleOf, round, row, type Scale, svg, WIDTH } from './scale.ts'

const HEIGHT = 190
/** A handful of operations, such as a drain's, takes less room. */
const FEW = 50
const FEW_HEIGHT = 76
/** Signs that are drawn: about so many in one panel and in all, and of them so large a part may be of each outcome. */
const PANEL_SIGNS_MAX = 20_000
const SIGNS_MAX = 40_000
const PARTS: Readonly<Record<Outcome, number>> = { ok: 0.7, fail: 0.15, info: 0.15 }

export interface PanelContext {
  readonly operations: Operations
  readonly lanes: readonly Lane[]
  readonly scale: Scale
  /** Panels on the page. */
  readonly panels: number
  /** Indexes of events that anomalies name. */
  readonly marked: ReadonlySet<number>
}

export interface Panel {
  readonly markup: Markup
  /** Signs drawn, of how many operations. */
  readonly drawn: number
  readonly of: number
}

export function panel(figures: Figures, buckets: Buckets, context: PanelContext): Panel {
  const spans = context.operations.spans.filter(({ f }) => f === figures.f)
  const { markup: latency, drawn } = latencyChart(figures, spans, buckets, context)
  const rate = rateChart(figures, buckets)
  const markup = html`<section class="panel"><h3>${figures.f} ${summary(figures)}</h3>${latency}${rate}${timeAxis(context.scale)}</section>`
  return { markup, drawn, of: spans.length }
}

function summary({ ok, fail, info, latencyMs }: Figures): Markup {
  const parts = [
    `${count(ok)} ok`,
    fail > 0 && `${count(fail)} failed`,
    info > 0 && `${count(info)} unknown`,
    latencyMs !== undefined &&
      `median ${duration(latencyMs.p50)}, 99 of 100 in ${duration(latencyMs.p99)}, longest ${duration(latencyMs.max)}`,
  ].filter((part) => part !== false)
  return html`<small>${parts.join(' · ')}</small>`
}

interface Sign extends Point {
  readonly type: Outcome
}

function latencyChart(figures: Figures, spans: readonly Span[], buckets: Buckets, context: PanelContext) {
  const { scale, lanes, marked, panels } = context
  const most = Math.min(PANEL_SIGNS_MAX, SIGNS_MAX / panels)
  const height = spans.length < FEW ? FEW_HEIGHT : HEIGHT
  const log = latencyScale(spans, height)
  const all = spans.map((span): Sign => {
    const must = marked.has(span.invoked) || (span.completed !== undefined && marked.has(span.completed))
    return { x: scale.x(span.from), y: log.y((span.to - span.from) / 1e6), must, type: span.type }
  })
  const drawn = OUTCOMES.map((outcome) =>
    thin(
      all.filter(({ type }) => type === outcome),
      most * PARTS[outcome],
    ),
  )
  const grid = html`<path class="grid" d="${log.decades.map((ms) => `M0 ${log.y(ms)}h${WIDTH}`).join('')}"/>`
  const found = html`<path class="found" d="${all
    .filter(({ must }) => must)
    .map(({ x, y }) => `M${x} ${y}h0`)
    .join('')}"/>`
  const content = [
    shaded(height),
    grid,
    found,
    ...OUTCOMES.map((outcome, i) => signs(outcome, drawn[i]!)),
    html`<path class="p50" d="${curve(buckets.p50, log)}"/><path class="p99" d="${curve(buckets.p99, log)}"/>`,
  ]
  const labels = log.decades.map(
    (ms) => html`<span style="top:${log.y(ms)}px">${duration(ms).replace(/\.0+ /, ' ')}</span>`,
  )
  const about = `latency of ${figures.f} over time, logarithmic`
  const markup = row(labels, height, svg(height, about, content), faultLabels(lanes, scale))
  return { markup, drawn: drawn.reduce((sum, each) => sum + each.length, 0) }
}

function latencyScale(spans: readonly Span[], height: number): LogScale {
  let [least, most] = [Number.POSITIVE_INFINITY, 0]
  for (const { from, to } of spans) {
    const ms = Math.max((to - from) / 1e6, 0.01)
    least = Math.min(least, ms)
    most = Math.max(most, ms)
  }
  return logScaleOf(least, most, height)
}

function curve(values: Float64Array, log: LogScale): string {
  let d = ''
  let pen = false
  values.forEach((ms, i) => {
    if (Number.isNaN(ms)) pen = false
    else {
      d += `${pen ? 'L' : 'M'}${round(((i + 0.5) / values.length) * WIDTH)} ${log.y(ms)}`
      // A slice between two without an operation is still to be seen.
      if (!pen) d += 'h0'
      pen = true
    }
  })
  return d
}
