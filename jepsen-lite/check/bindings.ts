/**
 * When a queue was surely bound to a topic, surely not, or nobody knows, from its binds and unbinds in the history. Between the invocation
 * of one and its confirmation either may be; after one that is info, either may be until the end.
 */
import { type Done, fields } from './operations.ts'
import { matches } from './topics.ts'

export type Bound = 'yes' | 'no' | 'unknown'

/** From this index on, until that of the next one. */
interface Change {
  readonly at: number
  readonly state: Bound
}

export class Bindings {
  readonly #changes = new Map<string, Change[]>()

  /** `operations`: the binds and unbinds of one queue, by one process. */
  constructor(operations: readonly Done[]) {
    for (const { f, invoke, end, type } of operations) {
      const pattern = String(fields(invoke.value).pattern)
      const changes = this.#changes.get(pattern) ?? [{ at: -1, state: 'no' as Bound }]
      this.#changes.set(pattern, changes)
      const before = changes[changes.length - 1]!.state
      const after: Bound = f === 'bind' ? 'yes' : 'no'
      changes.push({ at: invoke.index, state: before === after ? after : 'unknown' })
      if (end === undefined || type === 'info') continue
      changes.push({ at: end.index, state: type === 'ok' ? after : before })
    }
  }

  /** For what happened at one moment between the two indexes, the first and the last included. */
  during(topic: string, from: number, to: number): Bound {
    let bound: Bound = 'no'
    for (const [pattern, changes] of this.#changes) {
      if (!matches(pattern, topic)) continue
      const states = changes
        .filter(({ at }, i) => at <= to && (changes[i + 1]?.at ?? Number.POSITIVE_INFINITY) > from)
        .map(({ state }) => state)
      if (states.every((state) => state === 'yes')) return 'yes'
      if (states.some((state) => state !== 'no')) bound = 'unknown'
    }
    return bound
  }
}
