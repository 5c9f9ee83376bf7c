/**
 * Each anomaly with its context: what it says, where in the run it lies, what the clients did then, and the rows of the history around the
 * events that show it.
 */
import { type Event, NEMESIS } from '../../history.ts'
import type { FaultWindow } from '../../run/result.ts'
import type { Anomaly } from '../../workload.ts'
import { type Context, contextOf } from '../context.ts'
import type { Operations, Span } from '../operations.ts'
import { activeAt, type Stretch } from '../windows.ts'
import { count, moment, plural, shorten, shortJson } from './format.ts'
import { html, type Markup } from './markup.ts'
import { heightOf, type Line, lineBars, lineLabels } from './processes.ts'
import { row, type Scale, scaleOf, svg } from './scale.ts'

/** Anomalies that are shown with their context; results.json has all. */
export const ANOMALIES_MAX = 20
const LINES_MAX = 12
const BARS_MAX = 1200
const VALUE_MAX = 120
const MESSAGE_MAX = 600
/** Events that are shown of each of the first anomalies, and of each that follows. */
const FIRST = { anomalies: 5, events: 12 }
const EVENTS_MAX = 2

export interface AnomalyContext {
  readonly history: readonly Event[]
  readonly operations: Operations
  readonly faults: readonly FaultWindow[]
  readonly run: Scale
}

export function anomalies(all: readonly Anomaly[], context: AnomalyContext): Markup {
  if (all.length === 0) return html``
  const shown = all.slice(0, ANOMALIES_MAX)
  const pairs = pairsOf(context.operations, new Set(shown.flatMap(({ events }) => events)))
  const more = all.length - shown.length
  const kinds = new Map<string, number>()
  for (const { type } of all) kinds.set(type, (kinds.get(type) ?? 0) + 1)
  const summary = [...kinds].map(([type, number]) => html`<li><b>${count(number)}</b> ${type}</li>`)
  return html`<section aria-labelledby="anomalies"><h2 id="anomalies">${plural(all.length, 'anomaly', 'anomalies')}</h2>
<ul class="kinds">${summary}</ul>
${shown.map((anomaly, i) => one(anomaly, i, pairs, context))}
${more > 0 ? html`<p class="note">${plural(more, 'anomaly', 'anomalies')} more in results.json.</p>` : ''}</section>`
}

/** For the index of one end of an operation that of the other, as far as one of them is asked for. */
function pairsOf({ spans }: Operations, asked: ReadonlySet<number>): Map<number, number> {
  const pairs = new Map<number, number>()
  for (const { invoked, completed } of spans) {
    if (completed === undefined || !(asked.has(invoked) || asked.has(completed))) continue
    pairs.set(invoked, completed)
    pairs.set(completed, invoked)
  }
  return pairs
}

function one(anomaly: Anomaly, i: number, pairs: ReadonlyMap<number, number>, context: AnomalyContext): Markup {
  const around = contextOf(context.history, anomaly, pairs, i < FIRST.anomalies ? FIRST.events : EVENTS_MAX)
  const marked = around.parts.flatMap(({ rows }) => rows.filter((each) => each.marked).map(({ event }) => event))
  const body =
    marked.length === 0
      ? html`<p class="note">No event of the history belongs to it.</p>`
      : html`${picture(marked, context)}${table(around, context)}`
  return html`<details class="anomaly" id="anomaly-${i + 1}"${i === 0 && html` open`}><summary><span class="kind">${anomaly.type}</span> ${shorten(anomaly.message, MESSAGE_MAX)}</summary>${body}</details>`
}

function picture(marked: readonly Event[], { operations, faults, run }: AnomalyContext): Markup {
  const scale = scaleOf(windowOf(marked, run))
  const [plain, bold] = linesAround(marked, operations, scale)
  const height = heightOf(plain.length)
  const held = faults.filter(({ from, to }) => from <= scale.to && to >= scale.from)
  const shade = held.map(({ from, to }) => `M${scale.x(from)} 0H${scale.x(to)}v${height}H${scale.x(from)}z`)
  const moments = marked.map(({ time }) => `M${scale.x(time)} 0v${height}`)
  const content = [
    html`<path class="shade" d="${shade.join('')}"/><path class="moment" d="${moments.join('')}"/>`,
    lineBars(plain, scale, BARS_MAX),
    html`<g class="bold">${lineBars(bold, scale, BARS_MAX)}</g>`,
  ]
  const names = [...new Set(held.map(({ name }) => name))].join(', ')
  const shading = names === '' ? 'no fault held' : `faults (shaded): ${shorten(names, 300)}`
  const times = `${moment(scale.from - run.from)} to ${moment(scale.to - run.from)}`
  return html`<figure class="chart"><figcaption>What the processes did from ${times}; ${shading}. Operations that show the anomaly are bold, their moments dashed.</figcaption>${row(lineLabels(plain), height, svg(height, 'operations around the anomaly', content))}</figure>`
}

/** The processes that show the anomaly first, then others that were at work: all other operations, and those that show it. */
function linesAround(marked: readonly Event[], operations: Operations, { from, to }: Scale): [Line[], Line[]] {
  const indexes = new Set(marked.map(({ index }) => index))
  const shows = ({ invoked, completed }: Span) =>
    indexes.has(invoked) || (completed !== undefined && indexes.has(completed))
  const near = operations.spans.filter((span) => span.to >= from && span.from <= to)
  const told = operations.told.filter(({ time }) => time >= from && time <= to)
  const processes = [...new Set([...marked, ...near, ...told].map(({ process }) => process))]
  const shown = processes.filter((process) => process !== NEMESIS).slice(0, LINES_MAX)
  const line = (process: number | string, wanted: boolean): Line => ({
    name: String(process),
    spans: near.filter((span) => span.process === process && shows(span) === wanted),
    told: told.filter((each) => each.process === process && indexes.has(each.index) === wanted).map(({ time }) => time),
  })
  return [shown.map((process) => line(process, false)), shown.map((process) => line(process, true))]
}

/** From the first event to the last, and a little on both sides. */
function windowOf(marked: readonly Event[], run: Stretch): Stretch {
  const times = marked.map(({ time }) => time)
  const [first, last] = [Math.min(...times), Math.max(...times)]
  const margin = Math.max(50e6, (last - first) * 0.08)
  return { from: Math.max(run.from, first - margin), to: Math.min(Math.max(run.to, last), last + margin) }
}

function table(context: Context, { faults, run }: AnomalyContext): Markup {
  const rows = context.parts.map(({ skipped, rows: part }) => [
    skipped > 0 ? html`<tr class="gap"><td colspan="6">${plural(skipped, 'event')} not shown</td></tr>` : '',
    ...part.map(({ event, marked }) => eventRow(event, marked, faults, run)),
  ])
  const omitted =
    context.omitted === 0
      ? ''
      : html`<p class="note">${plural(context.omitted, 'event')} more belong to it; results.json names them.</p>`
  return html`<div class="scroll" role="region" tabindex="0" aria-label="events around the anomaly"><table class="events"><caption>Rows of the history; those that show the anomaly are marked ▶.</caption>
<thead><tr><th scope="col">index</th><th scope="col">time</th><th scope="col">process</th><th scope="col">operation</th><th scope="col">value, error</th><th scope="col">faults</th></tr></thead><tbody>${rows}</tbody></table></div>${omitted}`
}

function eventRow(event: Event, marked: boolean, faults: readonly FaultWindow[], run: Stretch): Markup {
  const { index, time, process, type, f, value, error } = event
  const kind = `${marked ? 'marked ' : ''}${process === NEMESIS ? 'of-nemesis' : ''}`.trim()
  const active = [...new Set(activeAt(faults, time).map(({ nemesis }) => nemesis))].join(', ')
  const told = error === undefined ? '' : html` <span class="error">${shorten(error, VALUE_MAX)}</span>`
  return html`<tr class="${kind}"><td class="number">${marked ? html`<span aria-label="marked">▶</span> ` : ''}${index}</td><td class="number">${moment(time - run.from)}</td><td>${process}</td><td>${f} <b class="type-${type}">${type}</b></td><td><code>${shortJson(value, VALUE_MAX)}</code>${told}</td><td>${active}</td></tr>`
}
