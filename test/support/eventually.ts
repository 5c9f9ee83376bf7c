/**
 * Waiting in tests: for a condition, with a deadline, looked at again and again. Never for a length of time, which is
 * too long on one machine and too short on another.
 */

export interface EventuallyOptions {
  /** Gives up after so many milliseconds. Default 10,000. */
  readonly withinMs?: number
  /** What is waited for, for the message. */
  readonly what?: string
}

/** Between two looks, milliseconds. */
const PAUSE_MS = 10

/**
 * Resolves with the first value of `look` that is neither undefined, null nor false. A throw counts as "not yet"; what was thrown last is
 * the cause of the error at the deadline.
 */
export async function eventually<T>(
  look: () => T | Promise<T>,
  { withinMs = 10_000, what = look.toString() }: EventuallyOptions = {},
): Promise<Exclude<T, undefined | null | false>> {
  const deadline = performance.now() + withinMs
  let cause: unknown
  for (;;) {
    try {
      const value = await look()
      if (value !== undefined && value !== null && value !== false) {
        return value as Exclude<T, undefined | null | false>
      }
      cause = undefined
    } catch (error) {
      cause = error
    }
    if (performance.now() >= deadline) throw new Error(`not within ${withinMs} ms: ${what}`, { cause })
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
}
