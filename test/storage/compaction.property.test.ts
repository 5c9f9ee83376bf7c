/**
 * Random histories of appends, cuts, checkpoints, compactions and installs on a disk that crashes, tears, rots and loses files:
 * nothing that resolved is lost unless the start says so, nothing that is held is wrong, and a second start agrees with the first.
 */

import { expect, test } from 'vitest'
import { fc } from '../support/property.ts'
import { RaftLike } from './support/raft-like.ts'

const runs = 300

const size = fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 2_500 }))
const sizes = fc.array(size, { minLength: 1, maxLength: 6 })
/** Every how many entries one is referred to. */
const sparseness = fc.integer({ min: 1, max: 12 })
const share = fc.integer({ min: 0, max: 999 }).map((permille) => permille / 1000)

const use = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      type: fc.constant('append' as const),
      cutBack: fc.oneof(
        { weight: 4, arbitrary: fc.constant(0) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: 5 }) },
      ),
      sizes,
      commitLag: fc.integer({ min: 0, max: 6 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('pass' as const),
      ms: fc.integer({ min: 0, max: 60 }).map((tenths) => tenths / 10),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'pass' as const, ms: 400 }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('compact' as const),
      share,
      trailing: fc.integer({ min: 0, max: 5 }),
      sparseness,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('install' as const),
      ahead: fc.integer({ min: 1, max: 20 }),
      sizes,
      sparseness,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('read' as const), share, bytesMax: fc.integer({ min: 0, max: 5_000 }) }),
  },
)

const end = fc.record({
  type: fc.constantFrom('crash' as const, 'stop' as const),
  damages: fc.array(
    fc.record({
      which: fc.nat({ max: 100_000 }),
      how: fc.constantFrom('rot' as const, 'rot' as const, 'rot' as const, 'lose' as const, 'shorten' as const),
    }),
    { maxLength: 2 },
  ),
})

type Use = typeof use extends fc.Arbitrary<infer T> ? T : never

async function perform(run: RaftLike, step: Use): Promise<void> {
  switch (step.type) {
    case 'append':
      return run.append(step.cutBack, step.sizes, step.commitLag)
    case 'pass':
      return run.world.pass(step.ms)
    case 'compact':
      return run.checkpointAndCompact(step.share, step.trailing, (index) => index % step.sparseness === 0)
    case 'install':
      return run.install(step.ahead, step.sizes, (index) => index % step.sparseness === 0)
    case 'read':
      return run.read(step.share, step.bytesMax)
  }
}

/** What was seen over all runs: a property that nothing touches proves nothing. */
const seen: Record<string, number> = {}

async function play(
  seed: number,
  lives: { uses: Use[]; end: { type: 'crash' | 'stop'; damages: never[] } }[],
): Promise<void> {
  const run = new RaftLike(seed)
  await run.open()
  for (const { uses, end: how } of lives) {
    for (const step of uses) await perform(run, step)
    if (how.type === 'stop') await run.stop()
    else run.crash()
    for (const { which, how: kind } of how.damages as { which: number; how: 'rot' }[]) await run.damage(which, kind)
    await run.open()
  }
  await run.finish()
  for (const [what, count] of Object.entries(run.seen)) seen[what] = (seen[what] ?? 0) + count
}

const lives = (damaged: boolean) =>
  fc.array(
    fc.record({
      uses: fc.array(use, { minLength: 3, maxLength: 40 }),
      end: damaged ? end : end.map((each) => ({ ...each, damages: [] })),
    }),
    { minLength: 1, maxLength: 5 },
  )

test('a log that is compacted and crashes keeps all that is needed, and never speaks of damage', async () => {
  const property = fc.asyncProperty(fc.nat(), lives(false), (seed, all) => play(seed, all as never))
  await fc.assert(property, { numRuns: runs })
  expect(seen).toMatchObject({ damages: 0, repaired: 0 })
  for (const what of ['removed', 'rewritten', 'installs', 'torn']) expect(seen[what], what).toBeGreaterThan(0)
}, 300_000)

test('a log that rots or loses files tells so, holds nothing that is wrong, and is whole again once it was mended', async () => {
  const property = fc.asyncProperty(fc.nat(), lives(true), (seed, all) => play(seed, all as never))
  await fc.assert(property, { numRuns: runs })
  for (const what of ['damages', 'forgets', 'repaired', 'misfits']) expect(seen[what], what).toBeGreaterThan(0)
}, 300_000)
