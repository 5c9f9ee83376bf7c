/**
 * The upper part of the run's chart: phases, faults in one lane for each nemesis, and what the nodes were: leading, ready or not.
 */
import type { PhaseWindow, RunResult } from '../../run/result.ts'
import { type Lane, type Leadership, leadershipsOf, type Stretch, unreadyOf } from '../windows.ts'
import { duration, moment, plural, shorten, tick } from './format.ts'
import { type Content, html, type Markup } from './markup.ts'
import { row, type Scale, svg, ticksOf } from './scale.ts'

/** Bars that are drawn in all lanes of faults together, and in each lane of nodes and elections. */
const BARS_MAX = 800
const NODE_BARS_MAX = 200
const NAME_MAX = 80
/** Tints of nemeses; they repeat from here on. */
const TINTS = 8
/** Labels of faults over a chart stand at least this far apart, of the whole width. */
const LABEL_SHARE = 0.045
/** From this part of the width on a bar has room for its name. */
const NAMED_SHARE = 0.04

const PHASE_WORDS: Readonly<Record<PhaseWindow['name'], string>> = {
  start: 'start',
  setup: 'set up',
  faults: 'operations under faults',
  heal: 'heal',
  drain: 'drain',
  agree: 'agree',
  check: 'check',
}

export function timeAxis(scale: Scale): Markup {
  const { step, seconds } = ticksOf(scale)
  const labels = seconds.map(
    (each) =>
      html`<span class="tick" style="left:${scale.percent(scale.from + each * 1e9)}">${tick(each, step)}</span>`,
  )
  return html`<div class="row axis" aria-hidden="true"><div class="gutter"></div><div class="canvas">${labels}</div></div>`
}

export function phases(result: RunResult, scale: Scale): Markup {
  const shown = result.phases.filter(({ from, to }) => to > scale.from && from < scale.to)
  const bars = shown.map((phase) => bar(scale, phase, 'phase', PHASE_WORDS[phase.name]))
  return row('phases', 18, bars)
}

export function faultLanes(lanes: readonly Lane[], scale: Scale): Markup[] {
  const most = Math.ceil(BARS_MAX / Math.max(1, lanes.length))
  return lanes.map(({ nemesis, windows }, i) => {
    const bars = windows.slice(0, most).map((fault) => bar(scale, fault, `fault t${i % TINTS}`, fault.name, fault.what))
    return row(html`<span class="swatch t${i % TINTS}"></span>${nemesis}`, 22, bars)
  })
}

/** A bar too narrow for its name has it under the pointer only; the table has all names. */
function bar(scale: Scale, { from, to }: Stretch, kind: string, name: string, what = ''): Markup {
  const share = (Math.min(to, scale.to) - Math.max(from, scale.from)) / (scale.to - scale.from)
  const title = `${shorten(name, NAME_MAX)}: ${moment(from - scale.from)}, for ${duration((to - from) / 1e6)}${what === '' ? '' : `. ${shorten(what, NAME_MAX)}`}`
  return html`<span class="bar ${kind}" style="left:${scale.percent(from)};width:${(share * 100).toFixed(3)}%" title="${title}">${share >= NAMED_SHARE && shorten(name, NAME_MAX)}</span>`
}

/** The windows of all faults as a drawing that every chart lays behind its own, 100 units high. Defined once in the page. */
export function shades(lanes: readonly Lane[], scale: Scale): Markup {
  const paths = lanes.map(({ windows }, i) => {
    const d = windows.map(
      ({ from, to }) =>
        `M${scale.x(from)} 0h${Math.max(1, scale.x(to) - scale.x(from)).toFixed(1)}v100H${scale.x(from)}z`,
    )
    return html`<path class="t${i % TINTS}" d="${d.join('')}"/>`
  })
  return svg(100, 'shades of the faults', html`<defs><g id="shades">${paths}</g></defs>`)
}

export function shaded(height: number): Markup {
  return html`<use href="#shades" transform="scale(1 ${height / 100})"/>`
}

/** The names of the faults over a chart: near ones share a label. */
export function faultLabels(lanes: readonly Lane[], scale: Scale): Markup {
  const windows = lanes.flatMap(({ nemesis, windows: all }) => all.map(({ from, to }) => ({ nemesis, from, to })))
  windows.sort((a, b) => a.from - b.from)
  const labels: { from: number; to: number; names: Set<string> }[] = []
  for (const { nemesis, from, to } of windows) {
    const last = labels.at(-1)
    if (last !== undefined && from - last.from < LABEL_SHARE * (scale.to - scale.from)) last.names.add(nemesis)
    else labels.push({ from, to, names: new Set([nemesis]) })
  }
  const spans = labels.map(({ from, names }, i) => {
    const next = labels[i + 1]?.from ?? scale.to
    const width = ((next - from) / (scale.to - scale.from)) * 100
    return html`<span style="left:${scale.percent(from)};width:${width.toFixed(2)}%">${[...names].join(' + ')}</span>`
  })
  return html`<div class="names" aria-hidden="true">${spans}</div>`
}

export function nodeLanes(result: RunResult, scale: Scale): Markup[] {
  const leaderships = leadershipsOf(result.watch)
  return result.nodes.map((node) => {
    const led = leaderships.filter(({ leader }) => leader === node)
    const away = unreadyOf(result.watch, node)
    const about = `${node}: led ${plural(led.length, 'time')}, not ready ${plural(away.length, 'time')}`
    const bars: Content[] = [
      away.slice(0, NODE_BARS_MAX).map((each) => bar(scale, each, 'away', 'not ready')),
      led.slice(0, NODE_BARS_MAX).map((each) => bar(scale, each, 'led', `leader, term ${each.term}`)),
    ]
    return row(node, 20, html`<div class="ready" role="img" aria-label="${about}"></div>${bars}`)
  })
}

/** A mark for each term that began, and the stretches without a leader. */
export function electionLane(leaderships: readonly Leadership[], scale: Scale): Markup {
  const none = leaderships.filter(({ leader }) => leader === undefined)
  const begun = leaderships.filter(({ term }, i) => i > 0 && term > leaderships[i - 1]!.term)
  const marks = begun
    .slice(0, NODE_BARS_MAX)
    .map(
      ({ from, term }) =>
        html`<span class="election" style="left:${scale.percent(from)}" title="term ${term} at ${moment(from - scale.from)}"></span>`,
    )
  return row(
    'elections',
    16,
    html`${none.slice(0, NODE_BARS_MAX).map((each) => bar(scale, each, 'leaderless', ''))}${marks}`,
  )
}
