import { describe, expect, test } from 'vitest'
import type { Entry } from '../../raft/index.ts'
import { entryBytes, RaftLog } from '../../raft/log.ts'
import { fc } from '../support/property.ts'
import { appendCutting, recoveredLog, textEntry } from './support/entries.ts'

function logOf(
  terms: readonly number[],
  options: { commit?: number; memoryBytesMax?: number; recovered?: boolean } = {},
) {
  const entries = terms.map((term, at) => textEntry(at + 1, term, `${at + 1}`))
  const hardState = { term: 9, vote: '', commit: options.commit ?? 0 }
  const log = new RaftLog(recoveredLog(hardState, options.recovered ? entries : []), options.memoryBytesMax ?? 1e9)
  if (!options.recovered) log.append(entries)
  return log
}

describe('terms', () => {
  test('are known for every entry, recovered or appended, and for nothing beyond', () => {
    for (const recovered of [true, false]) {
      const log = logOf([1, 1, 4, 4, 4, 6], { recovered })
      expect([0, 1, 2, 3, 5, 6].map((index) => log.termAt(index))).toEqual([0, 1, 1, 4, 4, 6])
      expect([log.termAt(7), log.termAt(-1)]).toEqual([undefined, undefined])
      expect([log.lastIndex, log.lastTerm]).toEqual([6, 6])
    }
  })

  test.each([
    { index: 6, term: 9, found: 6 },
    { index: 6, term: 5, found: 5 },
    { index: 6, term: 4, found: 5 },
    { index: 4, term: 4, found: 4 },
    { index: 6, term: 3, found: 2 },
    { index: 99, term: 1, found: 2 },
    { index: 6, term: 0, found: 0 },
  ])('the last index up to $index with a term of at most $term is $found', ({ index, term, found }) => {
    expect(logOf([1, 1, 4, 4, 4, 6]).lastIndexWithTermAtMost(index, term)).toBe(found)
  })

  test.each([
    { lastIndex: 3, lastTerm: 2, upToDate: true },
    { lastIndex: 4, lastTerm: 2, upToDate: true },
    { lastIndex: 2, lastTerm: 2, upToDate: false },
    { lastIndex: 9, lastTerm: 1, upToDate: false },
    { lastIndex: 1, lastTerm: 3, upToDate: true },
  ])('a log that ends at $lastIndex in term $lastTerm is up-to-date: $upToDate (§5.4.1)', (end) => {
    expect(logOf([1, 2, 2]).isUpToDate(end.lastIndex, end.lastTerm)).toBe(end.upToDate)
  })
})

describe('what is asserted', () => {
  test('entries are consecutive and terms never fall', () => {
    expect(() => logOf([1]).append([textEntry(3, 1)])).toThrow('invariant 1')
    expect(() => logOf([2]).append([textEntry(2, 1)])).toThrow('invariant 2')
  })

  test('nothing is committed beyond the end, applied before it is committed, or applied backwards', () => {
    const log = logOf([1, 1, 1])
    expect(() => log.commitTo(4)).toThrow('invariant 3')
    log.commitTo(2)
    expect(() => log.appliedTo(3)).toThrow('invariant 3')
    log.appliedTo(2)
    expect(() => log.appliedTo(1)).toThrow('invariant 3')
  })

  test('the commit index never falls', () => {
    const log = logOf([1, 1, 1])
    log.commitTo(2)
    log.commitTo(1)
    expect(log.commitIndex).toBe(2)
  })

  test('nothing committed is cut', () => {
    const log = logOf([1, 1, 1])
    log.commitTo(2)
    expect(() => log.truncateFrom(2)).toThrow('invariant 4')
    log.truncateFrom(3)
    expect(log.lastIndex).toBe(2)
  })

  test('nothing is persisted that storage was not given', () => {
    expect(() => logOf([1]).persistedTo(1, 1)).toThrow('invariant 5')
  })

  test('a hard state that tells of more than the log holds commits no more than that', () => {
    expect(logOf([1, 1], { recovered: true, commit: 7 }).commitIndex).toBe(2)
  })
})

describe('persistence', () => {
  test('each entry is handed over once, and again what is appended after a cut', () => {
    const log = logOf([1, 1, 1])
    expect(log.takeUnhanded().map((entry) => entry.index)).toEqual([1, 2, 3])
    expect(log.takeUnhanded()).toEqual([])
    log.truncateFrom(2)
    log.append([textEntry(2, 2), textEntry(3, 2)])
    expect(log.takeUnhanded().map((entry) => [entry.index, entry.term])).toEqual([
      [2, 2],
      [3, 2],
    ])
  })

  test('a completion for an entry that was replaced meanwhile counts for nothing (trap 5)', () => {
    const log = logOf([1, 1, 1])
    log.takeUnhanded()
    log.truncateFrom(3)
    log.append([textEntry(3, 2)])
    log.takeUnhanded()
    log.persistedTo(3, 1)
    expect(log.persistedIndex).toBe(0)
    log.persistedTo(3, 2)
    expect(log.persistedIndex).toBe(3)
  })

  test('a cut takes back what was persisted there', () => {
    const log = logOf([1, 1, 1], { recovered: true })
    expect(log.persistedIndex).toBe(3)
    log.truncateFrom(2)
    expect(log.persistedIndex).toBe(1)
  })
})

describe('memory', () => {
  const bytesOfFour = 4 * entryBytes(textEntry(1, 1, '1'))

  function full(): RaftLog {
    const log = logOf([1, 1, 1, 1, 1, 1], { memoryBytesMax: bytesOfFour })
    log.takeUnhanded()
    return log
  }

  test('holds what is not applied or not synced, beyond its bound', () => {
    const log = full()
    log.commitTo(6)
    log.persistedTo(6, 1)
    expect(log.entry(1)?.index).toBe(1)
    const unsynced = full()
    unsynced.commitTo(6)
    unsynced.appliedTo(6)
    expect(unsynced.entry(1)?.index).toBe(1)
  })

  test('drops the oldest once they are both', () => {
    const log = full()
    log.commitTo(6)
    log.persistedTo(6, 1)
    log.appliedTo(6)
    expect(log.memoryBytes).toBeLessThanOrEqual(bytesOfFour)
    expect(log.entry(1)).toBeUndefined()
    expect(log.entriesFrom(1, 1e9)).toBeUndefined()
    expect(log.entry(6)?.index).toBe(6)
    expect(log.termAt(1)).toBe(1)
  })

  test('drops the unapplied too when they need twice the room, since storage has them', () => {
    const log = logOf(Array(12).fill(1), { memoryBytesMax: bytesOfFour })
    log.takeUnhanded()
    log.commitTo(12)
    log.persistedTo(12, 1)
    expect(log.memoryBytes).toBeLessThanOrEqual(bytesOfFour)
  })

  test('never drops the uncommitted', () => {
    const log = logOf(Array(12).fill(1), { memoryBytesMax: bytesOfFour })
    log.takeUnhanded()
    log.persistedTo(12, 1)
    expect(log.entry(1)?.index).toBe(1)
  })

  test('gives at least one entry, and stops before the bytes are passed', () => {
    const log = logOf([1, 1, 1, 1])
    const one = entryBytes(textEntry(1, 1, '1'))
    expect(log.entriesFrom(2, 0)?.map((entry) => entry.index)).toEqual([2])
    expect(log.entriesFrom(2, 2 * one)?.map((entry) => entry.index)).toEqual([2, 3])
    expect(log.entriesFrom(2, 3 * one - 1)?.map((entry) => entry.index)).toEqual([2, 3])
    expect(log.entriesFrom(5, 1e9)).toBeUndefined()
  })
})

test('whatever happens to it, the log tells what a plain array would', () => {
  const operation = fc.oneof(
    fc.record({ type: fc.constant('append'), count: fc.integer({ min: 1, max: 5 }), newTerm: fc.boolean() }),
    fc.record({ type: fc.constant('replace'), back: fc.nat({ max: 6 }) }),
    fc.record({ type: fc.constant('sync') }),
    fc.record({ type: fc.constant('commit'), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ type: fc.constant('apply'), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  )
  const start = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 10 })
  fc.assert(
    fc.property(start, fc.array(operation, { maxLength: 60 }), (terms, operations) => {
      const model: Entry[] = terms.sort((a, b) => a - b).map((term, at) => textEntry(at + 1, term, 'recovered'))
      const stored = [...model]
      const log = new RaftLog(recoveredLog({ term: 9, vote: '', commit: 0 }, model), 300)
      let term = 5
      const add = (count: number) => {
        const entries = Array.from({ length: count }, (_, at) => textEntry(log.lastIndex + 1 + at, term, `${term}`))
        log.append(entries)
        model.push(...entries)
      }
      for (const next of operations) {
        if (next.type === 'append' && 'count' in next) {
          if (next.newTerm) term++
          add(next.count)
        } else if (next.type === 'replace' && 'back' in next) {
          const index = Math.max(log.commitIndex + 1, log.lastIndex - next.back)
          if (index > log.lastIndex) continue
          log.truncateFrom(index)
          model.length = index - 1
          term++
          add(1)
        } else if (next.type === 'sync') {
          appendCutting(stored, log.takeUnhanded())
          log.persistedTo(log.lastIndex, log.lastTerm)
          expect(stored).toEqual(model)
        } else if (next.type === 'commit' && 'share' in next) {
          log.commitTo(Math.floor(next.share * log.lastIndex))
        } else if (next.type === 'apply' && 'share' in next) {
          const { appliedIndex, commitIndex } = log
          log.appliedTo(appliedIndex + Math.floor(next.share * (commitIndex - appliedIndex)))
        }
      }
      for (let index = 1; index <= model.length + 1; index++) {
        expect(log.termAt(index)).toBe(model[index - 1]?.term)
        const entry = log.entry(index)
        if (entry === undefined) expect(index > model.length || index <= log.persistedIndex).toBe(true)
        else expect(entry).toBe(model[index - 1])
        for (const bound of [0, 1, 4, term]) {
          const expected = model.slice(0, index).findLastIndex((each) => each.term <= bound) + 1
          expect(log.lastIndexWithTermAtMost(index, bound)).toBe(expected)
        }
      }
      expect(log.persistedIndex).toBeLessThanOrEqual(log.handedIndex)
      const inMemory = log.entriesFrom(log.lastIndex, 0) ?? []
      expect(inMemory.length).toBe(log.entry(log.lastIndex) === undefined ? 0 : 1)
    }),
    { numRuns: 300 },
  )
})
