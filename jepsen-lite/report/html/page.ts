/**
 * The report of a run as one HTML file: no network, no library, charts that need no script. The verdict stands on top, then what is
 * wrong, then the run over time, then tables. However long the run was, the file stays small: charts are thinned, lists cut, and it says so.
 */
import type { RunResult } from '../../run/result.ts'
import { commandOf } from '../command.ts'
import { type Figures, figuresOf } from '../figures.ts'
import { type Operations, operationsOf } from '../operations.ts'
import { electionsOf, endOfFaults, type Lane, type Leadership, lanesOf, leadershipsOf, spanOfRun } from '../windows.ts'
import { ANOMALIES_MAX, anomalies } from './anomalies.ts'
import { BUCKETS, type Buckets, bucketsOf } from './buckets.ts'
import { count, duration, plural, shorten } from './format.ts'
import { electionLane, faultLanes, nodeLanes, phases, shades, timeAxis } from './lanes.ts'
import { html, jsonScript, Markup } from './markup.ts'
import { type Panel, panel } from './panels.ts'
import { legend } from './points.ts'
import { linesOf, processes } from './processes.ts'
import { consumerPanel } from './rates.ts'
import { row, type Scale, scaleOf } from './scale.ts'
import { READOUT_ID, type Readout, script } from './script.ts'
import { style } from './style.ts'
import { biteTable, errorTable, faultTable, operationTable, settingsTable, totalsTable } from './tables.ts'

/** Kinds of operations that get a panel; all are in the tables. */
const PANELS_MAX = 8
const REASONS_MAX = 5
/** Anomalies whose operations are marked in the charts, and of each so many. */
const MARKED_MAX = 50
/** Faults and leaders that are told under the pointer. */
const READOUT_MAX = 1000

interface View {
  readonly result: RunResult
  readonly operations: Operations
  readonly figures: readonly Figures[]
  readonly scale: Scale
  readonly lanes: readonly Lane[]
  readonly leaderships: readonly Leadership[]
}

export function reportPage(result: RunResult): string {
  const operations = operationsOf(result.history)
  const view: View = {
    result,
    operations,
    figures: figuresOf(result.history, operations, endOfFaults(result)),
    scale: scaleOf(spanOfRun(result)),
    lanes: lanesOf(result),
    leaderships: leadershipsOf(result.watch),
  }
  const { settings } = result
  const title = `${VERDICTS[String(result.verdict.valid) as keyof typeof VERDICTS].word}: ${settings.workload} under ${settings.nemeses.join(', ') || 'no faults'}, seed ${settings.seed}`
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,"><title>${title}</title><style>${new Markup(style)}</style></head>
<body><a class="skip" href="#main">To the report</a>
<header>${verdict(view)}${tiles(view)}</header>
<main id="main">
${anomalies(result.verdict.anomalies, { history: result.history, operations, faults: result.faults, run: view.scale })}
${timeline(view)}
${tables(view)}
</main><script>${new Markup(script)}</script></body></html>
`
  return page.text
}

const VERDICTS = {
  true: {
    word: 'Valid',
    mark: '✓',
    kind: 'valid',
    says: 'Every promise that this workload checks was kept.',
  },
  false: { word: 'Invalid', mark: '✗', kind: 'invalid', says: 'A promise was broken:' },
  unknown: {
    word: 'Unknown',
    mark: '?',
    kind: 'unknown',
    says: 'Nothing wrong was found, but the run proves nothing:',
  },
} as const

function verdict({ result }: View): Markup {
  const { settings, verdict: found, versions, startedAt } = result
  const { word, mark, kind, says } = VERDICTS[String(found.valid) as keyof typeof VERDICTS]
  const reasons = found.reasons.slice(0, REASONS_MAX).map((reason) => html`<li>${shorten(reason, 1000)}</li>`)
  const left = found.reasons.length - reasons.length
  return html`<section class="verdict ${kind}"><h1><span class="mark" aria-hidden="true">${mark}</span>${word}</h1>
<p>${says}${found.valid === true && (settings.nemeses.length > 0 ? ' The faults bit.' : ' There were no faults.')}</p>${reasons.length > 0 && html`<ul>${reasons}${left > 0 && html`<li>and ${left} more</li>`}</ul>`}
<p class="what">Workload <b>${settings.workload}</b> under <b>${settings.nemeses.join(', ') || 'no faults'}</b>, ${settings.seconds} s, ${plural(settings.nodes, 'node')}, seed <b>${settings.seed}</b>; meshmq ${versions.meshmq}${versions.commit !== undefined && ` (${versions.commit.slice(0, 16)})`}, ${startedAt}</p></section>`
}

function tiles({ result, operations, figures, scale }: View): Markup {
  const sum = (pick: (each: Figures) => number) => figures.reduce((total, each) => total + pick(each), 0)
  const seconds = (scale.to - scale.from) / 1e9
  const [ok, all] = [sum((each) => each.ok), operations.spans.length]
  const worst = figures.reduce<Figures | undefined>(
    (most, each) => (most === undefined || each.gaps.longestMs > most.gaps.longestMs ? each : most),
    undefined,
  )
  const list: (readonly [string, string])[] = [
    [count(result.verdict.anomalies.length), 'anomalies'],
    [count(all), `operations, ${count(Math.round(all / seconds))} a second`],
    [
      all === 0 ? '–' : `${((ok / all) * 100).toFixed(ok === all ? 0 : 2)} %`,
      `of them ok, ${count(sum((each) => each.info))} unknown`,
    ],
    [count(result.faults.length), 'faults'],
    [count(result.evidence.elections ?? electionsOf(result.watch)), 'elections'],
    [
      worst === undefined ? '–' : duration(worst.gaps.longestMs),
      `longest without an ok${worst === undefined ? '' : ` (${worst.f})`}`,
    ],
  ]
  return html`<ul class="tiles">${list.map(([figure, name]) => html`<li><b>${figure}</b><span>${name}</span></li>`)}</ul>`
}

function timeline(view: View): Markup {
  const { result, operations, figures, scale, lanes } = view
  const marked = new Set(
    result.verdict.anomalies.slice(0, MARKED_MAX).flatMap(({ events }) => events.slice(0, MARKED_MAX)),
  )
  const invoked = figures.filter(({ ok, fail, info }) => ok + fail + info > 0)
  const late = lateOnly(view)
  const slices = (some: readonly Figures[]) =>
    some.slice(0, PANELS_MAX).map((each): [Figures, Buckets] => [each, bucketsOf(operations, each.f, scale)])
  const called = slices(invoked.filter(({ f }) => !late.has(f)))
  const told = slices(figures.filter((each) => !invoked.includes(each)))
  const context = { operations, lanes, scale, marked, panels: called.length }
  const panels = called.map(([each, buckets]) => panel(each, buckets, context))
  const more = figures.length - late.size - called.length - told.length
  return html`<section id="run" aria-labelledby="time"><h2 id="time">The run over time</h2>
${overview(view)}${legend()}${panels.map(({ markup }) => markup)}${consumerPanel(told, scale)}
${late.size > 0 && html`<p class="note">Operations after the faults (${[...late].join(', ')}) are in the tables.</p>`}
${more > 0 && html`<p class="note">${plural(more, 'kind')} of operations more in the tables.</p>`}
${processes(linesOf(operations, result.settings.concurrency), scale)}
<p class="note">${thinning(panels)}</p>${jsonScript(READOUT_ID, readoutOf(view, called))}</section>`
}

/** Names of operations that were invoked only when the faults were over: the drain's. */
function lateOnly({ result, operations }: View): Set<string> {
  const end = endOfFaults(result)
  const early = new Set(operations.spans.filter(({ from }) => from <= end).map(({ f }) => f))
  return new Set(operations.spans.filter(({ f }) => !early.has(f)).map(({ f }) => f))
}

function overview(view: View): Markup {
  const { result, scale, lanes, leaderships } = view
  const hidden = html`<div style="height:0;overflow:hidden" aria-hidden="true">${shades(lanes, scale)}</div>`
  return html`<div class="chart">${timeAxis(scale)}${phases(result, scale)}${anomalyLane(view)}${faultLanes(lanes, scale)}${nodeLanes(result, scale)}${electionLane(leaderships, scale)}${hidden}</div>`
}

function thinning(panels: readonly Panel[]): string {
  const drawn = panels.reduce((sum, each) => sum + each.drawn, 0)
  const of = panels.reduce((sum, each) => sum + each.of, 0)
  return drawn === of
    ? 'Every operation is drawn.'
    : `${count(drawn)} of ${count(of)} operations are drawn: one for each dot of the picture, the slowest of each column, and those that the first anomalies name. The history has all.`
}

/** Where the anomalies lie that are told above. */
function anomalyLane({ result, scale }: View): Markup {
  const shown = result.verdict.anomalies.slice(0, ANOMALIES_MAX)
  if (shown.length === 0) return html``
  const marks = shown.map(({ type, events }, i) => {
    const time = result.history[events.at(-1) ?? -1]?.time
    if (time === undefined) return ''
    return html`<a class="found-at" href="#anomaly-${i + 1}" style="left:${scale.percent(time)}" title="${type}" aria-label="anomaly ${i + 1}: ${type}">▲</a>`
  })
  return row('anomalies', 18, marks)
}

function readoutOf({ result, scale, leaderships }: View, slices: readonly (readonly [Figures, Buckets])[]): Readout {
  const seconds = (time: number) => Math.round((time - scale.from) / 1e7) / 100
  const digits = (values: Iterable<number>) =>
    Array.from(values, (each) => (Number.isNaN(each) ? null : Number(each.toPrecision(3))))
  return {
    seconds: (scale.to - scale.from) / 1e9,
    buckets: BUCKETS,
    faults: result.faults
      .slice(0, READOUT_MAX)
      .map(({ from, to, name }) => [seconds(from), seconds(to), shorten(name, 80)]),
    leaders: leaderships
      .slice(0, READOUT_MAX)
      .map(({ from, to, leader, term }) => [seconds(from), seconds(to), leader ?? '', term]),
    operations: Object.fromEntries(
      slices.map(([{ f }, { rate, p50, p99 }]) => [
        f,
        [
          digits(rate.ok),
          digits(rate.fail.map((each, i) => each + rate.info[i]!)),
          digits(stretched(p50)),
          digits(stretched(p99)),
        ],
      ]),
    ),
  }
}

/** A value for each bucket, from fewer and longer slices. */
function stretched(values: Float64Array): Float64Array {
  return Float64Array.from({ length: BUCKETS }, (_, i) => values[Math.floor((i * values.length) / BUCKETS)]!)
}

function tables({ result, figures, scale }: View): Markup {
  return html`<h2>Operations and availability</h2>${operationTable(figures, scale.from)}${errorTable(result.history)}
<h2>Faults</h2>${biteTable(result)}${faultTable(result, scale.from)}
<h2>Counts</h2><div class="two">${totalsTable('Of the checker', result.verdict.counts)}${totalsTable('Of proxies, processes and nodes', result.evidence)}</div>
<h2>Again</h2><p>The same operations and faults, drawn from the same seed (how they interleave is up to the machine):</p><pre><code>${commandOf(result.settings)}</code></pre>
${settingsTable(result)}
<p class="note">Beside this file: results.json, history.jsonl and history.edn (each event a line), the nodes' logs.</p>`
}
