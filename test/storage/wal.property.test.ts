/**
 * Random histories of a log that is shared by two groups, on a disk that crashes and tears, against a naive model.
 *
 * The model is the list of all records in the order of the calls. What a start finds must be the effect of a prefix of that list,
 * the same prefix for both groups, and every resolved append must lie within it.
 */

import { expect, test } from 'vitest'
import type { Wal } from '../../node/storage/wal.ts'
import { type Entry, EntryType, type HardState, type LogStorage } from '../../raft/index.ts'
import { fc } from '../support/property.ts'
import { group, otherGroup, readWhole, World } from './support/world.ts'

type Operation =
  | { type: 'append'; group: 0 | 1; cutBack: number; sizes: number[]; vote: boolean; empty: boolean }
  | { type: 'pass'; ms: number }
  | { type: 'read'; group: 0 | 1; from: number; bytesMax: number }
  | { type: 'crash'; againAfterMs: number[] }
  | { type: 'restart' }

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('append' as const),
      group: fc.constantFrom(0 as const, 1 as const),
      cutBack: fc.oneof(
        { weight: 3, arbitrary: fc.constant(0) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: 6 }) },
      ),
      sizes: fc.array(fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 3_000 })), { maxLength: 5 }),
      vote: fc.boolean(),
      empty: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ type: fc.constant('pass' as const), ms: fc.double({ min: 0, max: 5, noNaN: true }) }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'pass' as const, ms: 200 }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('read' as const),
      group: fc.constantFrom(0 as const, 1 as const),
      from: fc.double({ min: 0, max: 0.999, noNaN: true }),
      bytesMax: fc.integer({ min: 0, max: 5_000 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('crash' as const),
      againAfterMs: fc.array(fc.double({ min: 0, max: 8, noNaN: true }), { maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'restart' as const }) },
)

interface State {
  hardState: HardState
  entries: Entry[]
}

type ModelRecord = { group: 0 | 1; hardState: HardState } | { group: 0 | 1; entry: Entry }

function emptyStates(): [State, State] {
  return [
    { hardState: { term: 0, vote: '', commit: 0 }, entries: [] },
    { hardState: { term: 0, vote: '', commit: 0 }, entries: [] },
  ]
}

function apply(states: [State, State], record: ModelRecord): void {
  const state = states[record.group]
  if ('hardState' in record) state.hardState = record.hardState
  else state.entries = [...state.entries.slice(0, record.entry.index - 1), record.entry]
}

function comparable({ hardState, entries }: State): object {
  return {
    hardState,
    entries: entries.map(({ index, term, data }) => ({ index, term, data: Buffer.from(data).toString('latin1') })),
  }
}

class Run {
  readonly #world: World
  #wal: Wal | undefined
  #logs: LogStorage[] = []
  #records: ModelRecord[] = []
  #states = emptyStates()
  /** Records that resolved appends cover: a prefix, since promises resolve in order. */
  #resolved = 0
  #written = 0
  #unanswered: Promise<void>[] = []

  constructor(seed: number) {
    this.#world = new World(seed)
  }

  async step(operation: Operation): Promise<void> {
    switch (operation.type) {
      case 'append':
        return this.#append(operation)
      case 'pass':
        return this.#world.pass(operation.ms)
      case 'read':
        return this.#read(operation)
      case 'crash':
        return this.#crash(operation.againAfterMs)
      case 'restart':
        await this.#world.settle(this.#wal!.close())
        expect(this.#resolved).toBe(this.#records.length)
        return this.open()
    }
  }

  /** Opens the log and checks that it holds a prefix of all that was asked for. */
  async open(): Promise<void> {
    const wal = await this.#world.open(this.#walOptions())
    this.#wal = wal
    this.#logs = [group, otherGroup].map((id) => wal.group(id))
    const found = await Promise.all(this.#logs.map((log) => this.#stateOf(log)))
    const states = emptyStates()
    for (let count = 0; ; count++) {
      if (count >= this.#resolved && found.every((state, i) => same(state, states[i] as State))) {
        this.#records = this.#records.slice(0, count)
        break
      }
      const record = this.#records[count]
      expect(record, 'a prefix of the records gives what was found, and holds every resolved append').toBeDefined()
      apply(states, record!)
    }
    this.#states = states
    this.#resolved = this.#records.length
  }

  async finish(): Promise<void> {
    await this.#world.settle(Promise.all(this.#unanswered))
    await this.step({ type: 'restart' })
  }

  #walOptions() {
    return { segmentBytes: 8192, batchBytesMax: 4000, idleMarkerMs: 20, mustExist: this.#wal !== undefined }
  }

  #append({ group: which, cutBack, sizes, vote, empty }: Operation & { type: 'append' }): void {
    const state = this.#states[which]
    // What is committed is never cut.
    const firstIndex = Math.max(state.hardState.commit + 1, state.entries.length + 1 - cutBack)
    const before = state.entries[firstIndex - 2]
    // Only a newer leader cuts, with entries of its own term.
    const term = Math.max(before?.term ?? 1, state.hardState.term) + (cutBack > 0 ? 1 : 0)
    const entries = (empty ? [] : sizes).map((size, i): Entry => {
      this.#written++
      const data = Buffer.alloc(size, `${this.#written};`)
      return { index: firstIndex + i, term, type: EntryType.command, data }
    })
    const commit = Math.max(state.hardState.commit, firstIndex - 4)
    const hardState = vote ? { term, vote: `node-${this.#written}`, commit } : undefined
    const records: ModelRecord[] = hardState === undefined ? [] : [{ group: which, hardState }]
    records.push(...entries.map((entry) => ({ group: which, entry })))
    for (const record of records) apply(this.#states, record)
    this.#records.push(...records)
    const upTo = this.#records.length
    const append = this.#logs[which]!.append(hardState === undefined ? { entries } : { hardState, entries })
    this.#unanswered.push(
      append.then(() => {
        expect(upTo).toBeGreaterThanOrEqual(this.#resolved)
        this.#resolved = upTo
      }),
    )
  }

  async #read({ group: which, from, bytesMax }: Operation & { type: 'read' }): Promise<void> {
    const { entries } = this.#states[which]
    if (entries.length === 0) return
    const first = 1 + Math.floor(from * entries.length)
    const found = await this.#world.settle(this.#logs[which]!.read(first, bytesMax))
    const hardState = { term: 0, vote: '', commit: 0 }
    const expected = entries.slice(first - 1, first - 1 + found.length)
    expect(comparable({ hardState, entries: found })).toEqual(comparable({ hardState, entries: expected }))
    const bytes = found.reduce((sum, { data }) => sum + data.length, 0)
    const next = entries[first - 1 + found.length]
    expect(found.length === 1 || bytes <= bytesMax).toBe(true)
    expect(next === undefined || bytes + next.data.length > bytesMax).toBe(true)
  }

  /** Crashes, and crashes again in the middle of starts that follow. */
  async #crash(againAfterMs: readonly number[]): Promise<void> {
    this.#world.files.crash()
    this.#unanswered = []
    for (const ms of againAfterMs) {
      const interrupted = this.#world.start(this.#walOptions())
      await this.#world.pass(ms)
      this.#world.files.crash()
      // Damage is never found where only crashes happened.
      expect(interrupted.error).toBeUndefined()
    }
    await this.open()
  }

  async #stateOf(log: LogStorage): Promise<State> {
    const { lastIndex, hardState, termRuns } = log.recovered()
    const found = await this.#world.settle(readWhole(log, lastIndex))
    const entries = found.map(({ index, term, data }) => ({
      index,
      term,
      type: EntryType.command,
      data: Buffer.from(data, 'latin1'),
    }))
    const starts = entries.filter((entry, i) => entries[i - 1]?.term !== entry.term)
    expect(termRuns).toEqual(starts.map(({ index, term }) => ({ firstIndex: index, term })))
    return { hardState, entries }
  }
}

function same(a: State, b: State): boolean {
  return JSON.stringify(comparable(a)) === JSON.stringify(comparable(b))
}

test('after any history of appends, cuts, crashes and restarts every resolved append is there, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.array(operation, { minLength: 5, maxLength: 60 }), async (seed, operations) => {
      const run = new Run(seed)
      await run.open()
      for (const each of operations) await run.step(each)
      await run.finish()
    }),
    { numRuns: 300 },
  )
}, 120_000)
