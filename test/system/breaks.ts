/**
 * Breaks to be planted above Raft: each takes one precaution out of the gateway, the router, the sessions, the SDK or the machine. The
 * simulator must object to every one of them.
 *
 * Never: more than one precaution at a time.
 */
import type { PlantedBreak } from '../sim/breaks.ts'
import type { Prey } from '../sim/selftest.ts'

export const systemSimulator: Prey = {
  worker: 'test/system/worker.ts',
  copied: ['package.json', 'raft', 'wire', 'client', 'node', 'test/sim', 'test/system', 'test/support'],
}

export const breaks: readonly PlantedBreak[] = []
