import { describe, expect, it } from 'vitest'
import { hunt } from '../sim/selftest.ts'
import { breaks, systemWorker } from './breaks.ts'

/** Those that a few seeds find. All of them are hunted by `npm run system -- --selftest`. */
const quick = ['forget node commands when the leader changes', 'restore sessions that have published nothing']

describe('a break planted above Raft', () => {
  it.each(quick)('is found by a few seeds: %s', { timeout: 120_000 }, async (name) => {
    const planted = breaks.filter((each) => each.name === name)
    expect(planted).toHaveLength(1)
    const { found } = await hunt(planted[0]!, { seeds: 40, worker: systemWorker })
    expect(found).toBeDefined()
  })

  it('that is none goes unnoticed', { timeout: 120_000 }, async () => {
    const harmless = { name: 'none', rule: 'none', edits: [] }
    expect((await hunt(harmless, { seeds: 10, worker: systemWorker })).found).toBeUndefined()
  })
})
