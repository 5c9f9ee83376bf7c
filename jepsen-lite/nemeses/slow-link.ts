/** Links of little bandwidth: heartbeats and bulk have to share it (trap 45). */
import type { Nemesis } from '../nemesis.ts'
import { didDelay, linkFault } from './link-fault.ts'
import { drawWhereabouts } from './whereabouts.ts'

const HOLD_MS_MIN = 2_000
const HOLD_MS_MAX = 10_000

const BYTES_PER_SECOND = [8_000, 32_000, 128_000, 512_000] as const

export const slowLink: Nemesis = {
  name: 'slow-link',
  about: 'let 8 to 512 KB a second pass in each direction',
  impairments: ['rate'],
  draw(random, nodes) {
    const where = drawWhereabouts(random, nodes)
    const bytesPerSecond = random.pick(BYTES_PER_SECOND)
    return linkFault({
      name: `slow link ${bytesPerSecond / 1000} KB/s, ${where.name}`,
      holdMs: random.between(HOLD_MS_MIN, HOLD_MS_MAX),
      impairment: { type: 'rate', bytesPerSecond },
      find: where.find,
    })
  },
  bite: didDelay,
}
