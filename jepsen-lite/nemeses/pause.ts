/**
 * SIGSTOP of one node, the leader, a majority or all: their sockets stay open and nobody answers. Then they go on as if no time had passed
 * (traps 10, 46).
 */
import type { Fault, Nemesis } from '../nemesis.ts'
import { drawVictims, type Victims } from './victims.ts'

/** Shorter than an election, and longer. */
const PAUSE_MS_MIN = 200
const PAUSE_MS_MAX = 8_000

export const pause: Nemesis = {
  name: 'pause',
  about: 'SIGSTOP one node, the leader, a majority or all, and SIGCONT them',
  draw: (random, nodes) => faultOf(drawVictims(random, nodes), random.between(PAUSE_MS_MIN, PAUSE_MS_MAX)),
  bite: ({ pauses = 0 }) => (pauses > 0 ? undefined : 'no node was paused'),
}

function faultOf(victims: Victims, holdMs: number): Fault {
  let paused: readonly string[] = []
  return {
    name: `pause ${victims.name}`,
    holdMs,
    async begin(target) {
      const found = await victims.find(target)
      paused = found.filter((node) => target.isRunning(node))
      for (const node of paused) target.pause(node)
      return { what: `paused ${paused.join(',') || 'nobody: they are down'}`, done: { pauses: paused.length } }
    },
    async end(target) {
      for (const node of paused) target.resume(node)
      return { what: `resumed ${paused.join(',') || 'nobody'}`, done: {} }
    },
  }
}
