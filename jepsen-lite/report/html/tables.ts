/** The tables of the page: figures, faults, what bit, counts, errors, settings. */
import { type Event, NEMESIS } from '../../history.ts'
import type { Totals } from '../../nemesis.ts'
import type { RunResult } from '../../run/result.ts'
import { type Figures, GAP_MS } from '../figures.ts'
import { count, duration, moment, plural, shorten } from './format.ts'
import { type Content, html, type Markup } from './markup.ts'

/** Faults that are listed; results.json has all. */
const FAULTS_MAX = 300
const ERRORS_MAX = 20
const WHAT_MAX = 240

function table(caption: string, head: readonly string[], rows: readonly (readonly Content[])[]): Markup {
  const numeric = head.map((_, i) => i > 0 && rows.length > 0 && rows.every((row) => isNumber(row[i])))
  const kind = (i: number) => numeric[i] === true && html` class="number"`
  const header = head.map((name, i) => html`<th scope="col"${kind(i)}>${name}</th>`)
  const cell = (content: Content, i: number) =>
    i === 0 ? html`<th scope="row">${content}</th>` : html`<td${kind(i)}>${content}</td>`
  const body = rows.map((row) => html`<tr>${row.map(cell)}</tr>`)
  return html`<div class="scroll" role="region" tabindex="0" aria-label="${caption}"><table><caption>${caption}</caption><thead><tr>${header}</tr></thead><tbody>${body}</tbody></table></div>`
}

const isNumber = (cell: Content) => typeof cell === 'string' && /^(–|[\d,.]+( m?s| min \d+ s)?)$/.test(cell)

export function operationTable(figures: readonly Figures[], from: number): Markup {
  const rows = figures.map(({ f, ok, fail, info, told, latencyMs, gaps }) => [
    f,
    count(ok + told),
    count(fail),
    count(info),
    latencyMs === undefined ? '–' : duration(latencyMs.p50),
    latencyMs === undefined ? '–' : duration(latencyMs.p90),
    latencyMs === undefined ? '–' : duration(latencyMs.p99),
    latencyMs === undefined ? '–' : duration(latencyMs.max),
    gaps.longestMs === 0 ? '–' : `${duration(gaps.longestMs)} from ${moment(gaps.longestFrom - from)}`,
    gaps.count === 0 ? '–' : `${duration(gaps.totalMs)} in ${plural(gaps.count, 'gap')}`,
  ])
  const head = [
    'operation',
    'ok',
    'failed',
    'unknown',
    'median',
    '90 of 100',
    '99 of 100',
    'longest',
    'longest time without an ok',
    `all of ≥ ${GAP_MS} ms`,
  ]
  return table('Operations, their latency when ok, and how long they were wanted and none succeeded', head, rows)
}

export function faultTable(result: RunResult, from: number): Markup {
  const shown = result.faults.slice(0, FAULTS_MAX)
  const rows = shown.map(({ number, nemesis, name, from: begin, to, what, done, error }) => [
    count(number + 1),
    nemesis,
    shorten(name, WHAT_MAX),
    moment(begin - from),
    duration((to - begin) / 1e6),
    html`${shorten(what, WHAT_MAX)}${error === undefined ? '' : html` <span class="error">${shorten(error, WHAT_MAX)}</span>`}`,
    totals(done),
  ])
  const left = result.faults.length - shown.length
  const note = left > 0 && html`<p class="note">${plural(left, 'fault')} more in results.json.</p>`
  return html`${table('Faults, in the order of their beginning', ['no.', 'nemesis', 'fault', 'at', 'for', 'what it did', 'in figures'], rows)}${note}`
}

export function biteTable({ verdict }: RunResult): Markup {
  const rows = verdict.bite.map(({ nemesis, faults, done, problem }) => [
    nemesis,
    count(faults),
    problem === undefined ? 'yes' : html`<b>no:</b> ${problem}`,
    totals(done),
  ])
  return table('Whether the faults bit', ['nemesis', 'faults', 'bit', 'in sum'], rows)
}

export function totalsTable(caption: string, figures: Totals): Markup {
  return table(
    caption,
    ['what', 'how many'],
    Object.entries(figures).map(([name, value]) => [name, count(value)]),
  )
}

/** The errors that operations ended with, most frequent first; numbers within them are taken for one and the same. */
export function errorTable(history: readonly Event[]): Markup {
  const errors = new Map<string, { f: string; type: string; error: string; number: number }>()
  for (const { process, type, f, error } of history) {
    if (error === undefined || process === NEMESIS) continue
    const key = JSON.stringify([f, type, error.replace(/\d+/g, '#')])
    const known = errors.get(key)
    if (known === undefined) errors.set(key, { f, type, error, number: 1 })
    else known.number++
  }
  const sorted = [...errors.values()].sort((a, b) => b.number - a.number)
  if (sorted.length === 0) return html`<p class="note">No operation ended with an error.</p>`
  const rows = sorted
    .slice(0, ERRORS_MAX)
    .map(({ f, type, error, number }) => [
      f,
      type === 'info' ? 'unknown' : type,
      shorten(error, WHAT_MAX),
      count(number),
    ])
  const caption = `Errors that operations ended with, the first of each kind${sorted.length > ERRORS_MAX ? `; ${sorted.length - ERRORS_MAX} kinds more in the history` : ''}`
  return table(caption, ['operation', 'ended', 'error', 'how many'], rows)
}

export function settingsTable({ settings, versions, startedAt, nodes }: RunResult): Markup {
  const rows: (readonly [string, string])[] = [
    ['workload', settings.workload],
    ['nemeses', settings.nemeses.join(', ') || 'none'],
    ['seed', String(settings.seed)],
    ['length', `${settings.seconds} s`],
    ['nodes', nodes.join(', ')],
    ['processes', count(settings.concurrency)],
    ['rate', settings.rate === 0 ? 'as fast as they can' : `${count(settings.rate)} operations per second`],
    ["users' settings of the nodes", JSON.stringify(settings.nodeOptions)],
    ['program', settings.bin],
    ['network', settings.network],
    ['meshmq', `${versions.meshmq}${versions.commit === undefined ? '' : `, commit ${versions.commit}`}`],
    ['on', `Node ${versions.node}, ${versions.platform}`],
    ['started', startedAt],
  ]
  return table('Settings and versions', ['what', 'value'], rows)
}

function totals(done: Totals): string {
  return Object.entries(done)
    .filter(([, value]) => value !== 0)
    .map(([name, value]) => `${name} ${count(value)}`)
    .join(', ')
}
