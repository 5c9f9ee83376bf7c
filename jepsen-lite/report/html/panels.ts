/**
 * One panel for each kind of operation: latency over time, logarithmic, a sign for each operation; under it how many completed. Ok ones
 * rise from the line, all others hang below it.
 */
import type { Figures } from '../figures.ts'
import type { Operations, Outcome, Span } from '../operations.ts'
import { type Point, thin } from '../thinning.ts'
import type { Lane } from '../windows.ts'
import { BUCKETS, type Buckets } from './buckets.ts'
import { count, duration } from './format.ts'
import { faultLabels, shaded } from './lanes.ts'
import { html, type Markup } from './markup.ts'
import { OUTCOMES, signs } from './points.ts'
import { type LogScale, logScaleOf, round, row, type Scale, svg, WIDTH } from './scale.ts'

const LATENCY_HEIGHT = 150
const RATE_HEIGHT = 64
/** The line of the rate's chart; below it hangs what was not ok. */
const RATE_BASE = 44
/** Signs that are drawn in one panel, about. */
const SIGNS_MAX: Readonly<Record<Outcome, number>> = { ok: 6000, fail: 1500, info: 1500 }

export interface PanelContext {
  readonly operations: Operations
  readonly lanes: readonly Lane[]
  readonly scale: Scale
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
  const latency = spans.length === 0 ? undefined : latencyChart(figures, spans, buckets, context)
  const rate = rateChart(figures, buckets)
  const markup = html`<section class="panel"><h3>${figures.f} ${summary(figures)}</h3>${latency?.markup ?? ''}${rate}</section>`
  return { markup, drawn: latency?.drawn ?? 0, of: spans.length }
}

function summary({ ok, fail, info, handed, latencyMs }: Figures): Markup {
  const parts = [
    ok + fail + info > 0 && `${count(ok)} ok`,
    fail > 0 && `${count(fail)} failed`,
    info > 0 && `${count(info)} unknown`,
    handed > 0 && `${count(handed)} handed to consumers`,
    latencyMs !== undefined &&
      `median ${duration(latencyMs.p50)}, 99 of 100 in ${duration(latencyMs.p99)}, longest ${duration(latencyMs.max)}`,
  ].filter((part) => part !== false)
  return html`<small>${parts.join(' · ')}</small>`
}

interface Sign extends Point {
  readonly type: Outcome
}

function latencyChart(figures: Figures, spans: readonly Span[], buckets: Buckets, context: PanelContext) {
  const { scale, lanes, marked } = context
  const log = latencyScale(spans)
  const all = spans.map((span): Sign => {
    const must = marked.has(span.invoked) || (span.completed !== undefined && marked.has(span.completed))
    return { x: scale.x(span.from), y: log.y((span.to - span.from) / 1e6), must, type: span.type }
  })
  const drawn = OUTCOMES.map((outcome) =>
    thin(
      all.filter(({ type }) => type === outcome),
      SIGNS_MAX[outcome],
    ),
  )
  const grid = html`<path class="grid" d="${log.decades.map((ms) => `M0 ${log.y(ms)}h${WIDTH}`).join('')}"/>`
  const found = html`<path class="found" d="${all
    .filter(({ must }) => must)
    .map(({ x, y }) => `M${x} ${y}h0`)
    .join('')}"/>`
  const content = [
    shaded(LATENCY_HEIGHT),
    grid,
    found,
    ...OUTCOMES.map((outcome, i) => signs(outcome, drawn[i]!)),
    html`<path class="p50" d="${curve(buckets.p50, log)}"/><path class="p99" d="${curve(buckets.p99, log)}"/>`,
  ]
  const labels = log.decades.map(
    (ms) => html`<span style="top:${log.y(ms)}px">${duration(ms).replace(/\.0+ /, ' ')}</span>`,
  )
  const about = `latency of ${figures.f} over time, logarithmic`
  const markup = row(labels, LATENCY_HEIGHT, svg(LATENCY_HEIGHT, about, content), faultLabels(lanes, scale))
  return { markup, drawn: drawn.reduce((sum, each) => sum + each.length, 0) }
}

function latencyScale(spans: readonly Span[]): LogScale {
  let [least, most] = [Number.POSITIVE_INFINITY, 0]
  for (const { from, to } of spans) {
    const ms = Math.max((to - from) / 1e6, 0.01)
    least = Math.min(least, ms)
    most = Math.max(most, ms)
  }
  return logScaleOf(least, most, LATENCY_HEIGHT)
}

function curve(values: Float64Array, log: LogScale): string {
  let d = ''
  let pen = false
  values.forEach((ms, i) => {
    if (Number.isNaN(ms)) pen = false
    else {
      d += `${pen ? 'L' : 'M'}${round(((i + 0.5) / BUCKETS) * WIDTH)} ${log.y(ms)}`
      // A slice between two without an operation is still to be seen.
      if (!pen) d += 'h0'
      pen = true
    }
  })
  return d
}

function rateChart(figures: Figures, { rate }: Buckets): Markup {
  const good = rate.ok.map((each, i) => each + rate.handed[i]!)
  const most = Math.max(...good, 1e-9)
  const down = Math.max(...rate.fail.map((each, i) => each + rate.info[i]!), most)
  const height = (value: number) => (value === 0 ? 0 : Math.max(2, round((value / down) * (RATE_HEIGHT - RATE_BASE))))
  const bars = (from: (i: number) => number, tall: (i: number) => number) => {
    let d = ''
    for (let i = 0; i < BUCKETS; i++) {
      const width = round(WIDTH / BUCKETS)
      if (tall(i) !== 0) d += `M${round((i * WIDTH) / BUCKETS)} ${round(from(i))}h${width}v${round(tall(i))}h-${width}z`
    }
    return d
  }
  const content = [
    shaded(RATE_HEIGHT),
    html`<path class="grid" d="M0 ${RATE_BASE}h${WIDTH}"/>`,
    html`<path class="ok-area" d="${bars(
      () => RATE_BASE,
      (i) => -(good[i]! / most) * (RATE_BASE - 4),
    )}"/>`,
    html`<path class="fail-area" d="${bars(
      () => RATE_BASE,
      (i) => height(rate.fail[i]!),
    )}"/>`,
    html`<path class="info-area" d="${bars(
      (i) => RATE_BASE + height(rate.fail[i]!),
      (i) => height(rate.info[i]!),
    )}"/>`,
  ]
  const labels = html`<span style="top:4px">${count(Math.round(most))}/s</span><span style="top:${RATE_BASE}px">0</span>`
  const label = `completions of ${figures.f} per second: ok above the line, others below`
  return row(labels, RATE_HEIGHT, svg(RATE_HEIGHT, label, content))
}
