/**
 * An anomaly with what happened around it: the rows of the history that a reader needs, and no more of them than one reads.
 */
import type { Event } from '../history.ts'
import type { Anomaly } from '../workload.ts'

export interface ContextRow {
  readonly event: Event
  /** It is one of those that show the anomaly, or the other end of one of them. */
  readonly marked: boolean
}

/** Rows without a gap between them. */
export interface ContextPart {
  /** Events of the history that are left out before this part. */
  readonly skipped: number
  readonly rows: readonly ContextRow[]
}

export interface Context {
  readonly parts: readonly ContextPart[]
  /** Marked events that were left out for want of room. */
  readonly omitted: number
}

/** Events before and after each of them. */
const AROUND = 4

/**
 * Of at most `most` events that show it. `pairs` gives for the index of an invocation that of its completion, and the other way round.
 */
export function contextOf(
  history: readonly Event[],
  anomaly: Anomaly,
  pairs: ReadonlyMap<number, number>,
  most: number,
): Context {
  const known = [...new Set(anomaly.events)].filter((index) => history[index] !== undefined)
  const marked = new Set<number>()
  for (const index of known.slice(0, most)) {
    marked.add(index)
    const other = pairs.get(index)
    if (other !== undefined) marked.add(other)
  }
  const shown = new Set<number>()
  for (const index of marked) {
    for (let near = index - AROUND; near <= index + AROUND; near++) if (history[near] !== undefined) shown.add(near)
  }
  const parts: { skipped: number; rows: ContextRow[] }[] = []
  let last = -1
  for (const index of [...shown].sort((a, b) => a - b)) {
    if (parts.length === 0 || index !== last + 1) parts.push({ skipped: index - last - 1, rows: [] })
    parts.at(-1)!.rows.push({ event: history[index]!, marked: marked.has(index) })
    last = index
  }
  return { parts, omitted: Math.max(0, known.length - most) }
}
