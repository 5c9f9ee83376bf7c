/**
 * What every `LogStorage` must do, whatever it stores on. Run it with a harness that can open a fresh log, close it and
 * open it again.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Entry, EntryType, type LogStorage } from '../../raft/index.ts'

type Base = Parameters<LogStorage['reset']>[0]

export interface LogStorageHarness {
  /** Opens the log of one group, which has this checkpoint; the second call finds what the first one left. */
  open(checkpoint?: Base): Promise<LogStorage>
  /** Closes the log as an orderly stop does. */
  close(): Promise<void>
  /** Removes everything. */
  dispose(): Promise<void>
}

export function entry(index: number, term: number, text = `${term}:${index}`): Entry {
  return { index, term, type: EntryType.command, data: Buffer.from(text) }
}

export function entries(from: number, to: number, term: number): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, term))
}

/** Comparable: data as text. */
export function plain(list: readonly Entry[]): object[] {
  return list.map(({ index, term, type, data }) => ({ index, term, type, data: Buffer.from(data).toString() }))
}

export function logStorageConformance(name: string, makeHarness: () => Promise<LogStorageHarness>): void {
  describe(`a log on ${name}`, () => {
    let harness: LogStorageHarness
    let log: LogStorage

    beforeEach(async () => {
      harness = await makeHarness()
      log = await harness.open()
    })

    afterEach(async () => {
      await harness.close()
      await harness.dispose()
    })

    async function reopen(checkpoint?: Base): Promise<void> {
      await harness.close()
      log = await harness.open(checkpoint)
    }

    async function readAll(last: number): Promise<Entry[]> {
      const found: Entry[] = []
      while (found.length < last) found.push(...(await log.read(found.length + 1, 1_000_000)))
      return found
    }

    test('is empty at first', () => {
      const hardState = { term: 0, vote: '', commit: 0 }
      const base = { firstIndex: 1, baseTerm: 0 }
      expect(log.recovered()).toEqual({ hardState, ...base, lastIndex: 0, termRuns: [], memberships: [] })
    })

    test('keeps entries and hard state', async () => {
      const hardState = { term: 3, vote: 'n2', commit: 2 }
      await log.append({ hardState, entries: [...entries(1, 2, 1), ...entries(3, 5, 3)] })
      expect(plain(await readAll(5))).toEqual(plain([...entries(1, 2, 1), ...entries(3, 5, 3)]))
      await reopen()
      expect(log.recovered()).toEqual({
        hardState,
        firstIndex: 1,
        baseTerm: 0,
        lastIndex: 5,
        termRuns: [
          { firstIndex: 1, term: 1 },
          { firstIndex: 3, term: 3 },
        ],
        memberships: [],
      })
      expect(plain(await readAll(5))).toEqual(plain([...entries(1, 2, 1), ...entries(3, 5, 3)]))
    })

    test('keeps a hard state that comes alone, and the last of several', async () => {
      await log.append({ hardState: { term: 1, vote: 'n1', commit: 0 }, entries: [] })
      await log.append({ hardState: { term: 4, vote: '', commit: 0 }, entries: [] })
      await reopen()
      expect(log.recovered().hardState).toEqual({ term: 4, vote: '', commit: 0 })
    })

    test('keeps bytes of every kind and size, and the types of entries', async () => {
      const list: Entry[] = [0, 1, 47, 511, 4096, 4097, 100_000].map((size, i) => ({
        index: i + 1,
        term: 1,
        type: i % 2 === 0 ? EntryType.command : EntryType.noop,
        data: Uint8Array.from({ length: size }, (_, at) => (at * 31 + i) & 255),
      }))
      await log.append({ entries: list })
      await reopen()
      const found = await readAll(list.length)
      expect(found.map(({ type }) => type)).toEqual(list.map(({ type }) => type))
      for (const [i, { data }] of list.entries()) expect(Buffer.from(found[i]!.data).equals(data)).toBe(true)
    })

    test('an entry at or below the last index replaces it and all behind it', async () => {
      await log.append({ entries: entries(1, 6, 1) })
      await log.append({ entries: entries(4, 5, 2) })
      const expected = plain([...entries(1, 3, 1), ...entries(4, 5, 2)])
      expect(plain(await readAll(5))).toEqual(expected)
      expect(await log.read(6, 1)).toEqual([])
      await reopen()
      expect(log.recovered().lastIndex).toBe(5)
      expect(log.recovered().termRuns).toEqual([
        { firstIndex: 1, term: 1 },
        { firstIndex: 4, term: 2 },
      ])
      expect(plain(await readAll(5))).toEqual(expected)
    })

    test('a log that was replaced from its first entry on holds only the new entries', async () => {
      await log.append({ entries: entries(1, 6, 1) })
      await log.append({ entries: entries(1, 1, 2) })
      await reopen()
      expect(log.recovered()).toMatchObject({ lastIndex: 1, termRuns: [{ firstIndex: 1, term: 2 }] })
      expect(plain(await readAll(1))).toEqual(plain(entries(1, 1, 2)))
    })

    test('cuts entries whose own append is still on its way', async () => {
      const first = log.append({ entries: entries(1, 4, 1) })
      const second = log.append({ entries: entries(2, 3, 2) })
      const third = log.append({ entries: entries(3, 5, 3) })
      const expected = plain([...entries(1, 1, 1), ...entries(2, 2, 2), ...entries(3, 5, 3)])
      expect(plain(await readAll(5))).toEqual(expected)
      await Promise.all([first, second, third])
      expect(plain(await readAll(5))).toEqual(expected)
      await reopen()
      expect(plain(await readAll(5))).toEqual(expected)
    })

    test('overlapping appends take effect and resolve in the order of their calls', async () => {
      const order: number[] = []
      const appends = Array.from({ length: 50 }, (_, i) =>
        log.append({ entries: i % 7 === 0 ? [] : [] }).then(() => order.push(i)),
      )
      const withEntries = entries(1, 50, 1).map((each, i) =>
        log.append({ entries: [each] }).then(() => order.push(50 + i)),
      )
      await Promise.all([...appends, ...withEntries])
      expect(order).toEqual(Array.from({ length: 100 }, (_, i) => i))
    })

    test('an append without content resolves only after those before it', async () => {
      let synced = false
      void log.append({ entries: entries(1, 1, 1) }).then(() => {
        synced = true
      })
      await log.append({ entries: [] })
      expect(synced).toBe(true)
    })

    test('reads see what is not synced yet', async () => {
      const appended = log.append({ entries: entries(1, 3, 1) })
      expect(plain(await log.read(2, 1_000))).toEqual(plain(entries(2, 3, 1)))
      await appended
    })

    test('one read spans what is on disk and what is not', async () => {
      await log.append({ entries: entries(1, 3, 1) })
      const appended = log.append({ entries: entries(4, 6, 1) })
      expect(plain(await log.read(2, 1_000))).toEqual(plain(entries(2, 6, 1)))
      await appended
    })

    test('a read stops before it passes its limit, but gives at least one entry', async () => {
      await log.append({ entries: [1, 2, 3, 4].map((index) => entry(index, 1, 'x'.repeat(10))) })
      expect((await log.read(1, 30)).map(({ index }) => index)).toEqual([1, 2, 3])
      expect((await log.read(1, 29)).map(({ index }) => index)).toEqual([1, 2])
      expect((await log.read(3, 1)).map(({ index }) => index)).toEqual([3])
      expect((await log.read(4, 0)).map(({ index }) => index)).toEqual([4])
    })

    test('a read is not changed by a cut that follows it', async () => {
      await log.append({ entries: entries(1, 3, 1) })
      const read = log.read(1, 1_000)
      await log.append({ entries: entries(2, 2, 2) })
      expect(plain(await read)).toEqual(plain(entries(1, 3, 1)))
    })

    test('many reads at once all get their own', async () => {
      await log.append({ entries: entries(1, 40, 1) })
      const reads = await Promise.all(entries(1, 40, 1).map(({ index }) => log.read(index, 1)))
      expect(reads.map((found) => plain(found))).toEqual(entries(1, 40, 1).map((each) => plain([each])))
    })

    test('tells the memberships that the log holds, without those that were cut (trap 18)', async () => {
      const membership = (index: number, term: number, text: string): Entry => ({
        ...entry(index, term, text),
        type: EntryType.membership,
      })
      await log.append({ entries: [membership(1, 1, 'a'), entry(2, 1), membership(3, 1, 'b'), membership(4, 1, 'c')] })
      await log.append({ entries: [membership(4, 2, 'd')] })
      await reopen()
      expect(plain(log.recovered().memberships)).toEqual(
        plain([membership(1, 1, 'a'), membership(3, 1, 'b'), membership(4, 2, 'd')]),
      )
    })

    test('a gap or a falling term is a broken invariant', async () => {
      await log.append({ hardState: { term: 2, vote: '', commit: 0 }, entries: entries(1, 2, 2) })
      expect(() => log.append({ entries: entries(4, 4, 2) })).toThrow('without a gap')
      expect(() => log.append({ entries: [entry(3, 2), entry(3, 2)] })).toThrow('only the first entry')
      expect(() => log.append({ entries: entries(4, 4, 1) })).toThrow('terms never fall')
      expect(() => log.append({ hardState: { term: 1, vote: '', commit: 0 }, entries: [] })).toThrow('never falls')
    })

    test('a read of what the log does not hold gives nothing', async () => {
      await log.append({ entries: entries(1, 2, 1) })
      expect(await log.read(3, 1)).toEqual([])
      expect(await log.read(0, 1)).toEqual([])
      await log.reset({ index: 7, term: 2 })
      for (const index of [1, 2, 7, 8]) expect(await log.read(index, 1)).toEqual([])
    })

    test('a reset empties the log, which goes on behind its base', async () => {
      await log.append({ hardState: { term: 2, vote: 'n3', commit: 1 }, entries: entries(1, 6, 1) })
      const base = { index: 40, term: 2 }
      await log.reset(base)
      const empty = { firstIndex: 41, baseTerm: 2, lastIndex: 40, termRuns: [], memberships: [] }
      expect(log.recovered()).toMatchObject(empty)
      expect(() => log.append({ entries: entries(42, 42, 3) })).toThrow('without a gap')
      expect(() => log.append({ entries: entries(41, 41, 1) })).toThrow('terms never fall')
      await reopen(base)
      expect(log.recovered()).toEqual({ hardState: { term: 2, vote: 'n3', commit: 1 }, ...empty })
      await log.append({ entries: entries(41, 43, 3) })
      expect(plain(await log.read(41, 1_000))).toEqual(plain(entries(41, 43, 3)))
      await reopen(base)
      const termRuns = [{ firstIndex: 41, term: 3 }]
      expect(log.recovered()).toMatchObject({ firstIndex: 41, baseTerm: 2, lastIndex: 43, termRuns })
      expect(plain(await log.read(41, 1_000))).toEqual(plain(entries(41, 43, 3)))
    })

    test('a reset takes effect in the order of the calls, between appends that are under way', async () => {
      const order: string[] = []
      const note = (what: string) => () => void order.push(what)
      const calls = [
        log.append({ entries: entries(1, 5, 1) }).then(note('before')),
        log.reset({ index: 3, term: 1 }).then(note('reset')),
        log.append({ entries: entries(4, 6, 2) }).then(note('behind')),
      ]
      expect(plain(await log.read(4, 1_000))).toEqual(plain(entries(4, 6, 2)))
      await Promise.all(calls)
      expect(order).toEqual(['before', 'reset', 'behind'])
      expect(plain(await log.read(4, 1_000))).toEqual(plain(entries(4, 6, 2)))
      expect(await log.read(3, 1_000)).toEqual([])
      await reopen({ index: 3, term: 1 })
      expect(log.recovered()).toMatchObject({ firstIndex: 4, baseTerm: 1, lastIndex: 6 })
    })

    test('a reset may go back', async () => {
      await log.append({ entries: entries(1, 6, 4) })
      await log.reset({ index: 2, term: 1 })
      await log.append({ entries: entries(3, 4, 2) })
      await reopen({ index: 2, term: 1 })
      expect(log.recovered()).toMatchObject({ firstIndex: 3, baseTerm: 1, lastIndex: 4 })
      expect(plain(await log.read(3, 1_000))).toEqual(plain(entries(3, 4, 2)))
    })

    test('memberships of before a reset are forgotten', async () => {
      await log.append({ entries: [{ ...entry(1, 1, 'a'), type: EntryType.membership }] })
      await log.reset({ index: 1, term: 1 })
      await reopen({ index: 1, term: 1 })
      expect(log.recovered().memberships).toEqual([])
    })

    test('goes on where it ended, again and again', async () => {
      for (let round = 1; round <= 4; round++) {
        await log.append({ entries: entries(round * 3 - 2, round * 3, round) })
        await reopen()
        expect(log.recovered().lastIndex).toBe(round * 3)
      }
      expect(plain(await readAll(12)).length).toBe(12)
    })
  })
}
