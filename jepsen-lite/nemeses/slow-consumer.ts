/** Clients that read slowly, or not at all for a while: what nodes have for them piles up, and must neither grow without end nor hinder others. */
import type { Nemesis } from '../nemesis.ts'
import { didDelay, linkFault, towards } from './link-fault.ts'

const HOLD_MS_MIN = 1_000
const HOLD_MS_MAX = 8_000

const BYTES_PER_SECOND = [1_000, 4_000, 16_000] as const

export const slowConsumer: Nemesis = {
  name: 'slow-consumer',
  about: 'let clients of one node or of all read 1 to 16 KB a second, or nothing',
  impairments: ['rate', 'stall'],
  draw(random, nodes) {
    const slowed = random.chance(0.5) ? [random.pick(nodes)] : [...nodes]
    const isStalled = random.chance(0.3)
    const bytesPerSecond = random.pick(BYTES_PER_SECOND)
    const how = isStalled ? 'nothing' : `${bytesPerSecond / 1000} KB/s`
    return linkFault({
      name: `slow consumers of ${slowed}: ${how}`,
      holdMs: random.between(HOLD_MS_MIN, HOLD_MS_MAX),
      impairment: isStalled ? { type: 'stall' } : { type: 'rate', bytesPerSecond },
      find: async ({ links }) => ({
        what: `clients read ${how} from ${slowed}`,
        ways: towards(slowed, [links.clients]),
      }),
    })
  },
  bite: didDelay,
}
