import { describe, expect, test } from 'vitest'
import { findMisfit } from '../../node/storage/fit.ts'
import { encodeSegmentHeader, segmentName } from '../../node/storage/segment.ts'
import { isSoleVoter, newestMembership } from '../../node/storage/sole-voter.ts'
import type { RecoveredLog } from '../../raft/index.ts'
import { EntryType, encodeMembership, type Member } from '../../raft/index.ts'
import { StorageWorld } from './support/storage-world.ts'
import { markAt } from './support/store.ts'

/** Terms rise by one every five entries, and begin with 1. */
function logOf(firstIndex: number, lastIndex: number): RecoveredLog {
  const termAt = (index: number) => (index === 0 ? 0 : 1 + Math.floor((index - 1) / 5))
  const termRuns: { firstIndex: number; term: number }[] = []
  for (let index = firstIndex; index <= lastIndex; index++) {
    if (termRuns.at(-1)?.term !== termAt(index)) termRuns.push({ firstIndex: index, term: termAt(index) })
  }
  const hardState = { term: 9, vote: '', commit: 0 }
  return { hardState, firstIndex, baseTerm: termAt(firstIndex - 1), lastIndex, termRuns, memberships: [] }
}

describe('a log and a checkpoint', () => {
  test.each([
    ['an empty log without checkpoint', logOf(1, 0), undefined],
    ['a whole log without checkpoint', logOf(1, 20), undefined],
    ['a log that reaches over the checkpoint', logOf(1, 20), markAt(12, 3)],
    ['a log that ends at the checkpoint', logOf(1, 12), markAt(12, 3)],
    ['a log that begins behind the checkpoint', logOf(13, 20), markAt(12, 3)],
    ['an empty log behind the checkpoint', logOf(13, 12), markAt(12, 3)],
  ])('fit: %s', (_, log, mark) => {
    for (const origin of ['local', 'installed'] as const) {
      expect(findMisfit(log, mark && { mark, origin })).toBeUndefined()
    }
  })

  test.each([
    ['the log begins later than without a checkpoint it may', logOf(2, 20), undefined, 0],
    ['the log begins later than right behind the checkpoint', logOf(14, 20), markAt(12, 3), 12],
  ])('do not fit, and something is forgotten: %s', (_, log, mark, base) => {
    const misfit = findMisfit(log, mark && { mark, origin: 'installed' })
    expect(misfit).toMatchObject({ forgets: true, base: { index: base, term: mark?.term ?? 0 } })
  })

  test.each([
    ['the log ends before the checkpoint', logOf(1, 11), markAt(12, 3)],
    ['there is no log', logOf(1, 0), markAt(12, 3)],
    ['the entry of the mark has another term', logOf(1, 20), markAt(12, 4)],
    ['the entry before the log has another term', logOf(13, 20), markAt(12, 4)],
  ])('do not fit, and something is forgotten unless the checkpoint was installed: %s', (_, log, mark) => {
    const base = { index: mark.index, term: mark.term }
    expect(findMisfit(log, { mark, origin: 'local' })).toMatchObject({ base, forgets: true })
    expect(findMisfit(log, { mark, origin: 'installed' })).toMatchObject({ base, forgets: false })
  })
})

describe('the only voter', () => {
  const self = { id: 'n1', incarnation: 'life-1' }
  const voter = (index: number, voters: number) => ({ ...markAt(1, 1, voters).membership, index })
  const entryOf = (voters: Member[], votersOutgoing: Member[] = [], learners: Member[] = []) => ({
    ...{ index: 1, term: 1, type: EntryType.membership },
    data: encodeMembership({ clusterId: 'c', voters, votersOutgoing, learners }),
  })

  test('is known from the newest membership', () => {
    expect(newestMembership(undefined, undefined)).toBeUndefined()
    expect(isSoleVoter(self, undefined)).toBeUndefined()
    expect(isSoleVoter(self, newestMembership(voter(1, 1)))).toBe(true)
    expect(isSoleVoter(self, newestMembership(voter(1, 1), voter(7, 3)))).toBe(false)
    expect(isSoleVoter(self, newestMembership(voter(7, 1), voter(1, 3)))).toBe(true)
    expect(isSoleVoter(self, newestMembership(undefined, voter(1, 1)))).toBe(true)
  })

  test('is not alone while others leave, nor made less alone by learners', () => {
    const other = { id: 'n2', incarnation: 'x' }
    expect(isSoleVoter(self, entryOf([self], [self, other]))).toBe(false)
    expect(isSoleVoter(self, entryOf([self], [], [other]))).toBe(true)
  })

  test('is this directory, and not another one beside which it learns or from whose cluster it was removed', () => {
    const other = { id: 'n2', incarnation: 'x' }
    expect(isSoleVoter(self, entryOf([other], [], [self]))).toBe(false)
    expect(isSoleVoter(self, entryOf([other]))).toBe(false)
    expect(isSoleVoter(self, entryOf([{ ...self, incarnation: 'life-0' }]))).toBe(false)
  })
})

test('a log whose segments name two nodes tells nobody whose it is', async () => {
  const world = new StorageWorld()
  await world.prepare({ voters: 3, compacted: false })
  const header = { sequence: 9, firstBatch: 99, previousEnd: 512, segmentBytes: 5_120 }
  const strange = encodeSegmentHeader({ ...header, identity: { nodeId: 'n1', incarnation: 'another life' } })
  world.world.files.setContents(`/data/wal/${segmentName(9)}`, strange)
  world.store.lose()
  await expect(world.open()).rejects.toMatchObject({ code: 'IdentityMissing' })
})
