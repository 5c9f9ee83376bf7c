/** Lets a few at a time pass; the others wait in the order in which they came. */
export class Slots {
  readonly #count: number
  #free: number
  readonly #waiting: (() => void)[] = []
  readonly #idleWaiters: (() => void)[] = []

  constructor(count: number) {
    this.#count = count
    this.#free = count
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      this.#release()
    }
  }

  /** Resolves when nobody is inside and nobody waits. */
  async idle(): Promise<void> {
    if (this.#free < this.#count) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve))
  }

  #release(): void {
    const next = this.#waiting.shift()
    if (next !== undefined) {
      next()
      return
    }
    this.#free++
    if (this.#free === this.#count) for (const waiter of this.#idleWaiters.splice(0)) waiter()
  }
}
