/**
 * Where times and latencies lie in a picture. Every picture is 1,000 units wide and as high as it has pixels; the browser stretches it in
 * width only, lines and dots keep theirs, and all letters are HTML beside it: so it is legible at any width, and without a script.
 */
import type { Stretch } from '../windows.ts'
import { type Content, html, type Markup } from './markup.ts'

export const WIDTH = 1000

export interface Scale extends Stretch {
  /** Units from the left, one decimal. */
  x(time: number): number
  /** The same for CSS: `12.34%`. */
  percent(time: number): string
}

export function scaleOf({ from, to }: Stretch): Scale {
  const share = (time: number) => Math.min(1, Math.max(0, (time - from) / (to - from)))
  return {
    from,
    to,
    x: (time) => round(share(time) * WIDTH),
    percent: (time) => `${Number((share(time) * 100).toFixed(3))}%`,
  }
}

export function round(value: number): number {
  return Math.round(value * 10) / 10
}

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400]
const TICKS_MAX = 8

/** Seconds that the ticks of the time axis stand for, counted from the start of the scale. */
export function ticksOf({ from, to }: Stretch): { readonly step: number; readonly seconds: readonly number[] } {
  const length = (to - from) / 1e9
  const step = STEPS.find((each) => length / each <= TICKS_MAX) ?? length / TICKS_MAX
  const seconds: number[] = []
  for (let i = 0; i * step <= length; i++) seconds.push(i * step)
  return { step, seconds }
}

/** Latencies on a logarithmic scale of whole decades. */
export interface LogScale {
  readonly decades: readonly number[]
  y(ms: number): number
}

export function logScaleOf(leastMs: number, mostMs: number, height: number): LogScale {
  const low = Math.floor(Math.log10(Math.min(1e5, Math.max(0.01, leastMs))))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.min(1e6, Math.max(0.01, mostMs)))))
  const decades: number[] = []
  for (let exponent = low; exponent <= high; exponent++) decades.push(10 ** exponent)
  const y = (ms: number) => {
    const share = (Math.log10(Math.max(ms, 1e-6)) - low) / (high - low)
    return round((1 - Math.min(1, Math.max(0, share))) * height)
  }
  return { decades, y }
}

/** A row of the run's chart: what stands left of it, and the picture. */
export function row(label: Content, height: number, picture: Content, beside: Content = ''): Markup {
  return html`<div class="row"><div class="gutter">${label}</div><div class="canvas" style="height:${height}px">${picture}${beside}</div></div>`
}

export function svg(height: number, about: string, content: Content): Markup {
  return html`<svg viewBox="0 0 ${WIDTH} ${height}" preserveAspectRatio="none" role="img" aria-label="${about}">${content}</svg>`
}
