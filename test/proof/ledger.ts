/**
 * The books of a proof: what publishers sent and got confirmed on one side, what a queue's consumers received on the
 * other, and what must hold between the two.
 */
import type { Message } from '../../client/index.ts'

/** The body of every message of a proof. */
export interface Numbered {
  readonly publisher: string
  /** Counts from 1 for each publisher. */
  readonly n: number
}

interface Sent {
  last: number
  /** Message id by number. */
  readonly acked: Map<number, string>
}

export class Ledger {
  readonly #sent = new Map<string, Sent>()
  /** When each confirm came, monotonic milliseconds. */
  readonly #ackTimes: number[] = []
  readonly errors: unknown[] = []

  get acked(): number {
    return this.#ackTimes.length
  }

  /** Publishers and how far each has come. */
  get sent(): ReadonlyMap<string, Sent> {
    return this.#sent
  }

  next(publisher: string): Numbered {
    let sent = this.#sent.get(publisher)
    if (sent === undefined) {
      sent = { last: 0, acked: new Map() }
      this.#sent.set(publisher, sent)
    }
    return { publisher, n: ++sent.last }
  }

  ack({ publisher, n }: Numbered, id: string): void {
    this.#sent.get(publisher)!.acked.set(n, id)
    this.#ackTimes.push(performance.now())
  }

  /** Confirms that came at or after `fromMs`. */
  ackedSince(fromMs: number): number {
    const first = this.#ackTimes.findIndex((at) => at >= fromMs)
    return first < 0 ? 0 : this.#ackTimes.length - first
  }

  /** The longest pause between two confirms from the last one before `fromMs` on, milliseconds. */
  longestStall(fromMs: number): number {
    let longest = 0
    for (let i = this.#ackTimes.length - 1; i > 0; i--) {
      longest = Math.max(longest, this.#ackTimes[i]! - this.#ackTimes[i - 1]!)
      if (this.#ackTimes[i - 1]! < fromMs) break
    }
    return longest
  }
}

/** All empty when everything is as promised; else a few words for each violation. */
export interface Verdict {
  /** Confirmed and not received. */
  readonly lost: readonly string[]
  /** Received and never sent, or under another id than the confirmed one. */
  readonly unexpected: readonly string[]
  /** The same message under two ids, or the same id twice without being marked as a repeated attempt. */
  readonly storedTwice: readonly string[]
  /** A publisher's message that came, for the first time, after a later one. */
  readonly outOfOrder: readonly string[]
  /** Delivered again after its ack was confirmed. */
  readonly afterAck: readonly string[]
}

export const flawless: Verdict = { lost: [], unexpected: [], storedTwice: [], outOfOrder: [], afterAck: [] }

/** What came out of one queue. */
export class Receipts {
  /** Number → message id, for each publisher. */
  readonly #received = new Map<string, Map<number, string>>()
  readonly #latest = new Map<string, number>()
  readonly #settled = new Set<string>()
  readonly #storedTwice: string[] = []
  readonly #outOfOrder: string[] = []
  readonly #afterAck: string[] = []
  #count = 0
  #redeliveries = 0

  /** Different messages. */
  get count(): number {
    return this.#count
  }

  get redeliveries(): number {
    return this.#redeliveries
  }

  receive({ id, body, attempt }: Pick<Message, 'id' | 'body' | 'attempt'>): void {
    const { publisher, n } = body as Numbered
    const name = `${publisher} ${n}`
    if (this.#settled.has(id)) this.#afterAck.push(name)
    let numbers = this.#received.get(publisher)
    if (numbers === undefined) {
      numbers = new Map()
      this.#received.set(publisher, numbers)
    }
    const former = numbers.get(n)
    if (former !== undefined) {
      if (former !== id || attempt === 1) this.#storedTwice.push(`${name} as ${former} and ${id}, attempt ${attempt}`)
      this.#redeliveries++
      return
    }
    numbers.set(n, id)
    this.#count++
    const latest = this.#latest.get(publisher) ?? 0
    if (n < latest) this.#outOfOrder.push(`${name} after ${latest}`)
    else this.#latest.set(publisher, n)
  }

  /** Its ack was confirmed. */
  settle(id: string): void {
    this.#settled.add(id)
  }

  judge(ledger: Ledger): Verdict {
    const lost: string[] = []
    const unexpected: string[] = []
    for (const [publisher, { acked }] of ledger.sent) {
      const numbers = this.#received.get(publisher)
      for (const [n, id] of acked) {
        const received = numbers?.get(n)
        if (received === undefined) lost.push(`${publisher} ${n}`)
        else if (received !== id) unexpected.push(`${publisher} ${n} as ${received}, confirmed as ${id}`)
      }
    }
    for (const [publisher, numbers] of this.#received) {
      const last = ledger.sent.get(publisher)?.last ?? 0
      for (const n of numbers.keys()) if (!(n >= 1 && n <= last)) unexpected.push(`${publisher} ${n}`)
    }
    return {
      lost,
      unexpected,
      storedTwice: this.#storedTwice,
      outOfOrder: this.#outOfOrder,
      afterAck: this.#afterAck,
    }
  }
}
