/** Waiting with an end. */
import type { Clock } from './clock.ts'

/** Resolves when the promise has settled, or after `ms`. Never rejects. */
export function within(clock: Clock, ms: number, promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.setTimer(ms, resolve)
    const done = () => {
      cancel()
      resolve()
    }
    promise.then(done, done)
  })
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
