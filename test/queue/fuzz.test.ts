import { describe, expect, it } from 'vitest'
import { readFields } from '../../node/queue/command-reader.ts'
import { type Effect, encodeEntry, Machine } from '../../node/queue/index.ts'
import { FrameKind, LOG_HEADER_BYTES, viewOf, writeLogHeader } from '../../wire/frame.ts'
import { encode } from '../../wire/msgpack.ts'
import { fc } from '../support/property.ts'
import { encodeFrame, entryOf, type TestFrame } from './frames.ts'
import { Model } from './model.ts'
import { frameOf, type LogEntry, opening, randomLog } from './random-log.ts'
import { World } from './world.ts'

const RUNS = 400

/** Bytes of the entries of a random log, written against the model alone. */
function entriesOf(log: readonly LogEntry[]): Uint8Array[] {
  const model = new Model()
  const entries: Uint8Array[] = []
  let timeMs = 0
  const add = (frames: readonly (() => TestFrame | undefined)[]) => {
    model.begin(entries.length + 1, timeMs)
    const encoded: Uint8Array[] = []
    for (const next of frames) {
      const frame = next()
      if (frame === undefined) continue
      model.apply(frame)
      encoded.push(encodeFrame(frame))
    }
    entries.push(entryOf(timeMs, encoded))
  }
  for (const frame of opening) add([() => frame])
  for (const { elapsedMs, operations } of log) {
    timeMs += elapsedMs
    add(operations.map((operation) => () => frameOf(model, operation)))
  }
  return entries
}

/** Two machines in the same state, with a session that has something to lose. */
function twins() {
  const world = new World()
  const client = world.open()
  client.queue('q', '#')
  const { consumer } = client.consume('q', 5)
  client.publish('a', 'b', 'not ok', 'c')
  return { world, client, consumer, twin: world.replica() }
}

/** Whether the effects say that nothing was applied. */
function isRefusal(effects: readonly Effect[]): boolean {
  return effects.every(
    (effect) => effect.type === 'staleFrame' || (effect.type === 'outcome' && effect.outcome.code === 'Protocol'),
  )
}

describe('apply', () => {
  it('never throws on random bytes, and changes nothing but the applied index', () => {
    const machine = new Machine()
    const twin = new Machine()
    let index = 0
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300, size: 'max' }), (bytes) => {
        expect(machine.apply(++index, 1, bytes)).toEqual([])
        twin.apply(index, 1, new Uint8Array())
        expect(machine.stateHash()).toBe(twin.stateHash())
        expect(machine.appliedIndex).toBe(index)
      }),
      { numRuns: RUNS },
    )
  })

  it('never throws on frames of random bytes; those that are refused change nothing', () => {
    const body = fc.uint8Array({ maxLength: 200, size: 'max' })
    const kind = fc.constantFrom(...Object.values(FrameKind), 0, 255)
    const number = fc.oneof(fc.nat({ max: 9 }), fc.double(), fc.constantFrom(2 ** 53, -1, 0.5))
    const numbers = fc.record({
      sequence: number,
      seen: number,
      count: fc.nat({ max: 9 }),
      tableBytes: fc.nat({ max: 99 }),
    })
    fc.assert(
      fc.property(body, kind, numbers, fc.boolean(), fc.nat({ max: 1 }), (bytes, anyKind, header, isStale, group) => {
        const { world, client, twin } = twins()
        const frame = new Uint8Array(LOG_HEADER_BYTES + bytes.length)
        const sender = { session: client.session, epoch: client.epoch + Number(isStale) }
        writeLogHeader(viewOf(frame), 0, { kind: anyKind as FrameKind, group, ...sender, ...header }, frame.length)
        frame.set(bytes, LOG_HEADER_BYTES)
        const effects = world.applyBytes(entryOf(world.timeMs, [frame]))
        twin.apply(world.entries.length, 1, entryOf(world.timeMs, []))
        if (isRefusal(effects)) expect(world.machine.stateHash()).toBe(twin.stateHash())
      }),
      { numRuns: RUNS },
    )
  })

  it('never throws on valid entries with damaged bytes, and replicas agree on them', () => {
    const damage = fc.array(fc.record({ entry: fc.nat(), at: fc.nat(), byte: fc.nat({ max: 255 }) }), { maxLength: 20 })
    fc.assert(
      fc.property(randomLog, damage, (log, damages) => {
        const entries = entriesOf(log)
        for (const { entry, at, byte } of damages) {
          const bytes = entries[entry % entries.length]!
          bytes[at % bytes.length] = byte
        }
        const machine = new Machine()
        const replica = new Machine()
        for (const [i, entry] of entries.entries()) {
          expect(replica.apply(i + 1, 1, entry)).toEqual(machine.apply(i + 1, 1, entry))
        }
        expect(replica.stateHash()).toBe(machine.stateHash())
      }),
      { numRuns: RUNS / 4 },
    )
  })

  it('never throws on commands of any shape', () => {
    const key = fc.constantFrom(
      'type',
      'queue',
      'pattern',
      'consumer',
      'node',
      'bootId',
      'session',
      'max',
      'waitMs',
      'visibilityTimeoutMs',
      'held',
      'runs',
      'nonce',
    )
    const type = fc.constantFrom(
      'openSession',
      'attach',
      'detach',
      'nodeStarted',
      'nodeLost',
      'consume',
      'receive',
      'bind',
      'cancel',
    )
    const value = fc.oneof(type, fc.jsonValue({ maxDepth: 3 }), fc.double(), fc.constantFrom('q', 'n1', 1, null))
    fc.assert(
      fc.property(fc.dictionary(key, value), type, fc.boolean(), (fields, name, isNode) => {
        const { world, client } = twins()
        const command = { ...fields, type: name } as never
        world.apply(isNode ? { kind: 'node', command } : client.controlFrame(command))
      }),
      { numRuns: RUNS },
    )
  })

  it('refuses what is not a sequence number under sequence 0', () => {
    const { world, client, twin } = twins()
    for (const sequence of [Number.NaN, 0, -1, 1.5, 2 ** 60]) {
      const effects = world.apply(
        client.publishAt(sequence, 'a'),
        client.controlFrame({ type: 'listen', pattern: 'a' }, sequence),
      )
      expect(effects).toMatchObject([0, 0].map(() => ({ type: 'outcome', outcome: { sequence: 0, code: 'Protocol' } })))
      twin.apply(world.entries.length, 1, entryOf(world.timeMs, []))
    }
    expect(world.machine.stateHash()).toBe(twin.stateHash())
  })

  it('refuses an entry from beyond the end of time, which would stop the timers for good', () => {
    const { world, twin } = twins()
    const late = [2 ** 60, Number.POSITIVE_INFINITY, Number.NaN]
    const stamps = late.flatMap((ms) => [
      { timeMs: ms, wallMs: 1 },
      { timeMs: 2000, wallMs: ms },
    ])
    for (const stamp of stamps) {
      world.applyBytes(encodeEntry(stamp, []))
      twin.apply(world.entries.length, 1, new Uint8Array())
    }
    expect(world.machine.timeMs).toBe(1000)
    expect(world.machine.stateHash()).toBe(twin.stateHash())
  })

  it('takes time as the highest stamp so far', () => {
    const world = new World()
    world.advance(500)
    world.applyBytes(entryOf(20, []))
    expect(world.machine.timeMs).toBe(1500)
    expect(world.machine.wallMs).toBeGreaterThan(1_600_000_000_000)
  })

  it('insists on rising indexes: an entry applied twice is a defect of the caller', () => {
    const machine = new Machine()
    machine.apply(3, 1, new Uint8Array())
    expect(() => machine.apply(3, 1, new Uint8Array())).toThrow(/entry 3 after entry 3/)
  })

  it('serves its own group alone', () => {
    const { world, client, twin } = twins()
    const frames = [client.publishFrame('a'), { kind: 'node', command: { type: 'nodeLost', node: 'n1', bootId: 1 } }]
    const effects = world.applyBytes(
      entryOf(
        world.timeMs,
        frames.map((frame) => encodeFrame(frame as TestFrame, 3)),
      ),
    )
    expect(effects).toMatchObject([{ type: 'outcome', outcome: { code: 'Protocol' } }])
    twin.apply(world.entries.length, 1, entryOf(world.timeMs, []))
    expect(world.machine.stateHash()).toBe(twin.stateHash())
  })
})

describe('the reader of commands', () => {
  const read = (body: Uint8Array) => {
    const frame = new Uint8Array(LOG_HEADER_BYTES + body.length)
    frame.set(body, LOG_HEADER_BYTES)
    return readFields(frame, viewOf(frame), 0, frame.length)
  }

  it('reads what the library writes', () => {
    const scalar = fc.oneof(
      fc.double({ noNaN: true }).map((each) => each + 0), // MessagePack integers know no -0

      fc.integer(),
      fc.maxSafeInteger(),
      fc.string({ unit: 'grapheme', maxLength: 300, size: 'max' }),
      fc.boolean(),
      fc.constantFrom(null, undefined),
    )
    const key = fc.string({ maxLength: 40 }).filter((each) => each !== '__proto__')
    const list = fc.array(fc.oneof(scalar, fc.array(scalar)), { maxLength: 40 })
    fc.assert(
      fc.property(fc.dictionary(key, fc.oneof(scalar, list, fc.dictionary(key, scalar)), { maxKeys: 20 }), (value) => {
        expect(read(encode(value))).toEqual(value)
      }),
    )
  })

  it.each([
    ['nothing', []],
    ['something behind the map', [0x80, 0x80]],
    ['a map cut short', [0x81, 0xa1, 0x61]],
    ['no map', [0x90]],
    ['a key that is no string', [0x81, 0x01, 0x01]],
    ['a byte string', [0x81, 0xa1, 0x61, 0xc4, 0x00]],
    ['an extension', [0x81, 0xa1, 0x61, 0xd4, 0x05, 0x00]],
    ['the tag that is never used', [0x81, 0xa1, 0x61, 0xc1]],
    ['text that is no UTF-8', [0x81, 0xa1, 0x61, 0xa1, 0xff]],
    ['an array of four billion', [0x81, 0xa1, 0x61, 0xdd, 0xff, 0xff, 0xff, 0xff]],
    ['a map of four billion', [0xdf, 0xff, 0xff, 0xff, 0xff]],
    ['a nest without end', [0x81, 0xa1, 0x61, ...new Array(40).fill(0x91), 0x01]],
  ])('refuses %s', (_, bytes) => {
    expect(read(Uint8Array.from(bytes))).toBeUndefined()
  })

  it('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        read(bytes)
      }),
      { numRuns: 2000 },
    )
  })
})
