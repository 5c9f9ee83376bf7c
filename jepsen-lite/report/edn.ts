/**
 * Events as EDN, in the form of Jepsen's operation maps, one map a line: what Knossos, Elle's command line and Clojure's own reader take.
 * Names that are keywords in Jepsen are keywords here; all other strings stay strings.
 */
import { type Event, type Json, NEMESIS } from '../history.ts'

/** `{:index 0, :process 1, :type :invoke, :f :publish, :value nil, :time 12}` */
export function eventToEdn(event: Event): string {
  const process = event.process === NEMESIS ? ':nemesis' : ednOf(event.process)
  const at = event.at === undefined ? '' : `, :at ${ednOf(event.at)}`
  const error = event.error === undefined ? '' : `, :error ${ednOf(event.error)}`
  return `{:index ${event.index}, :process ${process}, :type :${event.type}, :f ${keyword(event.f)}, :value ${ednOf(event.value)}, :time ${ednOf(event.time)}${at}${error}}`
}

/** Any value of a history. Keys of maps become keywords where EDN allows it. */
export function ednOf(value: Json): string {
  if (value === null) return 'nil'
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return number(value)
  if (typeof value === 'string') return string(value)
  if (Array.isArray(value)) return `[${value.map(ednOf).join(' ')}]`
  const pairs = Object.entries(value as { readonly [key: string]: Json })
  return `{${pairs.map(([key, each]) => `${keyword(key)} ${ednOf(each)}`).join(', ')}}`
}

/** EDN's symbols, without the slash and the colon, which make namespaces. */
const KEYWORD = /^[A-Za-z*!_?$%&=<>][\w.*+!\-?$%&=<>#]*$/

function keyword(name: string): string {
  return KEYWORD.test(name) ? `:${name}` : string(name)
}

function number(value: number): string {
  if (!Number.isFinite(value)) return 'nil'
  if (!Number.isInteger(value)) return String(value)
  // An integer beyond 64 bits needs its mark; from 1e21 on JavaScript writes it as a floating point number, which EDN takes as it is.
  const text = value === 0 ? '0' : String(value)
  return Math.abs(value) >= 2 ** 63 && !text.includes('e') ? `${text}N` : text
}

const NAMED: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

/** Control characters and halves of surrogate pairs are escaped, so that the file is UTF-8 and each event one line. */
const SPECIAL = /["\\\p{Cc}\p{Cs}\u2028\u2029]/gu

function string(text: string): string {
  const escaped = text.replace(
    SPECIAL,
    (character) => NAMED[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return `"${escaped}"`
}
