import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeptTable } from '../../node/storage/kept-table.ts'
import { RECORD_HEADER_BYTES } from '../../node/storage/record.ts'

type Step =
  | { type: 'put'; index: number }
  | { type: 'run'; from: number; count: number }
  | { type: 'retain'; modulus: number }
  | { type: 'scan'; from: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ type: fc.constant('put' as const), index: fc.integer({ min: 1, max: 6_000 }) }),
  fc.record({
    type: fc.constant('run' as const),
    from: fc.integer({ min: 1, max: 6_000 }),
    count: fc.integer({ min: 1, max: 700 }),
  }),
  fc.record({ type: fc.constant('retain' as const), modulus: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ type: fc.constant('scan' as const), from: fc.integer({ min: 0, max: 7_000 }) }),
)

type Row = [index: number, sequence: number, offset: number, bodyBytes: number]

function rowsOf(table: KeptTable, from: number): Row[] {
  const rows: Row[] = []
  table.scan(from, (...row) => rows.push(row) > 0)
  return rows
}

test('any puts, in any order, are found again, sorted and once each', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const table = new KeptTable()
      const model = new Map<number, Row>()
      let position = 0
      const put = (index: number): void => {
        position++
        table.put(index, position % 9, 7, position % 1000)
        model.set(index, [index, position % 9, 7, position % 1000])
      }
      for (const each of steps) {
        if (each.type === 'put') put(each.index)
        else if (each.type === 'run') for (let i = 0; i < each.count; i++) put(each.from + i * 3)
        else if (each.type === 'retain') {
          table.retain((index) => index % each.modulus === 0)
          for (const index of model.keys()) if (index % each.modulus !== 0) model.delete(index)
        } else {
          const expected = [...model.values()].filter(([index]) => index >= each.from).sort(([a], [b]) => a - b)
          expect(rowsOf(table, each.from)).toEqual(expected)
        }
        expect(table.size).toBe(model.size)
        const use = new Map<number, number>()
        for (const [, sequence, , bytes] of model.values())
          use.set(sequence, (use.get(sequence) ?? 0) + RECORD_HEADER_BYTES + bytes)
        expect(new Map(table.use)).toEqual(use)
      }
      for (let index = 0; index < 8_200; index += 7) {
        const row = model.get(index)
        expect(table.has(index)).toBe(row !== undefined)
        expect(table.placeOf(index)).toEqual(row && { sequence: row[1], offset: row[2], bodyBytes: row[3] })
      }
    }),
    { numRuns: 150 },
  )
})

test('a scan stops when it is told to', () => {
  const table = new KeptTable()
  for (const index of [9, 3, 5, 1]) table.put(index, index, index, index)
  const seen: number[] = []
  table.scan(2, (index) => seen.push(index) < 2)
  expect(seen).toEqual([3, 5])
})
