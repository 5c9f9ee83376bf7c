/**
 * One follower hears everything late from the others, and is heard late by them, but not by its clients. The majority beside it goes on at its own
 * pace, so that what the follower knows is of the past for as long as this holds, and clients can see both.
 */
import type { Nemesis } from '../nemesis.ts'
import { between, didDelay, linkFault, without } from './link-fault.ts'
import { theLeader } from './victims.ts'

const HOLD_MS_MIN = 2_000
const HOLD_MS_MAX = 8_000

/** The longest is far from an election timeout, lest the follower campaigns. */
const LAGS_MS = [50, 100, 200, 300] as const

export const lag: Nemesis = {
  name: 'lag',
  about: 'let one follower, and not its clients, hear and be heard late by 50 to 300 ms: what it knows is of the past',
  impairments: ['delay'],
  draw(random, nodes) {
    const order = random.shuffle(nodes)
    const ms = random.pick(LAGS_MS)
    return linkFault({
      name: `lag ${ms} ms`,
      holdMs: random.between(HOLD_MS_MIN, HOLD_MS_MAX),
      impairment: { type: 'delay', ms, jitterMs: 0 },
      async find(target) {
        const [leader] = await theLeader(order).find(target)
        const follower = order.find((node) => node !== leader) ?? order[0]!
        // Alone, a node has no other links.
        const others = order.length === 1 ? [target.links.clients] : without(order, follower)
        return { what: `${follower} is behind ${others.join(',')}`, ways: between([follower], others) }
      },
    })
  },
  bite: didDelay,
}
