/** Links with a latency, and with jitter up to as much again: of a city, of a continent, of a bad day. */
import type { Nemesis } from '../nemesis.ts'
import { didDelay, linkFault } from './link-fault.ts'
import { drawWhereabouts } from './whereabouts.ts'

const HOLD_MS_MIN = 1_000
const HOLD_MS_MAX = 10_000

/** The longest is a good part of an election timeout. */
const DELAYS_MS = [2, 10, 50, 150, 400] as const

export const delay: Nemesis = {
  name: 'delay',
  about: 'hold back what passes by up to 0.8 s, with jitter, in order',
  impairments: ['delay'],
  draw(random, nodes) {
    const where = drawWhereabouts(random, nodes)
    const ms = random.pick(DELAYS_MS)
    const jitterMs = random.between(0, ms)
    return linkFault({
      name: `delay ${ms}-${ms + jitterMs} ms, ${where.name}`,
      holdMs: random.between(HOLD_MS_MIN, HOLD_MS_MAX),
      impairment: { type: 'delay', ms, jitterMs },
      find: where.find,
    })
  },
  bite: didDelay,
}
