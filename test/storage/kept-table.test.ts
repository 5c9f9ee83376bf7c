import { expect, test } from 'vitest'
import { KeptTable } from '../../node/storage/kept-table.ts'
import { LogIndexTable } from '../../node/storage/log-index.ts'
import { RECORD_HEADER_BYTES } from '../../node/storage/record.ts'
import { fc } from '../support/property.ts'

/** Some chunks' worth. */
const INDEX_MAX = 15_000

const index = fc.integer({ min: 1, max: INDEX_MAX })
const step = fc.oneof(
  fc.record({ type: fc.constant('put' as const), index }),
  fc.record({ type: fc.constant('run' as const), from: index, count: fc.integer({ min: 1, max: 3_000 }) }),
  fc.record({ type: fc.constant('takeOver' as const), from: index, count: fc.integer({ min: 1, max: 9_000 }) }),
  fc.record({ type: fc.constant('doom' as const), before: index, modulus: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ type: fc.constant('takeOut' as const), rows: fc.integer({ min: 1, max: 9_000 }) }),
  fc.record({ type: fc.constant('scan' as const), from: fc.integer({ min: 0, max: INDEX_MAX + 1_000 }) }),
)

type Row = [index: number, sequence: number, offset: number, bodyBytes: number]

function rowsOf(table: KeptTable, from: number): Row[] {
  const rows: Row[] = []
  table.scan(from, (...row) => rows.push(row) > 0)
  return rows
}

function useOf(rows: Iterable<Row>): Map<number, number> {
  const use = new Map<number, number>()
  for (const [, sequence, , bytes] of rows) use.set(sequence, (use.get(sequence) ?? 0) + RECORD_HEADER_BYTES + bytes)
  return use
}

class Run {
  readonly table = new KeptTable()
  readonly model = new Map<number, Row>()
  #position = 0

  put(index: number): void {
    this.table.put(...this.#mint(index))
  }

  takeOver(first: number, count: number): void {
    // Its first page is mostly not a whole one.
    const before = count % 3
    const log = new LogIndexTable(first - before)
    for (let i = 0; i < before; i++) log.push(1, 1, 1)
    log.dropBefore(first)
    const had: number[] = []
    for (let index = first; index < first + count; index++) {
      const known = this.model.get(index)
      const [, ...place] = this.#mint(index)
      log.push(...place)
      if (known === undefined) continue
      had.push(index)
      this.model.set(index, known)
    }
    // Some of the log stays.
    const last = first + count - 1 - (count % 100)
    for (let index = last + 1; index < first + count; index++) if (!had.includes(index)) this.model.delete(index)
    expect(this.table.takeOver(log, first, last)).toEqual(had.filter((index) => index <= last))
  }

  doom(before: number, modulus: number): void {
    while (this.table.takeOut(10_000));
    const isNeeded = (index: number, sequence: number) => index % modulus === 0 || sequence === 3
    this.table.doom({ before, isNeeded })
    for (const [index, sequence] of this.model.values()) {
      if (index < before && !isNeeded(index, sequence)) this.model.delete(index)
    }
  }

  check(from: number): void {
    const expected = [...this.model.values()].filter(([index]) => index >= from).sort(([a], [b]) => a - b)
    expect(rowsOf(this.table, from)).toEqual(expected)
    for (let index = from % 7; index < INDEX_MAX; index += 97) {
      const row = this.model.get(index)
      expect(this.table.has(index)).toBe(row !== undefined)
      expect(this.table.placeOf(index)).toEqual(row && { sequence: row[1], offset: row[2], bodyBytes: row[3] })
    }
  }

  finish(): void {
    while (this.table.takeOut(1));
    this.check(0)
    expect(new Map(this.table.use)).toEqual(useOf(this.model.values()))
  }

  #mint(index: number): Row {
    this.#position++
    const row: Row = [index, this.#position % 9, 7, this.#position % 1000]
    this.model.set(index, row)
    return row
  }
}

test('whatever is put, taken over and let go of, in any order, what is left is found, sorted and once each', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const run = new Run()
      for (const each of steps) {
        if (each.type === 'put') run.put(each.index)
        else if (each.type === 'run') for (let i = 0; i < each.count; i++) run.put(each.from + i * 3)
        else if (each.type === 'takeOver') {
          // A compaction that is under way never concerns what the log still holds.
          while (run.table.takeOut(10_000));
          run.takeOver(each.from, each.count)
        } else if (each.type === 'doom') run.doom(each.before, each.modulus)
        else if (each.type === 'takeOut') run.table.takeOut(each.rows)
        else run.check(each.from)
      }
      run.finish()
    }),
    { numRuns: 60 },
  )
}, 60_000)

test('a scan stops when it is told to', () => {
  const table = new KeptTable()
  for (const index of [9, 3, 5, 1]) table.put(index, index, index, index)
  const seen: number[] = []
  table.scan(2, (index) => seen.push(index) < 2)
  expect(seen).toEqual([3, 5])
})

test('rows that are let go of are gone at once, and one that is put meanwhile stays', () => {
  const table = new KeptTable()
  for (let index = 1; index <= 20_000; index++) table.put(index, 1, index, 10)
  table.doom({ before: 15_001, isNeeded: (index) => index % 2 === 0 })
  expect([table.has(1), table.has(2), table.has(14_999), table.has(15_001)]).toEqual([false, true, false, true])
  table.put(14_999, 7, 7, 7)
  expect(table.placeOf(14_999)).toEqual({ sequence: 7, offset: 7, bodyBytes: 7 })
  expect(table.takeOut(5_000)).toBe(true)
  table.put(3, 7, 7, 7)
  while (table.takeOut(5_000));
  expect([table.has(1), table.has(3), table.has(5), table.has(14_999)]).toEqual([false, true, false, true])
  expect([...table.use]).toEqual([
    [1, (7_500 + 5_000) * (RECORD_HEADER_BYTES + 10)],
    [7, 2 * (RECORD_HEADER_BYTES + 7)],
  ])
})
