/** Calls under way: what went wrong with any of them, and how long each kind took at most. */
export class CallBook {
  readonly failures: string[] = []
  /** By kind of call, milliseconds. */
  readonly slowestMs: Record<string, number> = {}
  /** That succeeded, by kind. */
  readonly calls: Record<string, number> = {}
  readonly #open = new Set<Promise<unknown>>()

  /** `check` throws when the call's value is not what it should be. */
  note<T>(what: string, promise: Promise<T>, check: (value: T) => unknown = () => {}): void {
    const sinceMs = performance.now()
    const noted = promise.then(check).then(
      () => {
        this.calls[what] = (this.calls[what] ?? 0) + 1
        this.slowestMs[what] = Math.max(this.slowestMs[what] ?? 0, performance.now() - sinceMs)
      },
      (error: unknown) => this.failures.push(`${what}: ${error}`),
    )
    this.#open.add(noted)
    void noted.finally(() => this.#open.delete(noted))
  }

  async settled(): Promise<void> {
    while (this.#open.size > 0) await Promise.all(this.#open)
  }
}
