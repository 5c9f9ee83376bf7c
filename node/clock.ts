/**
 * The production clock: Node's monotonic timer behind Raft's clock port.
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
