/**
 * Who owned an exclusive queue when, from what the owners tell: `owned` after the declaration was confirmed, `proving` before a command
 * that only the owner may give, `proved` after it was confirmed. Between owned and proving the queue was surely theirs.
 *
 * `shared`: it was surely two owners' at once. `vanished`: it left an owner whose session lived.
 */
import type { Event } from '../history.ts'
import type { Anomaly } from '../workload.ts'
import { fields, timeOf } from './operations.ts'

interface Tenure {
  readonly queue: string
  readonly owner: string
  readonly owned: Event
  proving: Event | undefined
}

export function checkOwners(history: readonly Event[]): Anomaly[] {
  const anomalies: Anomaly[] = []
  const current = new Map<string, Tenure>()
  const proved: Tenure[] = []
  for (const event of history) {
    const { process, f, value } = event
    if (typeof process !== 'string') continue
    const queue = String(fields(value).queue)
    const tenure = current.get(process)
    if (f === 'owned') current.set(process, { queue, owner: process, owned: event, proving: undefined })
    else if (tenure === undefined) continue
    else if (f === 'proving') tenure.proving = event
    else if (f === 'proved') proved.push(tenure)
    else if (f === 'vanished') {
      const what = `${queue} left ${process} (${String(fields(value).error)}), whose session was not lost`
      anomalies.push({ type: 'vanished', message: what, events: [tenure.owned.index, event.index] })
    }
  }
  return [...anomalies, ...overlaps(proved)]
}

function overlaps(tenures: readonly Tenure[]): Anomaly[] {
  const anomalies: Anomaly[] = []
  const latest = new Map<string, Tenure>()
  for (const tenure of [...tenures].sort((a, b) => timeOf(a.owned) - timeOf(b.owned))) {
    const { queue, owner, owned } = tenure
    const before = latest.get(queue)
    if (before !== undefined && timeOf(owned) < timeOf(before.proving!)) {
      const what = `${queue} was exclusive to ${before.owner} and to ${owner} at once`
      const events = [before.owned, owned, before.proving!, tenure.proving!].map(({ index }) => index)
      anomalies.push({ type: 'shared', message: what, events })
    }
    if (before === undefined || timeOf(tenure.proving!) > timeOf(before.proving!)) latest.set(queue, tenure)
  }
  return anomalies
}
