/** Writes histories by hand: one event after the other, a millisecond apart unless told otherwise. */
import type { Event, EventType, Json } from '../../../jepsen-lite/history.ts'
import type { CheckResult } from '../../../jepsen-lite/workload.ts'

export interface Handed {
  readonly consumer: string
  readonly queue: string
  readonly id: Json
  readonly message?: string
  readonly attempt?: number
  readonly topic?: string
}

export class Story {
  readonly history: Event[] = []
  #time = 0

  wait(ms: number): this {
    this.#time += ms * 1e6
    return this
  }

  invoke(process: number, f: string, value: Json = null): this {
    return this.#add(process, 'invoke', f, value)
  }

  /** Completes what the process has invoked; with the invocation's value unless told otherwise. */
  ok(process: number, value?: Json): this {
    return this.#complete(process, 'ok', value)
  }

  fail(process: number, value?: Json): this {
    return this.#complete(process, 'fail', value)
  }

  info(process: number, value?: Json): this {
    return this.#complete(process, 'info', value)
  }

  tell(name: string, f: string, value: Json = {}): this {
    return this.#add(name, 'ok', f, value)
  }

  deliver(handed: Handed): this {
    const { consumer, queue, id, attempt = 1, topic = queue } = handed
    return this.tell(consumer, 'deliver', { queue, message: named(handed), attempt, id, topic })
  }

  /** Begins to settle. */
  settle(handed: Handed, as = 'ack'): this {
    const { consumer, queue, attempt = 1 } = handed
    return this.tell(consumer, 'settle', { queue, message: named(handed), attempt, as })
  }

  settled(handed: Handed): this {
    const { consumer, queue, attempt = 1 } = handed
    return this.tell(consumer, 'settled', { queue, message: named(handed), attempt })
  }

  lost(handed: Handed): this {
    const { consumer, queue, attempt = 1 } = handed
    return this.tell(consumer, 'lost', { queue, message: named(handed), attempt })
  }

  /** Delivered, and settled with a confirmation. */
  take(handed: Handed, as = 'ack'): this {
    return this.deliver(handed).settle(handed, as).settled(handed)
  }

  /** The last event was told so long before it was heard. */
  heardLate(ms: number): this {
    const last = this.history.pop()!
    this.history.push({ ...last, at: last.time - ms * 1e6 })
    return this
  }

  /** An operation from its invocation to its success, with nothing in between. */
  did(process: number, f: string, value: Json, result?: Json): this {
    return this.invoke(process, f, value).ok(process, result)
  }

  /** The only slot has found its queues empty. */
  drained(process = 0): this {
    return this.did(process, 'drain', null)
  }

  #complete(process: number, type: EventType, value: Json | undefined): this {
    const open = this.history.findLast((event) => event.process === process)
    if (open?.type !== 'invoke') throw new Error(`process ${process} has nothing open`)
    return this.#add(process, type, open.f, value === undefined ? open.value : value)
  }

  #add(process: number | string, type: EventType, f: string, value: Json): this {
    this.#time += 1e6
    this.history.push({ index: this.history.length, time: this.#time, process, type, f, value })
    return this
  }
}

function named({ id, message }: Handed): string {
  return message ?? `m${JSON.stringify(id)}`
}

/** Kinds of anomalies that were found, each once, sorted; and the verdict. */
export function found({ valid, anomalies }: CheckResult): { valid: CheckResult['valid']; types: string[] } {
  return { valid, types: [...new Set(anomalies.map(({ type }) => type))].sort() }
}

export const good = { valid: true, types: [] }

/** What a checker says when exactly these kinds of anomalies are found. */
export function bad(...types: string[]): { valid: false; types: string[] } {
  return { valid: false, types: [...types].sort() }
}
