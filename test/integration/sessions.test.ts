import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Client, Message } from '../../client/index.ts'
import { type ControlCommand, encodeControlFrame } from '../../wire/control-frame.ts'
import { decodeDeliverFrame } from '../../wire/deliver-frame.ts'
import { FrameKind } from '../../wire/frame.ts'
import { decodeMessage } from '../../wire/message.ts'
import { decode } from '../../wire/msgpack.ts'
import type { HeldDeliveries, OutcomeNotice, Welcome } from '../../wire/session-frames.ts'
import { statusOf } from '../support/admin.ts'
import { eventually } from '../support/eventually.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { closeAfterTest, TestMesh } from './mesh.ts'

const DETACH_GRACE_MS = 400

let mesh: TestMesh
let names = 0
const fresh = (word: string) => `${word}${++names}`

beforeAll(async () => {
  mesh = await TestMesh.start({ detachGraceMs: DETACH_GRACE_MS, clientBufferBytesMax: 2 * 1024 * 1024 })
})

afterAll(() => mesh.close())

async function declare(client: Client, name: string, pattern: string): Promise<void> {
  await client.queue(name).declare()
  await client.queue(name).bind(pattern)
}

/** A client that speaks the protocol by hand and settles nothing, so that its connection can die at any moment. */
class RawConsumer {
  readonly socket: RawSocket
  readonly welcome: Welcome
  #sequence: number

  static async open(url: string, hello: { session?: number; connection?: number; held?: HeldDeliveries[] } = {}) {
    const socket = new RawSocket(url, '/client')
    return new RawConsumer(socket, await socket.greet(hello))
  }

  private constructor(socket: RawSocket, welcome: Welcome) {
    this.socket = socket
    this.welcome = welcome
    this.#sequence = welcome.lastSequence
  }

  /** The consumer's number. */
  async consume(queue: string, prefetch: number): Promise<number> {
    const outcome = await this.command({ type: 'consume', queue, prefetch, visibilityTimeoutMs: 30_000 })
    return outcome.result!.consumer as number
  }

  async command(command: ControlCommand): Promise<OutcomeNotice> {
    const { session, epoch } = this.welcome
    const sequence = ++this.#sequence
    this.socket.send(encodeControlFrame({ group: 0, session, epoch, sequence, seen: 0 }, command))
    return eventually(() =>
      this.socket.frames
        .filter((frame) => frame[0] === FrameKind.outcome)
        .map((frame) => decode(frame.subarray(1)) as OutcomeNotice)
        .find((outcome) => outcome.sequence === sequence),
    )
  }

  /** Bodies of what was delivered so far, with their attempts. */
  get delivered(): string[] {
    return this.socket.frames
      .filter((frame) => frame[0] === FrameKind.deliver)
      .flatMap((frame) => decodeDeliverFrame(frame).deliveries)
      .map(({ attempt, message }) => `${decode(decodeMessage(message).body)} ${attempt}`)
  }

  /** Without a word, as when the network or the process dies. */
  die(): void {
    this.socket.socket.terminate()
  }
}

describe('a connection that dies', () => {
  it('keeps its open deliveries for the grace; then another consumer gets them, each in its old place', async () => {
    const topic = fresh('work')
    const queue = fresh('queue')
    const other = await mesh.client('n2')
    await declare(other, queue, topic)
    for (let n = 1; n <= 6; n++) await other.publish(topic, n)
    const dying = await RawConsumer.open(mesh.url('n1'))
    await dying.consume(queue, 3)
    await eventually(() => dying.delivered.length === 3)
    expect(dying.delivered).toEqual(['1 1', '2 1', '3 1'])

    const received: { at: number; told: string }[] = []
    const note = ({ body, attempt }: Message) => {
      received.push({ at: performance.now(), told: `${body} ${attempt}` })
    }
    const diedMs = performance.now()
    dying.die()
    await other.subscribe(topic, note, { queue, prefetch: 1 })
    await eventually(() => received.length === 6)
    const told = received.map((each) => each.told)
    // 4, 5 and 6 were free; 1, 2 and 3 came back while this consumer was at work or idle, together and in order.
    expect(told.filter((each) => each.endsWith(' 2'))).toEqual(['1 2', '2 2', '3 2'])
    expect(told.filter((each) => each.endsWith(' 1'))).toEqual(['4 1', '5 1', '6 1'])
    const firstBackMs = received.find((each) => each.told === '1 2')!.at
    expect(firstBackMs - diedMs).toBeGreaterThanOrEqual(DETACH_GRACE_MS * 0.9)
  })

  it('keeps what it names as held when it comes back in time, on another node too; the rest returns at once', async () => {
    // A grace that no machine is too slow for: what returns does so before it is over.
    const own = closeAfterTest(await TestMesh.start({ detachGraceMs: 60_000 }))
    const topic = fresh('work')
    const queue = fresh('queue')
    const other = await own.client('n2')
    await declare(other, queue, topic)
    for (let n = 1; n <= 4; n++) await other.publish(topic, n)
    const first = await RawConsumer.open(own.url('n1'))
    const consumer = await first.consume(queue, 4)
    await eventually(() => first.delivered.length === 4)
    first.die()

    const { session } = first.welcome
    const back = await RawConsumer.open(own.url('n3'), {
      session,
      connection: 2,
      held: [{ consumer, runs: [[1, 2]] }],
    })
    expect(back.welcome).toMatchObject({ session, consumers: [consumer] })
    expect(back.welcome.epoch).toBeGreaterThan(first.welcome.epoch)
    // Deliveries 3 and 4 were lost on the way: their messages come again, 1 and 2 do not.
    await eventually(() => back.delivered.length === 2)
    expect(back.delivered).toEqual(['3 2', '4 2'])
    expect(await other.queue(queue).stats({ consistent: true })).toMatchObject({ ready: 0, unsettled: 4 })
    back.die()
  })

  it('is replaced by a newer one of its session, and an older one is refused', async () => {
    const first = await RawConsumer.open(mesh.url('n1'), { connection: 5 })
    const { session } = first.welcome
    const second = await RawConsumer.open(mesh.url('n2'), { session, connection: 6 })
    expect((await first.socket.ended).fault?.code).toBe('Connection')
    const stale = RawConsumer.open(mesh.url('n3'), { session, connection: 4 })
    await expect(stale).rejects.toThrow('closed without')
    expect(second.socket.socket.readyState).toBe(second.socket.socket.OPEN)
    second.die()
  })
})

describe('a client that closes', () => {
  it('gives its open deliveries back at once', async () => {
    const topic = fresh('work')
    const queue = fresh('queue')
    const leaving = await mesh.client('n1')
    const other = await mesh.client('n2')
    await declare(other, queue, topic)
    await other.publish(topic, 'held')
    const messages = leaving.subscribe(topic, { queue })[Symbol.asyncIterator]()
    await messages.next()
    expect(await other.queue(queue).stats({ consistent: true })).toMatchObject({ ready: 0, unsettled: 1 })
    await leaving.close()
    expect(await other.queue(queue).stats({ consistent: true })).toMatchObject({ ready: 1, unsettled: 0, consumers: 0 })
  })

  it('takes its exclusive queue along, and keeps others out of it meanwhile', async () => {
    const topic = fresh('events')
    const listener = await mesh.client('n1')
    const other = await mesh.client('n2')
    const names = async () => (await other.admin.queues()).map(({ queue }) => queue)
    const before = await names()
    const received: unknown[] = []
    await listener.subscribe(`${topic}.#`, ({ body }) => void received.push(body))
    await other.publish(`${topic}.a`, 1)
    await eventually(() => received.length === 1)
    const own = (await names()).filter((name) => !before.includes(name))
    expect(own).toHaveLength(1)
    await expect(other.subscribe(topic, () => {}, { queue: own[0]! })).rejects.toMatchObject({ code: 'Precondition' })
    await listener.close()
    await eventually(async () => (await names()).length === before.length)
  })

  it('drains: what its handlers hold is finished and settled, nothing more is taken', async () => {
    const topic = fresh('work')
    const queue = fresh('queue')
    const draining = await mesh.client('n1')
    const other = await mesh.client('n2')
    await declare(other, queue, topic)
    for (let n = 1; n <= 5; n++) await other.publish(topic, n)
    const finishes: (() => void)[] = []
    const handler = () => new Promise<void>((resolve) => void finishes.push(resolve))
    await draining.subscribe(topic, handler, { queue, prefetch: 2 })
    await eventually(() => finishes.length === 2)
    const drained = draining.drain()
    for (const finish of finishes) finish()
    await drained
    expect(finishes).toHaveLength(2)
    expect(await other.queue(queue).stats({ consistent: true })).toMatchObject({ ready: 3, unsettled: 0, consumers: 0 })
  })
})

describe('a client that reads too slowly', () => {
  it('gets its messages when it reads again, and slows nobody else down', async () => {
    const topic = fresh('bulk')
    const lame = fresh('lame')
    const brisk = fresh('brisk')
    const count = 200
    const body = new Uint8Array(128 * 1024)
    const slow = await RawConsumer.open(mesh.url('n1'))
    const quick = await mesh.client('n1')
    await declare(quick, lame, topic)
    await declare(quick, brisk, topic)
    await slow.consume(lame, count)
    slow.socket.socket.pause()
    let received = 0
    await quick.subscribe(topic, () => void received++, { queue: brisk })
    for (let i = 0; i < count; i += 10) {
      await Promise.all(Array.from({ length: 10 }, () => quick.publish(topic, body)))
    }
    await eventually(() => received === count)
    const caught = () => slow.socket.frames.filter((frame) => frame[0] === FrameKind.deliver)
    const rows = () => caught().reduce((sum, frame) => sum + decodeDeliverFrame(frame).deliveries.length, 0)
    expect(rows()).toBeLessThan(count)
    slow.socket.socket.resume()
    await eventually(() => rows() === count)
    slow.die()
  })
})

describe('when the node of a client stops', () => {
  it('publisher and consumer go on through another one: nothing lost, doubled or out of order', async () => {
    const own = closeAfterTest(await TestMesh.start())
    const topic = fresh('orders')
    const leader = await own.leader()
    const follower = own.ids.find((id) => id !== leader)!
    for (const id of [follower, leader]) {
      const queue = fresh('queue')
      const others = own.runningUrls.filter((url) => url !== own.url(id))
      const publisher = await own.clientOf([own.url(id), ...others])
      const consumer = await own.clientOf([own.url(id), ...others])
      const received: number[] = []
      await consumer.subscribe(topic, ({ body }) => void received.push(body as number), { queue })
      const published: Promise<unknown>[] = []
      let stopped: Promise<void> | undefined
      for (let n = 1; n <= 500; n++) {
        const ack = publisher.publish(topic, n)
        published.push(ack)
        if (n === 250) stopped = own.stopNode(id)
        if (n % 10 === 0) await ack
      }
      await Promise.all(published)
      await stopped
      await eventually(() => received.length >= 500)
      expect(received.filter((n, i) => received.indexOf(n) === i)).toEqual(Array.from({ length: 500 }, (_, i) => i + 1))
      await consumer.close()
      await own.startNode(id)
      await own.ready()
    }
    await own.agreedState()
  })
})

describe('a session', () => {
  it('whose lease has run out is lost: its client is told so, and its queue and consumers are gone', async () => {
    const own = closeAfterTest(await TestMesh.start({ sessionLeaseMs: 200, detachGraceMs: 50 }))
    const asker = await own.client('n2')
    const gone = await RawConsumer.open(own.url('n1'))
    await gone.command({ type: 'declareQueue', queue: 'mine', exclusive: true })
    const { session } = gone.welcome
    gone.die()
    await eventually(async () => (await asker.admin.queues()).length === 0)
    const late = new RawSocket(own.url('n3'), '/client')
    await late.greet({ session, connection: 2 }).catch(() => {})
    expect((await late.ended).fault?.code).toBe('SessionLost')
  })

  it('outlives its connection while its client is only away for a moment', async () => {
    const topic = fresh('work')
    const queue = fresh('queue')
    const first = await RawConsumer.open(mesh.url('n1'))
    await first.command({ type: 'declareQueue', queue, exclusive: true })
    const before = (await statusOf(mesh.url('n1'))).sessions
    first.die()
    await eventually(async () => (await statusOf(mesh.url('n1'))).sessions === before - 1)
    const { session } = first.welcome
    const back = await RawConsumer.open(mesh.url('n2'), { session, connection: 2 })
    expect(await back.command({ type: 'bind', queue, pattern: topic })).not.toHaveProperty('code')
    back.die()
  })
})
