/**
 * A log that begins behind a base, for what comes before was forgotten: what it still knows, where others' entries meet it, and
 * what it refuses to forget (§7).
 */

import { describe, expect, test } from 'vitest'
import { decodeMembership, type Entry, EntryType, encodeMembership, type SnapshotMark } from '../../raft/index.ts'
import { RaftLog } from '../../raft/log.ts'
import { MembershipHistory } from '../../raft/membership.ts'
import { fc } from '../support/property.ts'
import { NO_BASE, recoveredLog, textEntry } from './support/entries.ts'
import { foundedLog } from './support/solo.ts'

/** Terms of the entries 1, 2, …; the log holds those behind `base`, and the machine was restored to `mark`. */
function logWithBase(terms: readonly number[], base: number, mark = base, commit = 0): RaftLog {
  const whole = foundedLog(['n1'], terms)
  const position = base === 0 ? NO_BASE : { index: base, term: terms[base - 1]! }
  const recovered = recoveredLog({ term: 9, vote: '', commit }, whole.slice(base), position)
  const checkpoint = mark === 0 ? undefined : { index: mark, term: terms[mark - 1]!, membership: whole[0]! }
  return new RaftLog(recovered, 1e9, checkpoint)
}

const TERMS = [1, 1, 2, 2, 2, 4, 4, 5]

describe('a log with a base', () => {
  test('knows the terms from the base on, and nothing of what comes before or beyond', () => {
    const log = logWithBase(TERMS, 4)
    expect([4, 5, 6, 7, 8].map((index) => log.termAt(index))).toEqual([2, 2, 4, 4, 5])
    expect([0, 1, 3, 9].map((index) => log.termAt(index))).toEqual([undefined, undefined, undefined, undefined])
    expect(log).toMatchObject({ baseIndex: 4, lastIndex: 8, lastTerm: 5 })
  })

  test('may hold nothing at all: it ends where it begins, and goes on from there', () => {
    const log = logWithBase([1, 1, 2], 3)
    expect(log).toMatchObject({ baseIndex: 3, lastIndex: 3, lastTerm: 2, persistedIndex: 3 })
    log.append([textEntry(4, 2), textEntry(5, 3)])
    expect([3, 4, 5].map((index) => log.termAt(index))).toEqual([2, 2, 3])
    expect(log.isUpToDate(4, 2)).toBe(false)
  })

  test.each([
    { base: 2, mark: 4, commit: 0, starts: 4, commits: 4 },
    { base: 2, mark: 4, commit: 6, starts: 4, commits: 6 },
    { base: 4, mark: 4, commit: 99, starts: 4, commits: 8 },
    { base: 0, mark: 0, commit: 5, starts: 0, commits: 5 },
    { base: 8, mark: 8, commit: 3, starts: 8, commits: 8 },
  ])(
    'behind $base, restored to $mark, told that $commit is committed, starts at $starts and $commits',
    ({ base, mark, commit, starts, commits }) => {
      expect(logWithBase(TERMS, base, mark, commit)).toMatchObject({ appliedIndex: starts, commitIndex: commits })
    },
  )

  test('and a checkpoint that do not meet are refused', () => {
    expect(() => logWithBase(TERMS, 4, 3)).toThrow('do not meet')
    expect(() => logWithBase(TERMS, 4, 0)).toThrow('do not meet')
    const recovered = recoveredLog({ term: 9, vote: '', commit: 0 }, foundedLog(['n1'], TERMS))
    const membership = foundedLog(['n1'], [1])[0]!
    expect(() => new RaftLog(recovered, 1e9, { index: 9, term: 5, membership })).toThrow('do not meet')
    expect(() => new RaftLog(recovered, 1e9, { index: 4, term: 4, membership })).toThrow('of term 4')
  })

  test.each([
    { index: 8, term: 9, found: 8 },
    { index: 8, term: 4, found: 7 },
    { index: 8, term: 3, found: 5 },
    { index: 5, term: 2, found: 5 },
    { index: 4, term: 2, found: 4 },
    // Only before the base could there be one.
    { index: 8, term: 1, found: 3 },
    { index: 3, term: 9, found: 3 },
    { index: 1, term: 0, found: 1 },
  ])('behind 4, the last index up to $index with a term of at most $term is $found', ({ index, term, found }) => {
    expect(logWithBase(TERMS, 4).lastIndexWithTermAtMost(index, term)).toBe(found)
  })

  test('counts what comes before the base as held, whatever its term (trap 29)', () => {
    const log = logWithBase(TERMS, 4)
    expect(log.heldOf([textEntry(2, 1), textEntry(3, 2), textEntry(4, 2), textEntry(5, 2), textEntry(6, 3)])).toBe(4)
    expect(log.heldOf([textEntry(3, 7), textEntry(4, 7)])).toBe(2)
    expect([log.holdsCommitted(3, 7), log.holdsCommitted(5, 2), log.holdsCommitted(5, 3)]).toEqual([true, true, false])
  })
})

describe('forgetting', () => {
  test('moves the base and leaves what comes behind it as it was', () => {
    const log = logWithBase(TERMS, 0, 0, 8)
    log.appliedTo(6)
    log.compact(4)
    expect(log).toMatchObject({ baseIndex: 4, lastIndex: 8, commitIndex: 8, appliedIndex: 6 })
    expect([3, 4, 5, 6, 8].map((index) => log.termAt(index))).toEqual([undefined, 2, 2, 4, 5])
    log.compact(2)
    expect(log.baseIndex).toBe(4)
    log.compact(6)
    expect([5, 6, 7].map((index) => log.termAt(index))).toEqual([undefined, 4, 4])
  })

  test('never takes what is not applied here, or not synced', () => {
    const log = logWithBase(TERMS, 0, 0, 8)
    log.appliedTo(3)
    expect(() => log.compact(4)).toThrow('applied is 3')
    log.append([textEntry(9, 5)])
    log.takeUnhanded()
    log.commitTo(9)
    log.appliedTo(9)
    expect(() => log.compact(9)).toThrow('persisted 8')
    log.persistedTo(9, 5)
    log.compact(9)
    expect(log).toMatchObject({ baseIndex: 9, lastIndex: 9, lastTerm: 5 })
  })

  test('leaves the cache: deliveries still read from memory what the log holds no more', () => {
    const log = logWithBase([1], 0, 0, 1)
    log.append([2, 3, 4].map((index) => textEntry(index, 1)))
    log.takeUnhanded()
    log.persistedTo(4, 1)
    log.commitTo(4)
    log.appliedTo(4)
    log.compact(3)
    expect(log.entry(2)).toMatchObject({ index: 2 })
    expect(log.entriesFrom(3, 1e9)).toHaveLength(2)
  })

  test('does not stop entries behind it from being cut and replaced', () => {
    const log = logWithBase(TERMS, 0, 0, 5)
    log.appliedTo(5)
    log.compact(5)
    log.truncateFrom(6)
    expect(log).toMatchObject({ lastIndex: 5, lastTerm: 2 })
    log.append([textEntry(6, 2), textEntry(7, 3)])
    expect([5, 6, 7].map((index) => log.termAt(index))).toEqual([2, 2, 3])
  })

  test('a log that forgets now and then says the same as one that does not, of all that it holds', () => {
    const step = fc.oneof(
      fc.record({ op: fc.constant('append' as const), rises: fc.array(fc.nat(1), { minLength: 1, maxLength: 4 }) }),
      fc.record({ op: fc.constant('cut' as const), back: fc.nat(5) }),
      fc.record({ op: fc.constant('commit' as const), back: fc.nat(2) }),
      fc.record({ op: fc.constant('forget' as const), back: fc.nat(2) }),
    )
    const run = (steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[]) => {
      const whole = logWithBase([1], 0)
      const short = logWithBase([1], 0)
      for (const each of steps) {
        const both = [whole, short]
        if (each.op === 'append') {
          for (const rise of each.rises) {
            const entry = textEntry(whole.lastIndex + 1, whole.lastTerm + rise)
            for (const log of both) log.append([entry])
          }
        } else if (each.op === 'cut') {
          for (const log of both) log.truncateFrom(Math.max(log.commitIndex + 1, log.lastIndex - each.back))
        } else if (each.op === 'commit') {
          const index = Math.max(whole.commitIndex, whole.lastIndex - each.back)
          for (const log of both) {
            log.takeUnhanded()
            log.persistedTo(log.lastIndex, log.lastTerm)
            log.commitTo(index)
            log.appliedTo(index)
          }
        } else short.compact(short.appliedIndex - each.back)
        const { lastIndex, lastTerm, persistedIndex, handedIndex } = whole
        expect(short).toMatchObject({ lastIndex, lastTerm, persistedIndex, handedIndex })
        for (let index = short.baseIndex; index <= lastIndex + 1; index++) {
          expect(short.termAt(index)).toBe(whole.termAt(index))
          for (let term = whole.termAt(short.baseIndex)!; term <= lastTerm; term++) {
            expect(short.lastIndexWithTermAtMost(index, term)).toBe(whole.lastIndexWithTermAtMost(index, term))
          }
        }
      }
      return short.baseIndex
    }
    let forgotten = 0
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 40 }), (steps) => {
        forgotten += run(steps)
      }),
    )
    expect(forgotten).toBeGreaterThan(100)
  })
})

describe('emptying a log for a checkpoint', () => {
  test('leaves it behind the mark, committed and applied so far, with nothing to hand over but that', () => {
    const log = logWithBase(TERMS, 0, 0, 3)
    log.append([textEntry(9, 5)])
    log.reset({ index: 20, term: 6 })
    expect(log).toMatchObject({ baseIndex: 20, lastIndex: 20, lastTerm: 6, commitIndex: 20, appliedIndex: 20 })
    expect(log).toMatchObject({ memoryBytes: 0, handedIndex: 20, persistedIndex: 3 })
    expect(log.takeReset()).toEqual({ index: 20, term: 6 })
    expect(log.takeReset()).toBeUndefined()
    expect(log.takeUnhanded()).toEqual([])
    expect(log.entry(9)).toBeUndefined()
  })

  test('until it is synced nothing new counts as such; a late sync of what it replaced does not either (trap 5)', () => {
    const log = logWithBase(TERMS, 0, 0, 3)
    log.append([textEntry(9, 5), textEntry(10, 5)])
    log.takeUnhanded()
    log.reset({ index: 9, term: 6 })
    log.append([textEntry(10, 6)])
    log.takeReset()
    log.takeUnhanded()
    log.persistedTo(10, 5)
    log.persistedTo(8, 5)
    expect(log.persistedIndex).toBe(3)
    log.persistedTo(9, 6)
    expect(log.persistedIndex).toBe(9)
    log.persistedTo(10, 6)
    expect(log.persistedIndex).toBe(10)
  })

  test('never goes back behind what is committed', () => {
    expect(() => logWithBase(TERMS, 0, 0, 5).reset({ index: 5, term: 2 })).toThrow('committed is 5')
  })
})

describe('the memberships of a log that forgets', () => {
  const member = (id: string) => ({ id, incarnation: `${id}.1` })
  const membershipAt = (index: number, ...ids: string[]): Entry => {
    const membership = { clusterId: 'c', voters: ids.map(member), votersOutgoing: [], learners: [] }
    return { index, term: 1, type: EntryType.membership, data: encodeMembership(membership) }
  }
  const votersAt = (history: MembershipHistory, index: number) => {
    const entry = history.entryAt(index)
    return entry && decodeMembership(entry.data).voters.map(({ id }) => id)
  }

  test('are known at each index, and the one in force at the base stays', () => {
    const history = new MembershipHistory()
    for (const entry of [membershipAt(1, 'a'), membershipAt(4, 'a', 'b'), membershipAt(7, 'b')]) history.adopt(entry)
    expect([0, 1, 3, 4, 6, 7, 99].map((index) => votersAt(history, index))).toEqual([
      undefined,
      ['a'],
      ['a'],
      ['a', 'b'],
      ['a', 'b'],
      ['b'],
      ['b'],
    ])
    history.compact(5)
    expect([3, 5, 7].map((index) => votersAt(history, index))).toEqual([undefined, ['a', 'b'], ['b']])
    // A cut behind the base brings that one back (trap 18).
    expect(history.truncateFrom(6)).toBe(true)
    expect(history.current?.voters.map(({ id }) => id)).toEqual(['a', 'b'])
    history.compact(99)
    expect(votersAt(history, 99)).toEqual(['a', 'b'])
  })

  test('are those of the checkpoint alone, once one is installed', () => {
    const history = new MembershipHistory()
    history.adopt(membershipAt(1, 'a'))
    history.adopt(membershipAt(9, 'z'))
    const mark: SnapshotMark = { index: 8, term: 2, membership: membershipAt(5, 'a', 'b') }
    history.reset(mark.membership)
    expect(history.current?.voters.map(({ id }) => id)).toEqual(['a', 'b'])
    expect(votersAt(history, 4)).toBeUndefined()
  })
})
