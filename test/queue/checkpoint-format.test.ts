import { beforeAll, describe, expect, it } from 'vitest'
import { CHECKPOINT_VERSION, ChunkReader, ChunkWriter, Section } from '../../node/queue/checkpoint-format.ts'
import { MACHINE_VERSION } from '../../node/queue/constants.ts'
import { CheckpointFormatError, CheckpointReader, Machine, type RestoredState } from '../../node/queue/index.ts'
import { fc } from '../support/property.ts'
import { bytesOf } from './checkpoints.ts'
import { World } from './world.ts'

/** A machine with something in most sections; several chunks. */
function chunksOfAll(): Uint8Array[] {
  const world = new World()
  const client = world.open()
  client.queue('q', 'a', { exclusive: true })
  client.queue('r', 'a')
  client.control({ type: 'listen', pattern: 'l' })
  client.control({ type: 'consume', queue: 'none', prefetch: 1, visibilityTimeoutMs: 1 })
  const { consumer } = client.consume('q', 100)
  for (let i = 0; i < 12; i++) client.publish(...new Array<string[]>(4000).fill(['a', 'b']).flat())
  client.settle(consumer, 1, 5, 'released', 500)
  client.settle(consumer, 6, 5, 'released')
  return bytesOf(world.machine.checkpoint())
}

function read(chunks: Iterable<Uint8Array>): RestoredState {
  const reader = new CheckpointReader()
  for (const chunk of chunks) reader.push(chunk)
  return reader.finish()
}

describe('numbers and texts of a checkpoint', () => {
  it('come back as they were', () => {
    const number = fc.oneof(
      fc.nat(),
      fc.constantFrom(0, 239, 240, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 0.5, -1, -0.5),
      fc.maxSafeNat(),
      fc.double({ noNaN: true }),
      fc.constant(Number.POSITIVE_INFINITY),
    )
    fc.assert(
      fc.property(
        fc.array(number),
        fc.array(fc.maxSafeInteger()),
        fc.array(fc.string({ unit: 'grapheme' })),
        (numbers, integers, texts) => {
          const out = new ChunkWriter()
          for (const each of numbers) out.number(each)
          for (const each of integers) out.signed(Math.trunc(each / 2))
          for (const each of texts) out.text(each)
          const from = new ChunkReader(out.take(), 0)
          for (const each of numbers) expect(from.number()).toBe(Object.is(each, -0) ? 0 : each)
          for (const each of integers) expect(from.signed() + 0).toBe(Math.trunc(each / 2) + 0)
          for (const each of texts) expect(from.text()).toBe(each)
          expect(from.isAtEnd).toBe(true)
        },
      ),
    )
  })

  it('have one form each: small integers take one byte, others as many as they need and one', () => {
    const size = (value: number) => {
      const out = new ChunkWriter()
      out.number(value)
      return out.take().length - 8
    }
    expect([0, 239, 240, 256, 2 ** 24, 2 ** 32, 2 ** 53 - 1, 0.5, Number.POSITIVE_INFINITY].map(size)).toEqual([
      1, 1, 2, 3, 5, 6, 8, 9, 1,
    ])
  })
})

describe('a chunk', () => {
  const reads: readonly [string, (out: ChunkWriter) => void, (from: ChunkReader) => unknown][] = [
    ['a byte', () => {}, (from) => from.byte()],
    ['a number', () => {}, (from) => from.number()],
    ['an integer of four bytes', (out) => out.begin(0xf4 as Section), (from) => [from.number(), from.number()]],
    ['a float', (out) => out.begin(0xfe as Section), (from) => from.number()],
    ['a text', (out) => out.number(3), (from) => from.text()],
    ['the rows of a piece', (out) => out.number(1), (from) => from.rows()],
  ]

  it.each(reads)('is not read beyond its end for %s', (_, write, readOn) => {
    const out = new ChunkWriter()
    write(out)
    const from = new ChunkReader(out.take(), 0)
    expect(() => readOn(from)).toThrow(CheckpointFormatError)
  })

  it('has a row for each that it claims, at least', () => {
    const out = new ChunkWriter()
    out.begin(Section.bindings)
    out.end(2)
    out.number(1)
    const from = new ChunkReader(out.take(), 0)
    expect(from.byte()).toBe(Section.bindings)
    expect(() => from.rows()).toThrow(CheckpointFormatError)
  })
})

describe('a checkpoint that is not what was written', () => {
  let chunks: Uint8Array[]
  beforeAll(() => {
    chunks = chunksOfAll()
    expect(chunks.length).toBeGreaterThan(2)
    expect(read(chunks).index).toBeGreaterThan(0)
  })

  it('is refused when any byte of it has changed', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (which, at, change) => {
        const changed = chunks.map((chunk) => chunk.slice())
        const chunk = changed[which % changed.length]!
        chunk[at % chunk.length]! ^= change
        expect(() => read(changed)).toThrow(CheckpointFormatError)
      }),
      { numRuns: 200 },
    )
  })

  it('is refused when a chunk is cut, missing, repeated or out of its place', () => {
    const [first, second, ...rest] = chunks as [Uint8Array, Uint8Array, ...Uint8Array[]]
    for (const length of [0, 3, 7, 8, 100, first.length - 1]) {
      expect(() => read([first.slice(0, length), second, ...rest])).toThrow(CheckpointFormatError)
    }
    for (const wrong of [
      [],
      [first],
      chunks.slice(0, -1),
      [second, ...rest],
      [first, ...rest],
      [second, first, ...rest],
      // Two of one section: each could be read by itself.
      [...chunks.slice(0, -2), chunks.at(-1)!, chunks.at(-2)!],
      [first, rest[0]!, second, ...rest.slice(1)],
      [first, first, second, ...rest],
      [...chunks, rest.at(-1)!],
    ]) {
      expect(() => read(wrong)).toThrow(CheckpointFormatError)
    }
  })

  it('cannot be finished after a chunk that was refused', () => {
    const reader = new CheckpointReader()
    for (const chunk of chunks.slice(0, -1)) reader.push(chunk)
    expect(() => reader.push(Uint8Array.of(1))).toThrow(CheckpointFormatError)
    expect(() => reader.push(chunks.at(-1)!)).toThrow(CheckpointFormatError)
    expect(() => reader.finish()).toThrow(CheckpointFormatError)
  })

  it('is refused when it is of another version of the format or of the machine, or of another group', () => {
    const withVersions = (format: number, machine: number) => {
      const out = new ChunkWriter()
      out.begin(Section.machine)
      for (const number of [format, machine, ...new Array<number>(15).fill(0)]) out.number(number)
      out.end(1)
      out.begin(Section.end)
      out.number(1)
      out.number(1)
      out.end(1)
      return [out.take()]
    }
    expect(read(withVersions(CHECKPOINT_VERSION, MACHINE_VERSION)).index).toBe(0)
    expect(() => read(withVersions(CHECKPOINT_VERSION + 1, MACHINE_VERSION))).toThrow('version 3 of checkpoints')
    expect(() => read(withVersions(CHECKPOINT_VERSION, MACHINE_VERSION + 1))).toThrow('of the machine is unknown')
    const other = new Machine(1)
    expect(() => other.restore(read(chunks))).toThrow(CheckpointFormatError)
    expect(other.stateHash()).toBe(new Machine(1).stateHash())
  })

  it('never ends in anything but a coded refusal, whatever the numbers and references in it', () => {
    const row = fc.array(
      fc.oneof(fc.nat({ max: 5 }), fc.nat(), fc.double({ noNaN: true }), fc.string({ maxLength: 3 })),
      {
        minLength: 1,
        maxLength: 12,
      },
    )
    const section = fc.constantFrom(...Object.values(Section), 0, 99)
    const piece = fc.tuple(section, fc.nat({ max: 4 }), fc.array(row, { maxLength: 4 }))
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 5 }), (pieces) => {
        const out = new ChunkWriter()
        out.begin(Section.machine)
        for (const number of [CHECKPOINT_VERSION, MACHINE_VERSION, ...new Array<number>(15).fill(0)]) out.number(number)
        out.end(1)
        for (const [number, rows, values] of pieces) {
          out.begin(number as Section)
          for (const value of values.flat()) typeof value === 'number' ? out.number(value) : out.text(value)
          out.end(rows)
        }
        try {
          read([out.take()])
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointFormatError)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('is refused when it holds other messages than its totals account for', () => {
    const out = new ChunkWriter()
    out.begin(Section.machine)
    // 16 numbers: the versions, the group, two clocks, the index, and the totals, of which the second is what was put into queues.
    const totals = [1, 1, ...new Array<number>(9).fill(0)]
    for (const number of [CHECKPOINT_VERSION, MACHINE_VERSION, 0, 0, 0, 9, ...totals]) out.number(number)
    out.end(1)
    out.begin(Section.end)
    out.number(1)
    out.number(1)
    out.end(1)
    expect(() => read([out.take()])).toThrow('0 messages are queued, not 1')
  })

  it('is for one machine alone', () => {
    const restored = read(chunks)
    new Machine().restore(restored)
    expect(() => new Machine().restore(restored)).toThrow('taken twice')
  })
})
