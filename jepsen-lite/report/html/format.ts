/** How the page writes numbers, times and values. */
import type { Json } from '../../history.ts'

export function count(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 2 })
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

/** A duration of so many milliseconds, with the digits that matter. */
export function duration(ms: number): string {
  if (ms === 0) return '0 ms'
  if (ms < 1) return `${ms.toFixed(2)} ms`
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1000) return `${ms.toFixed(0)} ms`
  if (ms < 120_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`
}

/** A moment of the run in seconds, to the millisecond. */
export function moment(ns: number): string {
  return `${(ns / 1e9).toFixed(3)} s`
}

/** A moment on an axis whose ticks stand `stepSeconds` apart. */
export function tick(seconds: number, stepSeconds: number): string {
  if (stepSeconds < 1) return `${seconds.toFixed(1)} s`
  if (seconds < 60) return `${Math.round(seconds)} s`
  const [whole, rest] = [Math.floor(Math.round(seconds) / 60), Math.round(seconds) % 60]
  return `${whole}:${String(rest).padStart(2, '0')}`
}

/** A value as JSON, cut after `most` characters. */
export function shortJson(value: Json, most: number): string {
  return shorten(value === null ? '' : JSON.stringify(value), most)
}

export function shorten(text: string, most: number): string {
  const cut = text.slice(0, most)
  return text.length <= most ? text : `${cut} … (${count(text.length)} characters)`
}
