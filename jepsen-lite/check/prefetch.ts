/**
 * `prefetch`: a consumer has more messages in hand than it asked for. In hand is what it was handed and has neither begun to settle nor
 * lost. What it has held for long does not count: its time may be over, and the consumer not yet told.
 */
import type { Event } from '../history.ts'
import type { Anomaly } from '../workload.ts'
import { fields } from './operations.ts'

/** Half of the time after which a message whose holder is silent goes elsewhere (30 s, the SDK's default), nanoseconds. */
const HELD_SURELY = 15e9

interface Consumer {
  readonly prefetch: number
  readonly inHand: Map<string, Event>
}

export function checkPrefetch(history: readonly Event[]): Anomaly[] {
  const anomalies: Anomaly[] = []
  const consumers = new Map<string, Consumer>()
  for (const event of history) {
    const { process, f, value } = event
    if (typeof process !== 'string') continue
    const { prefetch, message, attempt } = fields(value)
    if (f === 'subscribe') consumers.set(process, { prefetch: Number(prefetch), inHand: new Map() })
    const consumer = consumers.get(process)
    if (consumer === undefined) continue
    const key = `${message} ${attempt}`
    if (f === 'settle' || f === 'lost') consumer.inHand.delete(key)
    if (f !== 'deliver') continue
    consumer.inHand.set(key, event)
    const held = [...consumer.inHand.values()].filter(({ time }) => event.time - time < HELD_SURELY)
    if (held.length <= consumer.prefetch) continue
    const what = `${process} has ${held.length} messages in hand, and a prefetch of ${consumer.prefetch}`
    anomalies.push({ type: 'prefetch', message: what, events: held.map(({ index }) => index) })
  }
  return anomalies
}
