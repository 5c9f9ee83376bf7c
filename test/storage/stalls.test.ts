/**
 * How long the tables of a million entries keep the event loop busy at a time: in time of the processor, since others may want it too,
 * and of several rounds the shortest counts. What walked all entries in one turn took three times as long as is allowed here.
 */
import { expect, test } from 'vitest'
import { EntrySet } from '../../node/queue/index.ts'
import { HeldEntries } from '../../node/storage/held-entries.ts'
import { KeptTable } from '../../node/storage/kept-table.ts'
import { LogIndexTable, PlacementBuilder } from '../../node/storage/log-index.ts'
import { TermRuns } from '../../node/storage/term-runs.ts'
import { EntryType } from '../../raft/index.ts'

const entries = 1_000_000
const rounds = 4
const stallMsMax = 60
const rowsPerSegment = 100_000

const longest = new Map<string, number>()

/** What was measured in one round. */
class Stopwatch {
  readonly #longest = new Map<string, number>()

  turn<T>(what: string, work: () => T): T {
    const before = process.cpuUsage()
    const result = work()
    const { user, system } = process.cpuUsage(before)
    this.#longest.set(what, Math.max(this.#longest.get(what) ?? 0, (user + system) / 1000))
    return result
  }

  end(): void {
    for (const [what, ms] of this.#longest)
      longest.set(what, Math.min(longest.get(what) ?? Number.POSITIVE_INFINITY, ms))
  }
}

function fill(table: LogIndexTable, count: number): void {
  for (let i = 0; i < count; i++)
    table.push(100 + Math.floor(i / rowsPerSegment), 512 + (i % rowsPerSegment) * 300, 250)
}

test('no turn of the event loop is long, whatever becomes of a million entries', () => {
  for (let round = 0; round < rounds; round++) {
    const watch = new Stopwatch()
    const kept = new KeptTable()
    const live = new EntrySet()
    for (let i = 0; i < entries; i++) {
      kept.put(2 * i + 1, 1 + Math.floor(i / rowsPerSegment), 512 + (i % rowsPerSegment) * 300, 250)
      if (i % 3 === 0) live.add(2 * i + 1)
    }
    const first = 2 * entries + 1
    const index = new LogIndexTable(first)
    const terms = new TermRuns()
    terms.push(first, 1)
    fill(index, entries)
    const held = new HeldEntries(index, terms, kept)
    const late = { index: 2, term: 1, type: EntryType.command, data: new Uint8Array(1) }
    watch.turn('put out of order', () => held.put(late, 9, 9))
    watch.turn('read', () => held.collect(5, 1, new PlacementBuilder()))
    watch.turn('lowest segment', () => index.lowestSegmentFrom(first))
    const need = { live: [live], keepFrom: 1_000 }
    watch.turn('compact', () => held.compact(first + entries, first + entries - 1, need))
    while (watch.turn('compact a slice', () => held.compactSome(32 * 1024)));
    fill(index, entries)
    watch.turn('truncate', () => held.truncate(first + entries + 1))
    fill(index, entries - 1)
    watch.turn('reset', () => held.reset({ index: 10 * entries, term: 2 }, 10 * entries))
    expect(held.has(first + entries)).toBe(true)
    expect([held.has(1), held.has(3), held.has(first)]).toEqual([true, false, false])
    watch.end()
  }
  const stalls = [...longest].filter(([, ms]) => ms > stallMsMax)
  expect(stalls).toEqual([])
  expect(longest.size).toBe(7)
}, 60_000)
