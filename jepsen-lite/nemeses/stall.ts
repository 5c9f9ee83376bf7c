/** Links through which nothing passes for a while, and then all of it: a full queue somewhere, a path that is found anew. */
import type { Nemesis } from '../nemesis.ts'
import { didDelay, linkFault } from './link-fault.ts'
import { drawWhereabouts } from './whereabouts.ts'

const HOLD_MS_MIN = 100
const HOLD_MS_MAX = 6_000

export const stall: Nemesis = {
  name: 'stall',
  about: 'hold back all that passes for up to 6 s, and then let go of it',
  impairments: ['stall'],
  draw(random, nodes) {
    const where = drawWhereabouts(random, nodes)
    const holdMs = random.between(HOLD_MS_MIN, HOLD_MS_MAX)
    return linkFault({ name: `stall ${where.name}`, holdMs, impairment: { type: 'stall' }, find: where.find })
  },
  bite: didDelay,
}
