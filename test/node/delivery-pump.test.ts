import { describe, expect, it } from 'vitest'
import { Bodies } from '../../node/bodies.ts'
import { DeliveryPump } from '../../node/gateway/delivery-pump.ts'
import { encodeEntry, messagePosition } from '../../node/queue/entry.ts'
import type { FrameSocket } from '../../node/socket.ts'
import { type Entry, EntryType } from '../../raft/index.ts'
import { decodeDeliverFrame } from '../../wire/deliver-frame.ts'
import { PublishFrameBuilder } from '../../wire/publish-frame.ts'

const BUFFER_MAX = 1_000
const MESSAGES_PER_ENTRY = 10
const to = { session: 1, node: 'n1', bootId: 1, epoch: 1 }

/** A client's socket whose other end reads when the test says so. */
class SlowSocket implements FrameSocket {
  readonly open = true
  readonly sent: Uint8Array[] = []
  bufferedBytes = 0
  receive = () => {}
  fail = () => {}
  #drained = () => {}

  send(frame: Uint8Array): void {
    this.sent.push(frame)
    this.bufferedBytes += frame.length
  }

  onDrain(handler: () => void): void {
    this.#drained = handler
  }

  read(): void {
    this.bufferedBytes = 0
    this.#drained()
  }

  /** Delivery number and first byte of each message. */
  get deliveries(): [number, number][] {
    const all = this.sent.flatMap((frame) => decodeDeliverFrame(frame).deliveries)
    return all.map(({ delivery, message }) => [delivery, message[0]!])
  }

  onClose(): void {}
  pause(): void {}
  resume(): void {}
  close(): void {}
  terminate(): void {}
  watch(): void {}
}

/** The messages of entry `index` begin with the bytes index, index + 1, … */
function entryAt(index: number, bytes: number): Entry {
  const builder = new PublishFrameBuilder()
  for (let i = 0; i < MESSAGES_PER_ENTRY; i++) builder.add('a', new Uint8Array(bytes).fill(index + i))
  const frame = builder.finish({ group: 0, session: 9, epoch: 9, sequence: index, seen: 0 })
  const data = encodeEntry({ timeMs: 0, wallMs: 0 }, [frame])
  return { index, term: 1, type: EntryType.command, data }
}

/** The consumer of each frame. */
function consumersOf(socket: SlowSocket): number[] {
  return socket.sent.map((frame) => decodeDeliverFrame(frame).consumer)
}

function deliver(index: number, firstDelivery: number, consumer = 5) {
  const rows = Array.from({ length: MESSAGES_PER_ENTRY }, (_, i) => i)
  return {
    type: 'deliver' as const,
    to,
    consumer,
    firstDelivery,
    indexes: rows.map(() => index),
    positions: rows.map((i) => messagePosition(0, i)),
    attempts: rows.map(() => 1),
  }
}

/** Reads resolve when the test says so; `inMemory` entries need none; `gone` ones are of no message any more. */
function pumpOf(socket: SlowSocket, inMemory: readonly number[], bytes = 20, gone: readonly number[] = []) {
  const reads: { from: number; resolve: () => void }[] = []
  const source = {
    entry: (index: number) => (inMemory.includes(index) ? entryAt(index, bytes) : undefined),
    appliedIndex: () => 0,
    readEntries: (from: number) =>
      new Promise<Entry[]>((resolve) => {
        reads.push({ from, resolve: () => resolve(gone.includes(from) ? [] : [entryAt(from, bytes)]) })
      }),
    recover: (_: number, done: (isHeld: boolean) => void) => done(false),
  }
  const fail = (error: unknown) => expect.fail(String(error))
  return { pump: new DeliveryPump(0, socket, new Bodies(source, fail), BUFFER_MAX), reads }
}

describe('the delivery pump', () => {
  it('gives a client that does not read one frame above its bound and not a byte more, and goes on where it stopped', () => {
    const socket = new SlowSocket()
    const { pump } = pumpOf(socket, [1, 11, 21], 200)
    pump.push(deliver(1, 1))
    pump.push(deliver(11, 11))
    pump.push(deliver(21, 21))
    expect(socket.sent).toHaveLength(1)
    socket.read()
    expect(socket.sent).toHaveLength(2)
    socket.read()
    socket.read()
    expect(socket.deliveries).toEqual(Array.from({ length: 30 }, (_, i) => [i + 1, i + 1]))
  })

  it('keeps the order when some messages are in memory and others must be read back first', async () => {
    const socket = new SlowSocket()
    const { pump, reads } = pumpOf(socket, [11])
    pump.push(deliver(1, 1))
    pump.push(deliver(11, 11))
    expect(socket.sent).toHaveLength(0)
    expect(reads.map(({ from }) => from)).toEqual([1])
    reads[0]!.resolve()
    await Promise.resolve().then(() => {})
    expect(socket.deliveries).toEqual(Array.from({ length: 20 }, (_, i) => [i + 1, i + 1]))
  })

  it('leaves out what is gone from the log, since it is not open any more, and goes on with the rest', async () => {
    const socket = new SlowSocket()
    const { pump, reads } = pumpOf(socket, [11], 20, [1])
    const first = deliver(1, 1)
    const [one, two] = [first.indexes.slice(0, 2), first.positions.slice(0, 2)]
    pump.push({ ...first, indexes: [...one, 11, 11], positions: [...two, 0, messagePosition(0, 1)] })
    pump.push(deliver(11, 5))
    for (let row = 0; row < 2; row++) {
      reads[row]!.resolve()
      await Promise.resolve().then(() => {})
    }
    expect(socket.deliveries.map(([delivery]) => delivery)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
  })

  it('lets no consumer wait for another one whose messages come from the disk', async () => {
    const socket = new SlowSocket()
    const { pump, reads } = pumpOf(socket, [11, 21])
    socket.bufferedBytes = BUFFER_MAX + 1
    pump.push(deliver(1, 1, 5))
    pump.push(deliver(11, 11, 6))
    socket.read()
    pump.push(deliver(21, 11, 5))
    expect(consumersOf(socket)).toEqual([6])
    pump.push(deliver(21, 21, 6))
    expect(consumersOf(socket)).toEqual([6, 6])
    socket.read()
    reads[0]!.resolve()
    await Promise.resolve().then(() => {})
    expect(consumersOf(socket)).toEqual([6, 6, 5, 5])
  })

  it('lets consumers take turns, a frame each, while the client reads slowly', () => {
    const socket = new SlowSocket()
    const { pump } = pumpOf(socket, [1, 11, 21], 200)
    for (const consumer of [5, 5, 5, 6, 6]) pump.push(deliver(1, 1, consumer))
    for (let i = 0; i < 4; i++) socket.read()
    expect(consumersOf(socket)).toEqual([5, 5, 6, 5, 6])
  })

  it('sends nothing for a consumer that went while its message was read, and forgets all when it is told to', async () => {
    const socket = new SlowSocket()
    const { pump, reads } = pumpOf(socket, [])
    pump.push(deliver(1, 1, 5))
    pump.cancel(5)
    pump.push(deliver(11, 1, 6))
    pump.clear()
    for (const { resolve } of reads) resolve()
    await Promise.resolve().then(() => {})
    expect(socket.sent).toEqual([])
    pump.push(deliver(11, 1, 6))
    expect(consumersOf(socket)).toEqual([6])
  })

  it('sends nothing more for a consumer that is gone, and still all for the others', () => {
    const socket = new SlowSocket()
    const { pump } = pumpOf(socket, [1, 11, 21], 200)
    pump.push(deliver(1, 1))
    pump.push(deliver(11, 1, 6))
    pump.push(deliver(21, 11))
    pump.cancel(6)
    socket.read()
    socket.read()
    expect(socket.deliveries.map(([, byte]) => byte)).toEqual([
      ...Array.from({ length: 10 }, (_, i) => i + 1),
      ...Array.from({ length: 10 }, (_, i) => i + 21),
    ])
  })
})
