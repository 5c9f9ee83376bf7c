/**
 * The production clock: Node's monotonic timer behind Raft's clock port, which all of a node but its sockets runs on.
 *
 * Never: the wall clock, which only stamps message timestamps and the seed of boot ids (server.ts passes it where it is due).
 */
import { performance } from 'node:perf_hooks'
import type { Clock } from '../raft/index.ts'

export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer(ms, callback) {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
  // The check phase follows the poll phase: whatever sockets and disk had ready in this turn is gathered first.
  defer: (callback) => void setImmediate(callback),
}

/** Calls back every `ms` until the returned function is called; once, however many times were missed in a stall. */
export function every(clock: Clock, ms: number, callback: () => void): () => void {
  const tick = () => {
    cancel = clock.setTimer(ms, tick)
    callback()
  }
  let cancel = clock.setTimer(ms, tick)
  return () => cancel()
}
