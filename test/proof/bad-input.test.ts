import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, connect } from '../../client/index.ts'
import { encodeControlFrame } from '../../wire/control-frame.ts'
import { FrameKind, LOG_HEADER_BYTES, PROTOCOL_VERSION } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import { decode, encode } from '../../wire/msgpack.ts'
import { PublishFrameBuilder } from '../../wire/publish-frame.ts'
import { encodeSessionFrame, type Welcome } from '../../wire/session-frames.ts'
import { encodeSettleFrame, SettleOutcome } from '../../wire/settle-frame.ts'
import { metricOf } from '../support/admin.ts'
import { eventually } from '../support/eventually.ts'
import { Random } from '../support/random.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { packMeshmq } from './packed.ts'
import { ProcessCluster } from './process-cluster.ts'

const HANDSHAKE_MS = 1_000

let cluster: ProcessCluster
let url: string
let pids: number[]
/** A client that behaves, on the node that all the others molest: it must never notice. */
let bystander: Client
let heard = 0
let told = 0

beforeAll(async () => {
  await packMeshmq()
  cluster = await ProcessCluster.start({ handshakeTimeoutMs: HANDSHAKE_MS })
  url = cluster.urls[0]!
  pids = cluster.nodes.map(({ pid }) => pid)
  bystander = await connect({ servers: url, reconnect: false })
  await bystander.subscribe('calm.#', () => void heard++, { queue: 'calm' })
}, 260_000)

afterAll(async () => {
  await bystander.close()
  await cluster.stop()
}, 60_000)

/** All processes live, no peer link broke, and the well-behaved client goes on over the same connection. */
async function nobodyElseIsHarmed(): Promise<void> {
  await bystander.publish('calm.message', ++told)
  await eventually(() => heard === told)
  await cluster.ready()
  expect(cluster.nodes.map(({ pid }) => pid)).toEqual(pids)
}

/** Random, and the same each time: one in 256 would begin as a heartbeat does, to which nobody objects. */
function noise(length: number): Uint8Array {
  const dice = new Random(1)
  return Uint8Array.from({ length }, () => dice.below(256))
}

/** Arrays in arrays: a decoder that recurses for each would run out of stack. */
function nested(depth: number): Uint8Array {
  return new Uint8Array(depth + 1).fill(0x91, 0, depth)
}

async function session(): Promise<{ socket: RawSocket; welcome: Welcome }> {
  const socket = new RawSocket(url, '/client')
  return { socket, welcome: await socket.greet() }
}

function publishFrame({ session, epoch, lastSequence }: Welcome, sequence = lastSequence + 1): Uint8Array {
  const builder = new PublishFrameBuilder()
  builder.add('calm.message', Uint8Array.of(0, 1))
  return builder.finish({ group: 0, session, epoch, sequence, seen: 0 })
}

/** The frame with one field of its header changed. */
function changed(frame: Uint8Array, change: (view: DataView) => void): Uint8Array {
  const copy = frame.slice()
  change(new DataView(copy.buffer))
  return copy
}

describe('a client that does not greet properly', () => {
  const greetings: [string, () => Uint8Array | string, string][] = [
    ['random bytes', () => noise(256), 'Protocol'],
    ['an empty frame', () => new Uint8Array(0), 'Protocol'],
    ['a text frame', () => 'GET / HTTP/1.1', 'Protocol'],
    ['another frame than hello', () => Uint8Array.of(FrameKind.publish, 1, 2, 3), 'Protocol'],
    ['a hello that is cut short', () => hello({ connection: 1 }).subarray(0, 8), 'Protocol'],
    ['a hello without a connection number', () => hello({}), 'Protocol'],
    ['a hello of another version', () => hello({ version: PROTOCOL_VERSION + 1, connection: 1 }), 'UnsupportedVersion'],
    ['a hello nested 100,000 deep', () => behind(FrameKind.hello, nested(100_000)), 'Protocol'],
    [
      'a hello that claims 4 billion items',
      () => behind(FrameKind.hello, Uint8Array.of(0xdd, 255, 255, 255, 255)),
      'Protocol',
    ],
    ['a session that does not exist', () => hello({ session: 4_711, connection: 1 }), 'SessionLost'],
  ]

  it.each(greetings)('is told and let go: %s', async (_, greeting, code) => {
    const socket = new RawSocket(url, '/client')
    await socket.opened
    socket.send(greeting())
    expect((await socket.ended).fault?.code).toBe(code)
    await nobodyElseIsHarmed()
  })

  it('is closed when it sends more than a frame may hold', async () => {
    const socket = new RawSocket(url, '/client')
    await socket.opened
    socket.send(new Uint8Array(8 * limits.frameBytesMax))
    expect((await socket.ended).closeCode).toBe(1009)
    await nobodyElseIsHarmed()
  })

  it('is let go when it says nothing in time', async () => {
    const socket = new RawSocket(url, '/client')
    expect((await socket.ended).fault?.code).toBe('Timeout')
    await nobodyElseIsHarmed()
  })

  it('is let go when it does not even finish its HTTP request', async () => {
    const tcp = await openTcp()
    tcp.write('GET /client HTTP/1.1\r\nHost: node\r\n')
    tcp.resume()
    await once(tcp, 'close')
    await nobodyElseIsHarmed()
  })

  function hello(fields: object): Uint8Array {
    return behind(FrameKind.hello, encode({ version: PROTOCOL_VERSION, ...fields }))
  }
})

describe('a session that sends nonsense', () => {
  const frames: [string, (welcome: Welcome) => Uint8Array | string][] = [
    ['random bytes', () => noise(1_024)],
    ['an empty frame', () => new Uint8Array(0)],
    ['a text frame', () => 'hello'],
    ['an unknown kind of frame', () => Uint8Array.of(200)],
    ['a second hello', () => encodeSessionFrame(FrameKind.hello, { version: PROTOCOL_VERSION, connection: 2 })],
    [
      'a frame that only nodes may send',
      (welcome) => changed(publishFrame(welcome), (view) => view.setUint8(0, FrameKind.node)),
    ],
    ['a publish cut within its header', (welcome) => publishFrame(welcome).subarray(0, LOG_HEADER_BYTES - 1)],
    ['a publish cut within its messages', (welcome) => publishFrame(welcome).slice(0, -1)],
    ['a publish of another version', (welcome) => changed(publishFrame(welcome), (view) => view.setUint8(1, 9))],
    ['a publish for another group', (welcome) => changed(publishFrame(welcome), (view) => view.setUint16(2, 7, true))],
    ["another session's publish", (welcome) => publishFrame({ ...welcome, session: welcome.session + 1 })],
    ["a former attachment's publish", (welcome) => publishFrame({ ...welcome, epoch: welcome.epoch - 1 })],
    ['a publish that leaves sequences out', (welcome) => publishFrame(welcome, welcome.lastSequence + 2)],
    ['a publish with a sequence that is no number', (welcome) => publishFrame(welcome, Number.NaN)],
    ['a publish of no messages', (welcome) => changed(publishFrame(welcome), (view) => view.setUint32(40, 0, true))],
    ['a request nested 100,000 deep', () => behind(FrameKind.request, nested(100_000))],
    ['requests that are no rows', () => behind(FrameKind.request, encode({ a: 1 }))],
    [
      'a request whose number is a bigint of an extension type',
      () => requestNumbered(Uint8Array.of(0xc7, 9, 0x42, 1, 0, 0, 0, 0, 0, 0, 0, 0)),
    ],
    ['a request whose number is nested 1,000 deep', () => requestNumbered(nested(1_000))],
    ['a reply to no token', () => behind(FrameKind.reply, encode([[{ toString: 1 }, null, 'no']]))],
    ['a reply cut short', () => Uint8Array.of(FrameKind.reply, 0x91)],
    ['a query without an id', () => behind(FrameKind.query, encode({ what: 'queues' }))],
    [
      'a query for a name that is a map with the names of functions',
      () =>
        behind(FrameKind.query, encode({ id: 1, what: 'queue', name: { toString: 1, valueOf: 1 }, consistent: true })),
    ],
  ]

  it.each(frames)('is told and let go: %s', async (_, make) => {
    const { socket, welcome } = await session()
    socket.send(make(welcome))
    expect((await socket.ended).fault?.code).toBe('Protocol')
    await nobodyElseIsHarmed()
  })

  /** A request frame of one row, whose number is this value. */
  function requestNumbered(number: Uint8Array): Uint8Array {
    const [topic, timeoutMs, message] = ['a', 1_000, Uint8Array.of(0)].map(encode)
    return Uint8Array.of(FrameKind.request, 0x91, 0x94, ...number, ...topic!, ...timeoutMs!, ...message!)
  }

  it('is told PayloadTooLarge for a frame that is just too large', async () => {
    const { socket, welcome } = await session()
    const frame = publishFrame(welcome)
    const large = new Uint8Array(limits.frameBytesMax + 1)
    large.set(frame)
    socket.send(changed(large, (view) => view.setUint32(4, large.length, true)))
    expect((await socket.ended).fault?.code).toBe('PayloadTooLarge')
    await nobodyElseIsHarmed()
  })

  /** What only a replica's machine can tell, each of them alike. */
  const unreadable: [string, (welcome: Welcome) => Uint8Array][] = [
    [
      'a publish whose columns lie',
      (welcome) => changed(publishFrame(welcome), (view) => view.setUint32(44, 4_000, true)),
    ],
    [
      'a publish of more messages than it holds',
      (welcome) => changed(publishFrame(welcome), (view) => view.setUint32(40, 3, true)),
    ],
    ['a command that is random bytes', (welcome) => control(welcome, noise(64))],
    ['a command nested 100,000 deep', (welcome) => control(welcome, nested(100_000))],
    ['a settle frame of half an item', (welcome) => settleFrame(welcome).slice(0, -16)],
  ]

  it.each(unreadable)('is told and let go once no replica can read its frame: %s', async (_, make) => {
    const { socket, welcome } = await session()
    const frame = make(welcome)
    socket.send(changed(frame, (view) => view.setUint32(4, frame.length, true)))
    expect((await socket.ended).fault?.code).toBe('Protocol')
    await nobodyElseIsHarmed()
    await cluster.agreedState()
  })

  const refused: [string, object, string][] = [
    ['a command that nobody knows', { type: 'selfDestruct' }, 'Validation'],
    ['a command without what it needs', { type: 'consume', queue: 'calm' }, 'Validation'],
    ['a forbidden name', { type: 'declareQueue', queue: 'a b*' }, 'Validation'],
    ['a queue that does not exist', { type: 'bind', queue: 'nowhere', pattern: 'a' }, 'NotFound'],
  ]

  it.each(refused)('gets a coded outcome, alike on all replicas, and goes on: %s', async (_, value, code) => {
    const { socket, welcome } = await session()
    socket.send(command(welcome, value))
    const outcome = await socket.frame(FrameKind.outcome)
    expect(decode(outcome.subarray(1))).toMatchObject({ code })
    socket.socket.terminate()
    await nobodyElseIsHarmed()
    await cluster.agreedState()
  })

  it('gets an answer to settles of deliveries that never were', async () => {
    const { socket, welcome } = await session()
    socket.send(settleFrame(welcome))
    await socket.frame(FrameKind.settled)
    socket.socket.terminate()
    await nobodyElseIsHarmed()
    await cluster.agreedState()
  })

  function settleFrame({ session: id, epoch }: Welcome): Uint8Array {
    const item = { consumer: 99, firstDelivery: 1, count: 2 ** 32 - 1, outcome: SettleOutcome.accepted, ms: 0 }
    return encodeSettleFrame({ group: 0, session: id, epoch, tag: 1, seen: 0 }, [item])
  }

  function control(welcome: Welcome, body: Uint8Array): Uint8Array {
    const frame = command(welcome, {})
    const made = new Uint8Array(LOG_HEADER_BYTES + body.length)
    made.set(frame.subarray(0, LOG_HEADER_BYTES))
    made.set(body, LOG_HEADER_BYTES)
    return made
  }

  function command({ session: id, epoch, lastSequence }: Welcome, value: object): Uint8Array {
    const stamp = { group: 0, session: id, epoch, sequence: lastSequence + 1, seen: 0 }
    return encodeControlFrame(stamp, value as Parameters<typeof encodeControlFrame>[1])
  }
})

describe('a stranger at the peers’ door', () => {
  const answers: [string, () => Uint8Array | string][] = [
    ['random bytes', () => noise(256)],
    ['an empty frame', () => new Uint8Array(0)],
    ['a text frame', () => 'vote for me'],
    ['an answer that is cut short', () => encode({ version: 1, cluster: 'meshmq' }).slice(0, -3)],
    ['an answer of another version', () => encode({ version: 99, cluster: 'meshmq', to: 'n1', node: 'n2' })],
    ['an answer without a proof', () => encode(stranger())],
    ['an answer with a false proof', () => encode({ ...stranger(), proof: 'f'.repeat(64) })],
    ['an answer nested 4,000 deep', () => nested(4_000)],
    ['an answer larger than any handshake', () => encode({ ...stranger(), padding: 'x'.repeat(100_000) })],
    ['a peer message before the handshake', () => Uint8Array.of(1, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)],
  ]

  it.each(answers)('is turned away: %s', async (_, make) => {
    const socket = new RawSocket(url, '/peer')
    await socket.opened
    socket.send(make())
    expect([1002, 1006, 1008]).toContain((await socket.ended).closeCode)
    await nobodyElseIsHarmed()
  })

  it('is turned away when it sends more than a peer may', async () => {
    const socket = new RawSocket(url, '/peer')
    await socket.opened
    socket.send(new Uint8Array(8 * 1024 * 1024))
    expect([1006, 1009]).toContain((await socket.ended).closeCode)
    await nobodyElseIsHarmed()
  })

  it('is turned away when it says nothing in time', async () => {
    const socket = new RawSocket(url, '/peer')
    await socket.ended
    await nobodyElseIsHarmed()
  })

  function stranger() {
    return { version: 1, cluster: 'meshmq', nonce: 'aa', to: 'n1', node: 'n2', incarnation: 'i', bootId: 1 }
  }
})

describe('a crowd', () => {
  it('of 1,000 connections that open and drop leaves nothing behind', async () => {
    const before = await metricOf(url, 'meshmq_connections')
    const next = numbers(1_000)
    const visitor = async () => {
      for (let n = next(); n !== undefined; n = next()) await visit(n)
    }
    await Promise.all(Array.from({ length: 50 }, visitor))
    await nobodyElseIsHarmed()
    await eventually(async () => (await metricOf(url, 'meshmq_connections')) === before)
    await cluster.agreedState()
  }, 60_000)

  /** Each drops at another stage: before HTTP, within it, after the upgrade, within hello, after welcome. */
  async function visit(n: number): Promise<void> {
    if (n % 5 < 2) {
      const tcp = await openTcp()
      if (n % 5 === 1) tcp.write('GET /peer HTTP/1.1\r\nUpgrade: web')
      tcp.destroy()
      return
    }
    const socket = new RawSocket(url, n % 2 === 0 ? '/client' : '/peer')
    await socket.opened
    if (n % 5 === 3) socket.send(encodeSessionFrame(FrameKind.hello, { version: PROTOCOL_VERSION, connection: n }))
    socket.socket.terminate()
    await socket.ended
  }

  function numbers(count: number): () => number | undefined {
    let n = 0
    return () => (n < count ? n++ : undefined)
  }
})

function behind(kind: number, value: Uint8Array): Uint8Array {
  return Uint8Array.of(kind, ...value)
}

async function openTcp(): Promise<Socket> {
  const tcp = connectTcp(Number(new URL(url).port), '127.0.0.1')
  tcp.on('error', () => {})
  await once(tcp, 'connect')
  return tcp
}
