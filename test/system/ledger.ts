/**
 * The books of a run: what was published and with what result on one side, what came out of each queue and how it was settled on
 * the other, and what must hold between the two.
 *
 * Never: believes the cluster. What it enters is what clients sent, were told, and got.
 */

import type { MeshError, Message } from '../../client/index.ts'
import { topicMatches } from '../../client/topic-match.ts'
import { Violation } from '../sim/violation.ts'

/** The body of every published message begins so. */
export interface Value {
  readonly publisher: string
  /** Counts from 1 for each publisher. */
  readonly n: number
}

interface Sent {
  readonly value: Value
  readonly topic: string
  /** Undefined: open, or its publisher died with it. */
  outcome: 'acked' | 'unknown' | 'refused' | undefined
  id: string | undefined
}

/** What came out of one queue that lives through the whole run. */
class QueueBook {
  readonly name: string
  readonly patterns: readonly string[]
  /** Value → how it was seen. */
  readonly received = new Map<string, { readonly id: string; readonly attempts: Set<number> }>()
  /** Message ids whose settle was confirmed as the last one. */
  readonly settled = new Set<string>()
  redeliveries = 0

  constructor(name: string, patterns: readonly string[]) {
    this.name = name
    this.patterns = patterns
  }

  takes(topic: string): boolean {
    return this.patterns.some((pattern) => topicMatches(pattern, topic))
  }
}

const key = ({ publisher, n }: Value): string => `${publisher}:${n}`

export class Ledger {
  readonly #sent = new Map<string, Sent>()
  readonly #queues = new Map<string, QueueBook>()
  /** Message id → value, of everything that was acknowledged or received. */
  readonly #ids = new Map<string, string>()
  acked = 0
  unknown = 0
  refused = 0
  deliveries = 0
  replies = 0
  requestsFailed = 0

  addQueue(name: string, patterns: readonly string[]): void {
    this.#queues.set(name, new QueueBook(name, patterns))
  }

  get queues(): readonly string[] {
    return [...this.#queues.keys()]
  }

  get redeliveries(): number {
    let sum = 0
    for (const { redeliveries } of this.#queues.values()) sum += redeliveries
    return sum
  }

  // ---- publishers

  published(value: Value, topic: string): void {
    this.#sent.set(key(value), { value, topic, outcome: undefined, id: undefined })
  }

  confirmed(value: Value, id: string): void {
    const sent = this.#sent.get(key(value))!
    sent.outcome = 'acked'
    sent.id = id
    this.acked++
    this.#name(id, value)
  }

  failed(value: Value, error: MeshError): void {
    const sent = this.#sent.get(key(value))!
    sent.outcome = error.outcome === 'not-applied' ? 'refused' : 'unknown'
    if (sent.outcome === 'refused') this.refused++
    else this.unknown++
  }

  // ---- consumers

  /** `last`: the greatest number of each publisher that came as a first attempt on this claim so far. */
  received(queue: string | undefined, message: Message, last: Map<string, number>): void {
    this.deliveries++
    const value = message.body as Value
    const name = key(value)
    const sent = this.#sent.get(name)
    const where = queue ?? 'an exclusive queue'
    if (sent === undefined || sent.topic !== message.topic) {
      throw new Violation('nothing appears that was not published', `${name} on ${message.topic} in ${where}`)
    }
    if (sent.outcome === 'refused') {
      throw new Violation('what was not applied does not appear', `${name} in ${where}`)
    }
    if (sent.id !== undefined && sent.id !== message.id) {
      throw new Violation('a message has one id', `${name} is ${sent.id}, and ${message.id} in ${where}`)
    }
    this.#name(message.id, value)
    if (message.attempt === 1) this.#checkOrder(where, value, last)
    if (queue !== undefined) this.#enter(this.#queues.get(queue)!, sent, message)
  }

  /** A settle that ends a message was confirmed. */
  settled(queue: string, id: string): void {
    const { settled } = this.#queues.get(queue)!
    if (settled.has(id)) throw new Violation('a message is settled once', `${id} in ${queue}`)
    settled.add(id)
  }

  // ---- the end

  /** All queues are empty: whatever was published and is not in the books will never be. */
  judge(): void {
    for (const sent of this.#sent.values()) this.#judgeSent(sent)
  }

  /** What a queue of the cluster must have counted, now that it is empty. */
  judgeCounts(queue: string, counted: { readonly published: number; readonly settled: number }): void {
    const { size } = this.#queues.get(queue)!.received
    if (counted.published !== size || counted.settled !== size) {
      const what = `${queue} counted ${counted.published} published and ${counted.settled} settled, clients got ${size}`
      throw new Violation('each message is stored once and settled once', what)
    }
  }

  #judgeSent({ value, topic, outcome }: Sent): void {
    const bound = [...this.#queues.values()].filter((queue) => queue.takes(topic))
    const holding = bound.filter(({ received }) => received.has(key(value)))
    if (holding.length === bound.length) return
    const missing = bound.filter((queue) => !holding.includes(queue)).map(({ name }) => name)
    if (outcome === 'acked') {
      throw new Violation('what was acknowledged is in every bound queue', `${key(value)} is not in ${missing}`)
    }
    if (holding.length > 0) {
      const what = `${key(value)} (${outcome}) is in ${holding.map(({ name }) => name)} and not in ${missing}`
      throw new Violation('a publish reaches all bound queues or none', what)
    }
  }

  #enter(queue: QueueBook, sent: Sent, { id, attempt }: Message): void {
    const name = key(sent.value)
    if (!queue.takes(sent.topic)) {
      throw new Violation('a queue gets what it is bound to', `${name} on ${sent.topic} in ${queue.name}`)
    }
    const known = queue.received.get(name)
    if (known === undefined) queue.received.set(name, { id, attempts: new Set([attempt]) })
    else {
      queue.redeliveries++
      if (known.attempts.has(attempt)) {
        throw new Violation('an attempt is handed out once', `${name} in ${queue.name}, attempt ${attempt}`)
      }
      known.attempts.add(attempt)
    }
  }

  #checkOrder(where: string, { publisher, n }: Value, last: Map<string, number>): void {
    const before = last.get(publisher) ?? 0
    if (n <= before)
      throw new Violation('a queue keeps the order of each publisher', `${publisher}:${n} after ${before} in ${where}`)
    last.set(publisher, n)
  }

  #name(id: string, value: Value): void {
    const known = this.#ids.get(id)
    if (known === undefined) this.#ids.set(id, key(value))
    else if (known !== key(value)) {
      throw new Violation('an id names one message', `${id} is ${known} and ${key(value)}`)
    }
  }
}
