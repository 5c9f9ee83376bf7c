/**
 * A history as checkers read it: each invocation with how it ended, and the events of consumers. What has no end is info: nobody knows.
 *
 * Order between operations is that of real time alone: one that ended before another was invoked took effect before it.
 */
import type { Event, Json } from '../history.ts'
import type { Anomaly, CheckResult } from '../workload.ts'

export interface Done {
  readonly f: string
  readonly process: number
  readonly invoke: Event
  /** Undefined: the history ends before it. */
  readonly end: Event | undefined
  readonly type: 'ok' | 'fail' | 'info'
  /** Index from which on it may have taken effect. */
  readonly from: number
  /** Index by which it had taken effect if it ever does; Infinity when nobody knows. */
  readonly to: number
}

/** All operations in the order of their invocations. */
export function operationsOf(history: readonly Event[]): Done[] {
  const ends = new Map<number | string, Event>()
  const done: Done[] = []
  // From the back, so that each invocation meets its end.
  for (let i = history.length - 1; i >= 0; i--) {
    const event = history[i]!
    const { process, type } = event
    if (typeof process !== 'number') continue
    if (type !== 'invoke') {
      ends.set(process, event)
      continue
    }
    const end = ends.get(process)
    ends.delete(process)
    const how = end === undefined ? 'info' : (end.type as Done['type'])
    const to = how === 'ok' ? end!.index : Number.POSITIVE_INFINITY
    done.push({ f: event.f, process, invoke: event, end, type: how, from: event.index, to })
  }
  return done.reverse()
}

/**
 * When something happened of which a worker told unasked; what else is recorded happened by then. Two workers' events are recorded in the order
 * in which they were heard, which may be another one: rules that compare them, or one with an operation's end, ask here.
 */
export function timeOf({ at, time }: Event): number {
  return at ?? time
}

/** The events of an operation, for an anomaly. */
export function eventsOf({ invoke, end }: Done): number[] {
  return end === undefined ? [invoke.index] : [invoke.index, end.index]
}

/** A value's fields; none of what is no object. */
export function fields(value: Json): { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as { readonly [key: string]: Json })
    : {}
}

/** Whether every slot has found its queues empty at the end. Otherwise nothing can be called lost. */
export function isDrained(operations: readonly Done[], concurrency: number): boolean {
  return operations.filter(({ f, type }) => f === 'drain' && type === 'ok').length >= concurrency
}

/** Index from which on the queues were emptied: of the first drain that has found its own empty. */
export function drainedFrom(operations: readonly Done[]): number {
  return operations.find(({ f, type }) => f === 'drain' && type === 'ok')?.from ?? Number.NEGATIVE_INFINITY
}

export function countOf(operations: readonly Done[], f: string): Record<string, number> {
  const counts = { ok: 0, fail: 0, info: 0 }
  for (const operation of operations) if (operation.f === f) counts[operation.type]++
  return { [`${f}Ok`]: counts.ok, [`${f}Fail`]: counts.fail, [`${f}Info`]: counts.info }
}

/** Anomalies are certain even where the drain was not finished; that there are none is not. */
export function resultOf(
  anomalies: readonly Anomaly[],
  counts: Readonly<Record<string, number>>,
  drained: boolean,
): CheckResult {
  if (anomalies.length > 0) return { valid: false, anomalies, counts }
  if (drained) return { valid: true, anomalies, counts }
  return {
    valid: 'unknown',
    anomalies,
    counts,
    reason: 'the queues were not drained, so that nothing can be called lost',
  }
}
