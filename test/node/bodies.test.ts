import { describe, expect, it, vi } from 'vitest'
import { Bodies, type EntrySource, MessageReader } from '../../node/bodies.ts'
import { encodeEntry, messagePosition } from '../../node/queue/entry.ts'
import { type Entry, EntryType } from '../../raft/index.ts'
import { PublishFrameBuilder } from '../../wire/publish-frame.ts'

function publishFrame(session: number, sequence: number, messages: readonly (readonly [string, string])[]): Uint8Array {
  const builder = new PublishFrameBuilder()
  for (const [topic, text] of messages) builder.add(topic, new TextEncoder().encode(text))
  return builder.finish({ group: 0, session, epoch: 1, sequence, seen: 0 })
}

function entry(index: number, wallMs: number, frames: readonly Uint8Array[]): Entry {
  return { index, term: 1, type: EntryType.command, data: encodeEntry({ timeMs: 0, wallMs }, frames) }
}

describe('reading messages out of entries', () => {
  const first = entry(5, 100, [
    publishFrame(7, 40, [
      ['a', 'one'],
      ['b', ''],
      ['a', 'three'],
    ]),
    publishFrame(8, 1, [['c.d', 'four']]),
  ])
  const second = entry(6, 200, [publishFrame(7, 43, [['b', 'five']])])

  it('finds each by frame and place, with its id, topic, time and attempt, in any order', () => {
    const reader = new MessageReader()
    const read = (from: Entry, frame: number, i: number, attempt: number) => {
      const { message, ...rest } = reader.read(from, messagePosition(frame, i), attempt)
      return { ...rest, text: new TextDecoder().decode(message) }
    }
    expect([
      read(first, 0, 2, 1),
      read(first, 0, 1, 1),
      read(first, 1, 0, 3),
      read(second, 0, 0, 1),
      read(first, 0, 0, 2),
    ]).toEqual([
      { session: 7, sequence: 42, wallMs: 100, topic: 'a', attempt: 1, text: 'three' },
      { session: 7, sequence: 41, wallMs: 100, topic: 'b', attempt: 1, text: '' },
      { session: 8, sequence: 1, wallMs: 100, topic: 'c.d', attempt: 3, text: 'four' },
      { session: 7, sequence: 43, wallMs: 200, topic: 'b', attempt: 1, text: 'five' },
      { session: 7, sequence: 40, wallMs: 100, topic: 'a', attempt: 2, text: 'one' },
    ])
  })

  it('walks the table of topics once a frame, though every message may have another topic than the one before', () => {
    const topics = 4000
    const messages = Array.from({ length: 2 * topics }, (_, i) => [`t${(i * 37) % topics}`, ''] as const)
    const many = entry(7, 0, [publishFrame(1, 1, messages)])
    const reader = new MessageReader()
    reader.read(many, messagePosition(0, 0), 1)
    const reads = vi.spyOn(DataView.prototype, 'getUint16')
    try {
      const found = messages.map((_, i) => reader.read(many, messagePosition(0, i), 1).topic)
      expect(found).toEqual(messages.map(([topic]) => topic))
      // Each message tells its topic's number; beyond that each topic is passed once.
      expect(reads.mock.calls.length).toBeLessThanOrEqual(messages.length + topics)
    } finally {
      reads.mockRestore()
    }
  })
})

describe('bodies', () => {
  /** A log on disk whose reads are answered by hand, beside a memory that holds `recent`. */
  function source(recent: readonly Entry[], stored: readonly Entry[], appliedIndex = 1_000_000) {
    const reads: { from: number; answer: () => void }[] = []
    const recoveries: { index: number; done: (isHeld: boolean) => void }[] = []
    const port: EntrySource = {
      entry: (index) => recent.find((one) => one.index === index),
      appliedIndex: () => appliedIndex,
      readEntries: (from) =>
        new Promise((resolve) => {
          const answer = () => resolve(stored.filter(({ index }) => index >= from).slice(0, 3))
          reads.push({ from, answer })
        }),
      recover: (index, done) => void recoveries.push({ index, done }),
    }
    return { port, reads, recoveries }
  }
  const stored = Array.from({ length: 20 }, (_, i) => entry(i + 1, 0, [publishFrame(1, i + 1, [['t', `${i}`]])]))
  const rejectAll = (error: unknown) => {
    throw error
  }

  it('are given from memory without a read', () => {
    const { port, reads } = source(stored.slice(10), stored)
    expect(new Bodies(port, rejectAll).get(11)).toBe(stored[10])
    expect(reads).toEqual([])
  })

  it('are read ahead: the next ones of a backlog are at hand', async () => {
    const { port, reads } = source([], stored)
    const bodies = new Bodies(port, rejectAll)
    expect(bodies.get(4)).toBeUndefined()
    const fetched = new Promise((resolve) => bodies.fetch(4, resolve))
    reads[0]!.answer()
    expect(await fetched).toBe(true)
    expect([4, 5, 6, 7].map((index) => bodies.get(index)?.index)).toEqual([4, 5, 6, undefined])
  })

  it('that are read ahead of what is applied are not kept: another leader may replace them', async () => {
    const { port, reads } = source([], stored, 5)
    const bodies = new Bodies(port, rejectAll)
    const fetched = new Promise((resolve) => bodies.fetch(4, resolve))
    reads[0]!.answer()
    expect(await fetched).toBe(true)
    expect([4, 5, 6].map((index) => bodies.get(index)?.index)).toEqual([4, 5, undefined])
  })

  it('that are asked for while their entry is being applied are kept', async () => {
    const { port, reads } = source([], stored, 5)
    const bodies = new Bodies(port, rejectAll)
    const fetched = new Promise((resolve) => bodies.fetch(6, resolve))
    reads[0]!.answer()
    expect(await fetched).toBe(true)
    expect([6, 7].map((index) => bodies.get(index)?.index)).toEqual([6, undefined])
  })

  it('are read by few at a time, and one read serves all who wait for it', async () => {
    const { port, reads } = source([], stored)
    const bodies = new Bodies(port, rejectAll)
    const done: number[] = []
    const all = [1, 1, 8, 15].map(
      (index) => new Promise<void>((resolve) => bodies.fetch(index, () => resolve(void done.push(index)))),
    )
    expect(reads.map(({ from }) => from)).toEqual([1, 8])
    reads[0]!.answer()
    await Promise.all(all.slice(0, 2))
    expect(done).toEqual([1, 1])
    expect(reads.map(({ from }) => from)).toEqual([1, 8, 15])
    reads[1]!.answer()
    reads[2]!.answer()
    await Promise.all(all)
  })

  it('that came with another one’s read need none of their own', async () => {
    const { port, reads } = source([], stored)
    const bodies = new Bodies(port, rejectAll)
    const all = [1, 8, 2].map((index) => new Promise((resolve) => bodies.fetch(index, resolve)))
    reads[0]!.answer()
    reads[1]!.answer()
    expect(await Promise.all(all)).toEqual([true, true, true])
    expect(reads.map(({ from }) => from)).toEqual([1, 8])
  })

  it('that are not held are waited for, without keeping others from being read', async () => {
    const held = stored.filter(({ index }) => index !== 4)
    const { port, reads, recoveries } = source([], held)
    const bodies = new Bodies(port, rejectAll)
    const missing = new Promise((resolve) => bodies.fetch(4, resolve))
    const other = new Promise((resolve) => bodies.fetch(9, resolve))
    reads[0]!.answer()
    reads[1]!.answer()
    expect(await other).toBe(true)
    expect(recoveries.map(({ index }) => index)).toEqual([4])
    expect(bodies.get(5)).toBe(stored[4])
    // It has come from a peer: read once more.
    held.splice(3, 0, stored[3]!)
    recoveries[0]!.done(true)
    expect(reads).toHaveLength(3)
    reads[2]!.answer()
    expect(await missing).toBe(true)
    expect(bodies.get(4)).toBe(stored[3])
  })

  it('of messages that are gone are not waited for', async () => {
    const { port, reads, recoveries } = source([], [])
    const bodies = new Bodies(port, rejectAll)
    const gone = new Promise((resolve) => bodies.fetch(4, resolve))
    reads[0]!.answer()
    await Promise.resolve().then(() => {})
    recoveries[0]!.done(false)
    expect(await gone).toBe(false)
    expect(reads).toHaveLength(1)
  })

  it('report a failed read instead of leaving a consumer waiting', async () => {
    const failure = new Error('bad sector')
    const port: EntrySource = { ...source([], []).port, readEntries: () => Promise.reject(failure) }
    const told = await new Promise((resolve) => new Bodies(port, resolve).fetch(1, () => resolve('fetched')))
    expect(told).toBe(failure)
  })
})
