/**
 * How many completed, over time: ok ones rise from a line, all others hang below it, failed ones filled and unknown ones in outline.
 */
import type { Figures } from '../figures.ts'
import { BUCKETS, type Buckets } from './buckets.ts'
import { count } from './format.ts'
import { shaded, timeAxis } from './lanes.ts'
import { html, type Markup } from './markup.ts'
import { round, row, type Scale, svg, WIDTH } from './scale.ts'

const HEIGHT = 64
/** The line; from here up to the height is room for what was not ok. */
const BASE = 44
const CONSUMER_HEIGHT = 34

export function rateChart(figures: Figures, { rate }: Buckets): Markup {
  const most = Math.max(...rate.ok, 1e-9)
  const down = Math.max(...rate.fail.map((each, i) => each + rate.info[i]!), most)
  const fail = rate.fail.map((value) => below(value, down))
  const info = rate.info.map((value) => below(value, down))
  const content = [
    shaded(HEIGHT),
    html`<path class="grid" d="M0 ${BASE}h${WIDTH}"/>`,
    html`<path class="ok-area" d="${upwards(rate.ok, most, BASE)}"/>`,
    html`<path class="fail-area" d="${columns(fail, () => BASE)}"/>`,
    html`<path class="info-area" d="${columns(info, (i) => BASE + fail[i]!)}"/>`,
  ]
  const labels = html`<span style="top:4px">${perSecond(most)}</span><span style="top:${BASE}px">0</span>`
  const about = `completions of ${figures.f} per second: ok above the line, others below`
  return row(labels, HEIGHT, svg(HEIGHT, about, content))
}

/** What consumers told, each kind of event in a chart of its own: deliveries and the like, which nobody invoked. */
export function consumerPanel(all: readonly (readonly [Figures, Buckets])[], scale: Scale): Markup {
  if (all.length === 0) return html``
  const charts = all.map(([{ f, told }, { rate }]) => {
    const most = Math.max(...rate.told, 1e-9)
    const content = [
      shaded(CONSUMER_HEIGHT),
      html`<path class="ok-area" d="${upwards(rate.told, most, CONSUMER_HEIGHT)}"/>`,
    ]
    const labels = html`<span style="top:9px"><b>${f}</b></span><span style="top:25px">${perSecond(most)}</span>`
    return row(
      labels,
      CONSUMER_HEIGHT,
      svg(CONSUMER_HEIGHT, `events ${f} of consumers per second, ${count(told)} in all`, content),
    )
  })
  const sums = all.map(([{ f, told }]) => `${f} ${count(told)}`).join(' · ')
  return html`<section class="panel"><h3>Consumers <small>${sums}</small></h3>${charts}${timeAxis(scale)}</section>`
}

function perSecond(value: number): string {
  return value < 1e-6 ? '0/s' : `${value < 10 ? value.toFixed(1) : count(Math.round(value))}/s`
}

/** Few are seen beside many: two pixels at least. */
function below(value: number, most: number): number {
  return value === 0 ? 0 : Math.max(2, (value / most) * (HEIGHT - BASE))
}

function upwards(values: Float64Array, most: number, base: number): string {
  const tall = values.map((value) => -(value / most) * (base - 4))
  return columns(tall, () => base)
}

/** One column for each bucket that has any, so high from where `from` says; negative ones go up. */
function columns(tall: Float64Array, from: (i: number) => number): string {
  const width = round(WIDTH / BUCKETS)
  let d = ''
  tall.forEach((height, i) => {
    if (height !== 0) d += `M${round((i * WIDTH) / BUCKETS)} ${round(from(i))}h${width}v${round(height)}h-${width}z`
  })
  return d
}
