/**
 * Which calls of the SDK consumers have begun and not come to the end of, read from what they tell (workloads/taker.ts): to subscribe, to
 * settle, to close. They are no operations: nobody but the consumer waits for them, and one that never settles would be seen by no one.
 */
import { fields } from '../check/operations.ts'
import type { Json } from '../history.ts'

export class OpenCalls {
  readonly #open = new Set<string>()

  /** As `settle of 12 taker#1: message m4, attempt 1`. */
  get all(): readonly string[] {
    return [...this.#open]
  }

  /** What a consumer has told. */
  see(name: string, f: string, value: Json): void {
    const { message, attempt, error } = fields(value)
    const settle = `settle of ${name}: message ${message}, attempt ${attempt}`
    const subscribe = `subscribe of ${name}`
    const close = `close of ${name}`
    switch (f) {
      case 'subscribe':
        return void this.#open.add(subscribe)
      case 'answered':
        return void this.#open.delete(subscribe)
      case 'settle':
        return void this.#open.add(settle)
      case 'settled':
        return void this.#open.delete(settle)
      case 'lost':
        // Without an error it is the message that is lost: its settle has to come to its own end.
        if (error !== undefined) this.#open.delete(settle)
        return
      case 'close':
        return void this.#open.add(close)
      case 'closed':
      case 'ended':
        return void this.#open.delete(close)
    }
  }

  /** Nobody is left to come to the end of them. */
  clear(): void {
    this.#open.clear()
  }
}
