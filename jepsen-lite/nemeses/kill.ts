/** SIGKILL of one node, the leader, a majority or all, and a start some time later. What was written without a sync survives (see cutPower). */
import type { Fault, Nemesis } from '../nemesis.ts'
import { drawVictims, type Victims } from './victims.ts'

const DOWN_MS_MIN = 200
const DOWN_MS_MAX = 6_000

export const kill: Nemesis = {
  name: 'kill',
  about: 'SIGKILL one node, the leader, a majority or all, and start them again',
  draw: (random, nodes) => faultOf(drawVictims(random, nodes), random.between(DOWN_MS_MIN, DOWN_MS_MAX)),
  bite: ({ kills = 0 }) => (kills > 0 ? undefined : 'no node was killed'),
}

function faultOf(victims: Victims, holdMs: number): Fault {
  let killed: readonly string[] = []
  return {
    name: `kill ${victims.name}`,
    holdMs,
    async begin(target) {
      const found = await victims.find(target)
      const ran = await Promise.all(found.map((node) => target.kill(node)))
      killed = found.filter((_, i) => ran[i])
      return { what: `killed ${killed.join(',') || 'nobody: they were down'}`, done: { kills: killed.length } }
    },
    async end(target) {
      await Promise.all(killed.map((node) => target.start(node)))
      return { what: `started ${killed.join(',') || 'nobody'}`, done: {} }
    },
  }
}
