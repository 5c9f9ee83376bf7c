/**
 * Time and chance as the client sees them, so that its tests hold both in their hands.
 */

export interface Clock {
  /** Monotonic milliseconds. */
  now(): number
  /** Wall clock, for the timestamps of volatile messages alone. */
  wallMs(): number
  /** Calls back once after `ms`; the returned function cancels. */
  setTimer(ms: number, callback: () => void): () => void
  /** Calls back once, soon, after the events that are at hand: what one turn produces is gathered this way. */
  defer(callback: () => void): void
  /** In [0, 1). */
  random(): number
}

/** Timers of a browser or of Node count in 31 bits; a longer one would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, TIMER_MS_MAX))
    return () => clearTimeout(timer)
  },
  // Browsers have no setImmediate. Microtasks gather what the handlers of one event produce, which is a browser's load.
  defer:
    typeof setImmediate === 'function' ? (callback) => setImmediate(callback) : (callback) => queueMicrotask(callback),
  random: () => Math.random(),
}
