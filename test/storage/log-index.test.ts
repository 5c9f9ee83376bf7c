import { describe, expect, test } from 'vitest'
import { KeptTable } from '../../node/storage/kept-table.ts'
import { LogIndexTable, PlacementBuilder, SEQUENCES_MAX } from '../../node/storage/log-index.ts'
import { RECORD_HEADER_BYTES } from '../../node/storage/record.ts'
import { TermRuns } from '../../node/storage/term-runs.ts'
import { InvariantError } from '../../raft/index.ts'
import { fc } from '../support/property.ts'

type Step = { type: 'push'; count: number; newTerm: boolean } | { type: 'truncate' | 'drop' | 'restart'; share: number }

const share = fc.double({ min: 0, max: 0.9999, noNaN: true })
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    type: fc.constant('push' as const),
    count: fc.integer({ min: 1, max: 2_500 }),
    newTerm: fc.boolean(),
  }),
  fc.record({ type: fc.constantFrom('truncate' as const, 'drop' as const), share }),
  { weight: 1, arbitrary: fc.record({ type: fc.constant('restart' as const), share }) },
)

test('a table and its terms that grow, are cut and dropped from the front agree with a plain list', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      let first = 1
      let baseTerm = 0
      let rows: { term: number; made: number }[] = []
      const table = new LogIndexTable()
      const terms = new TermRuns()
      let made = 0
      for (const each of steps) {
        const last = first + rows.length - 1
        if (each.type === 'push') {
          const term = (rows.at(-1)?.term ?? baseTerm) + (each.newTerm ? 1 : 0)
          for (let i = 0; i < each.count; i++) {
            made++
            rows.push({ term, made })
            table.push(made % 9, made, made % 777)
            terms.push(last + 1 + i, term)
          }
        } else if (each.type === 'truncate') {
          const index = first + Math.floor(each.share * (rows.length + 1))
          rows = rows.slice(0, index - first)
          table.truncate(index)
          terms.truncate(index)
        } else if (each.type === 'drop') {
          const index = first + Math.floor(each.share * (rows.length + 1))
          if (index > first) baseTerm = rows[index - first - 1]!.term
          rows = rows.slice(index - first)
          terms.dropBefore(index, last)
          table.dropBefore(index)
          first = index
        } else {
          first = 1 + Math.floor(each.share * 1e9)
          baseTerm = 3
          rows = []
          table.restart(first)
          terms.restart(3)
        }
        expect([table.firstIndex, table.lastIndex]).toEqual([first, first + rows.length - 1])
        expect([terms.baseTerm, terms.lastTerm]).toEqual([baseTerm, rows.at(-1)?.term ?? baseTerm])
        const starts = rows.flatMap(({ term }, i) =>
          rows[i - 1]?.term === term ? [] : { firstIndex: first + i, term },
        )
        expect(terms.runs).toEqual(starts)
        for (let i = 0; i < rows.length; i += 97) {
          const { made } = rows[i]!
          expect([table.sequenceOf(first + i), table.offsetOf(first + i)]).toEqual([made % 9, made])
          expect(table.bodyBytesOf(first + i)).toBe(made % 777)
          expect(terms.termAt(first + i)).toBe(rows[i]!.term)
        }
        const use = new Map<number, number>()
        for (const { made } of rows) use.set(made % 9, (use.get(made % 9) ?? 0) + RECORD_HEADER_BYTES + (made % 777))
        expect(new Map(table.use)).toEqual(use)
        expect(terms.termAt(first - 1)).toBe(baseTerm)
        expect([table.has(first - 1), table.has(first + rows.length)]).toEqual([false, false])
      }
    }),
    { numRuns: 120 },
  )
})

describe('a place', () => {
  test.each([2 ** 21 + 1, SEQUENCES_MAX])('in segment %d is as exact as in the first one', (sequence) => {
    for (const offset of [0, 1001, 2 ** 32 - 1]) {
      const table = new LogIndexTable()
      table.push(1, 0, 0)
      table.push(sequence, offset, 7)
      table.move(1, sequence, offset, 7)
      const kept = new KeptTable()
      for (const index of [5, 3]) kept.put(index, sequence, offset, 7)
      const places = new PlacementBuilder()
      kept.scan(0, (...row) => {
        places.add(...row)
        return true
      })
      for (const index of [1, 2]) expect([table.sequenceOf(index), table.offsetOf(index)]).toEqual([sequence, offset])
      expect(places).toMatchObject({ sequences: [sequence, sequence], offsets: [offset, offset], indexes: [3, 5] })
    }
  })

  test('in a segment beyond the last that can be told is refused', () => {
    expect(() => new LogIndexTable().push(SEQUENCES_MAX + 1, 0, 0)).toThrow(InvariantError)
    expect(() => new KeptTable().put(1, SEQUENCES_MAX + 1, 0, 0)).toThrow(InvariantError)
  })
})
