import { expect, it } from 'vitest'
import { describeFailure } from '../sim/report.ts'
import { runSeed } from './run.ts'

/**
 * Seeds that once found a bug. A seed means another run once what runs draw has changed; the test beside the fixed code tells the bug
 * itself.
 */
const found: readonly (readonly [bug: string, seed: number])[] = [
  // test/node/bodies.test.ts
  ['entries that were read ahead and then replaced by another leader were handed out as bodies', 570],
  // test/raft/founding.test.ts
  ['a cluster was never founded once a crash had torn the first write of a member', 345],
  ['a cluster was never founded once a crash had torn the first write of a member', 949],
  // test/node/gateway.test.ts
  ['what a session was given while its node jumped over its attachment was lost until its visibility ended', 302_313],
  ['what a session was given while its node jumped over its attachment was lost until its visibility ended', 401_886],
  ['a leader went by what a peer had said of its disk on a path that is gone, and refused publishes', 500_243],
  // test/client/consumer-faults.test.ts
  [
    'a subscription whose commands had yet to be sent when the session was lost got nothing, and said nothing',
    3_001_274,
  ],
]

it.each(found)('no longer: %s (seed %i)', { timeout: 60_000 }, async (_, seed) => {
  const result = await runSeed(seed)
  expect(describeFailure(result, 'system')).toBe(`seed ${seed} passes`)
})
