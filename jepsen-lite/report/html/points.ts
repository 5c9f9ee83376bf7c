/**
 * The signs of the three outcomes, as paths whose strokes do not stretch: ok is a dot, fail an upright stroke, info (unknown) an open
 * ring. They differ in form, not in colour alone.
 */
import type { Outcome } from '../operations.ts'
import { html, type Markup } from './markup.ts'
import { round } from './scale.ts'

export const OUTCOMES: readonly Outcome[] = ['ok', 'fail', 'info']

const OUTCOME_WORDS: Readonly<Record<Outcome, string>> = { ok: 'ok', fail: 'failed', info: 'unknown' }

/** All points of one outcome as one path. A ring is the path twice: thick, and thinner in the colour of the ground. */
export function signs(outcome: Outcome, points: readonly { readonly x: number; readonly y: number }[]): Markup {
  if (points.length === 0) return html``
  const d = points.map(({ x, y }) => (outcome === 'fail' ? `M${x} ${round(y - 4)}v8` : `M${x} ${y}h0`)).join('')
  return outcome === 'info'
    ? html`<path class="info" d="${d}"/><path class="hole" d="${d}"/>`
    : html`<path class="${outcome}" d="${d}"/>`
}

export function legend(): Markup {
  const sign = (outcome: Outcome) =>
    html`<span><svg class="sign" viewBox="0 0 14 14" aria-hidden="true">${signs(outcome, [{ x: 7, y: 7 }])}</svg> ${OUTCOME_WORDS[outcome]}</span>`
  const line = (name: string, words: string) =>
    html`<span><svg class="sign" viewBox="0 0 14 14" aria-hidden="true"><path class="${name}" d="M0 7h14"/></svg> ${words}</span>`
  return html`<p class="legend">${OUTCOMES.map(sign)}${line('p50', 'median')}${line('p99', '99 of 100')}</p>`
}
