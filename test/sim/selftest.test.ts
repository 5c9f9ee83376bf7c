import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { breaks as systemBreaks } from '../system/breaks.ts'
import { breaks } from './breaks.ts'
import { coreWorker, hunt } from './selftest.ts'

/**
 * One of each kind, those that a few seeds find. All of them are hunted by `npm run sim -- --selftest`, which CI runs as a stage of
 * its own.
 */
const quick = [
  'campaign without a pre-vote',
  'commit with less than a majority',
  'answer before the sync',
  'resolve an append before it is written',
]

describe('a planted break', () => {
  it.each(quick)('is found by a few seeds: %s', { timeout: 120_000 }, async (name) => {
    const planted = breaks.filter((each) => each.name === name)
    expect(planted).toHaveLength(1)
    const { found } = await hunt(planted[0]!, { seeds: 40, worker: coreWorker })
    expect(found).toBeDefined()
  })

  it('that is none goes unnoticed', { timeout: 120_000 }, async () => {
    const harmless = { name: 'none', rule: 'none', edits: [] }
    expect((await hunt(harmless, { seeds: 10, worker: coreWorker })).found).toBeUndefined()
  })

  it('is looked at by its witness first, and by all others when that one sees nothing', {
    timeout: 120_000,
  }, async () => {
    const [planted] = breaks.filter(({ name }) => name === 'campaign without a pre-vote')
    const hunting = { worker: coreWorker, seeds: 40 }
    const first = (await hunt(planted!, hunting)).found!.seed
    expect(first).toBeGreaterThan(1)
    expect((await hunt(planted!, { ...hunting, seeds: 1, witness: first })).found?.seed).toBe(first)
    expect((await hunt(planted!, { ...hunting, witness: 1 })).found?.seed).toBe(first)
  })

  it.each([
    ['test/sim/witnesses.json', breaks],
    ['test/system/witnesses.json', systemBreaks],
  ])('has a witness: %s names one for each, and for no other', (file, planted) => {
    const named = Object.keys(JSON.parse(readFileSync(file, 'utf8')) as object)
    expect(named.toSorted()).toEqual(planted.map(({ name }) => name).toSorted())
  })

  it.each([...breaks, ...systemBreaks])('can still be planted: $name', ({ edits }) => {
    for (const { file, find } of edits) expect(readFileSync(file, 'utf8').split(find), file).toHaveLength(2)
  })

  it('whose text is no longer in the sources is an error, not a pass', async () => {
    const outdated = { file: 'raft/quorum.ts', find: 'a line that nobody wrote', replace: '' }
    const planted = { name: 'outdated', rule: 'none', edits: [outdated] }
    const hunting = hunt(planted, { seeds: 1, worker: coreWorker })
    await expect(hunting).rejects.toThrow(/'outdated' cannot be planted/)
    await expect(hunting).rejects.toHaveProperty('cause.message', expect.stringMatching(/stands 0 times/))
  })
})
