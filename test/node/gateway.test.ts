/** The gateway on a machine of its own: what it asks of the log is applied when the test says so. */
import { afterEach, describe, expect, it } from 'vitest'
import { Bodies } from '../../node/bodies.ts'
import { parseNodeOptions } from '../../node/config.ts'
import { Gateway, GREETING_BYTES_MAX } from '../../node/gateway/gateway.ts'
import { LocalSocket } from '../../node/local-socket.ts'
import type { Effect } from '../../node/queue/index.ts'
import { Router } from '../../node/router.ts'
import type { EntryType } from '../../raft/index.ts'
import { decodeDeliverFrame } from '../../wire/deliver-frame.ts'
import { FrameKind } from '../../wire/frame.ts'
import {
  decodeSessionFrame,
  encodeSessionFrame,
  type Hello,
  partedFrame,
  type RequestedItem,
  type Welcome,
} from '../../wire/session-frames.ts'
import { ManualClock } from '../client/support/manual-clock.ts'
import { encodeFrame, entryOf } from '../queue/frames.ts'
import { World } from '../queue/world.ts'
import { turn } from './fake-client.ts'

const config = parseNodeOptions({
  id: 'n1',
  listen: '127.0.0.1:7101',
  dataDir: '/nowhere',
  cluster: { n1: 'ws://127.0.0.1:7101' },
  logger: false,
})
const scenes: Scene[] = []

afterEach(() => {
  for (const { gateway } of scenes.splice(0)) void gateway.stop()
})

/** A client's end of a socket: what came, and whether it is closed. */
class TestClient {
  readonly frames: Uint8Array[] = []
  isClosed = false
  readonly #socket: LocalSocket

  constructor(gateway: Gateway) {
    const [own, nodes] = LocalSocket.pair()
    this.#socket = own
    own.receive = (frame) => void this.frames.push(frame)
    own.onClose(() => {
      this.isClosed = true
    })
    gateway.adopt(nodes)
  }

  hello(fields: Partial<Hello> = {}): void {
    this.send(encodeSessionFrame(FrameKind.hello, { version: 1, connection: 1, ...fields }))
  }

  send(frame: Uint8Array): void {
    this.#socket.send(frame)
  }

  close(): void {
    this.#socket.close()
  }

  get kinds(): string[] {
    return this.frames.map(([kind]) => Object.entries(FrameKind).find(([, each]) => each === kind)![0])
  }

  /** The value of the latest frame of this kind. */
  value<T>(kind: FrameKind): T {
    return decodeSessionFrame(this.frames.findLast((frame) => frame[0] === kind)!) as T
  }

  get session(): number {
    return this.value<Welcome>(FrameKind.welcome).session
  }

  get epoch(): number {
    return this.value<Welcome>(FrameKind.welcome).epoch
  }

  /** Delivery numbers, in order of arrival. */
  get deliveries(): number[] {
    const frames = this.frames.filter(([kind]) => kind === FrameKind.deliver)
    return frames.flatMap((frame) => decodeDeliverFrame(frame).deliveries.map(({ delivery }) => delivery))
  }
}

class Scene {
  readonly world = new World()
  readonly clock = new ManualClock()
  readonly unseen: RequestedItem[] = []
  readonly router: Router
  readonly gateway: Gateway
  /** Sent to the leader, not in the log yet. */
  sent: Uint8Array[] = []

  constructor() {
    scenes.push(this)
    this.router = new Router({
      pendingBytesMax: 1_000_000,
      send: (_, frame) => this.sent.push(frame),
      onFull: () => {},
    })
    this.router.lead('n1')
    const entry = (index: number) => ({
      index,
      term: 1,
      type: 0 as EntryType,
      data: this.world.entries[index - 1]!,
    })
    const source = { entry, appliedIndex: () => 0, readEntries: () => Promise.resolve([]), recover: () => {} }
    this.gateway = new Gateway({
      config,
      clock: this.clock,
      boot: { node: 'n1', bootId: 1 },
      group: 0,
      router: this.router,
      bodies: new Bodies(source, (error) => expect.fail(String(error))),
      owed: (session) => this.world.machine.owed(session),
      handlers: {
        onRequests: () => {},
        onReplies: () => {},
        onQuery: () => {},
        onUnseen: (items) => void this.unseen.push(...items),
      },
    })
  }

  /** What was sent becomes an entry. Its effects are performed, unless this node is to miss it. */
  async commit({ missed = false } = {}): Promise<void> {
    for (let i = 0; i < 3; i++) await turn()
    if (this.sent.length > 0) {
      const entry = entryOf(this.world.timeMs, this.sent)
      this.sent = []
      const effects = this.world.applyBytes(entry)
      if (!missed) this.perform(effects)
    }
    for (let i = 0; i < 3; i++) await turn()
  }

  perform(effects: readonly Effect[]): void {
    for (const effect of effects) {
      this.router.settleEffect(effect)
      this.gateway.perform(effect)
    }
  }

  /** As after an install: the machine is where it is, and nobody was told how it got there. */
  async jump(): Promise<void> {
    const effects = [...this.world.machine.resume('n1', 1)]
    for (const effect of effects) this.router.settleEffect(effect)
    this.gateway.resync(effects)
    for (let i = 0; i < 3; i++) await turn()
  }

  async attached(): Promise<TestClient> {
    const client = new TestClient(this.gateway)
    client.hello()
    await this.commit()
    return client
  }

  drained(graceMs = 5_000): { isOver: boolean } {
    const state = { isOver: false }
    void this.gateway.drain(graceMs).then(() => {
      state.isOver = true
    })
    return state
  }
}

/** The session is attached elsewhere, as the log has it. */
function moveAway(scene: Scene, session: number, connection = 2): Effect[] {
  const boot = { node: 'n2', bootId: 1, nonce: 1 }
  return scene.world.node({ type: 'attach', ...boot, session, connection, held: [] })
}

describe('a gateway that drains', () => {
  it('says goodbye to all, and serves them until the log has them elsewhere', async () => {
    const scene = new Scene()
    const clients = [await scene.attached(), await scene.attached()]
    const drained = scene.drained(3_000)
    await turn()
    for (const client of clients) expect(client.value(FrameKind.goodbye)).toEqual({ graceMs: 3_000 })
    scene.perform(moveAway(scene, clients[0]!.session))
    await turn()
    await turn()
    expect(clients.map(({ isClosed }) => isClosed)).toEqual([true, false])
    expect(drained.isOver).toBe(false)
    scene.perform(moveAway(scene, clients[1]!.session))
    await turn()
    expect(drained.isOver).toBe(true)
    expect(scene.clock.timers).toBe(1)
  })

  it('is not done when a socket is closed, but when the log says that its session is detached', async () => {
    const scene = new Scene()
    const client = await scene.attached()
    const drained = scene.drained()
    client.close()
    await turn()
    await turn()
    expect([scene.gateway.sessions, drained.isOver]).toEqual([0, false])
    await scene.commit()
    expect(drained.isOver).toBe(true)
  })

  it('refuses whoever comes from now on, also on a socket that was open before', async () => {
    const scene = new Scene()
    await scene.attached()
    const early = new TestClient(scene.gateway)
    await turn()
    scene.drained()
    early.hello()
    const late = new TestClient(scene.gateway)
    late.hello()
    await scene.commit()
    for (const client of [early, late]) {
      expect(client.value(FrameKind.fault)).toMatchObject({ code: 'Draining' })
      expect(client.isClosed).toBe(true)
    }
    expect(scene.world.entries).toHaveLength(1)
  })

  it('waits for who is just being attached, and says goodbye to them right after the welcome', async () => {
    const scene = new Scene()
    const client = new TestClient(scene.gateway)
    client.hello()
    await turn()
    const drained = scene.drained(3_000)
    await scene.clock.advance(1_000)
    expect(drained.isOver).toBe(false)
    await scene.commit()
    expect(client.kinds).toEqual(['welcome', 'goodbye'])
    expect(client.value(FrameKind.goodbye)).toEqual({ graceMs: 2_000 })
  })

  it('gives up at the end of its grace', async () => {
    const scene = new Scene()
    await scene.attached()
    const drained = scene.drained(3_000)
    await scene.clock.advance(2_999)
    expect(drained.isOver).toBe(false)
    await scene.clock.advance(1)
    expect(drained.isOver).toBe(true)
  })

  it('gives a client all that this turn had for it before its socket is closed', async () => {
    const scene = new Scene()
    const client = await scene.attached()
    const session = scene.gateway.session(client.session)!
    session.requested(['t', 'a', Uint8Array.of(1)])
    session.replied([1, Uint8Array.of(2)])
    scene.perform(moveAway(scene, client.session))
    await turn()
    await turn()
    expect(client.kinds).toEqual(['welcome', 'requested', 'replied', 'fault'])
  })

  it('confirms a leave behind all that came before, and hands a client that stays away no more requests', async () => {
    const scene = new Scene()
    const client = await scene.attached()
    const session = scene.gateway.session(client.session)!
    client.send(encodeSessionFrame(FrameKind.leave, { ends: false }))
    await turn()
    await turn()
    expect(client.frames.at(-1)).toEqual(partedFrame)
    expect(session.takesRequests).toBe(true)
    client.send(encodeSessionFrame(FrameKind.leave, { ends: true }))
    await turn()
    expect(session.takesRequests).toBe(false)
  })
})

describe('hellos that wait for their sessions', () => {
  it('hold no more than a bound while the log does not go on, and give their room back', async () => {
    const scene = new Scene()
    // Any long field will do; this one is quick to read.
    const token = 'x'.repeat(8 * 1024 * 1024)
    const { length } = encodeSessionFrame(FrameKind.hello, { version: 1, connection: 1, token })
    const fitting = Math.floor(GREETING_BYTES_MAX / length)
    const clients = Array.from({ length: fitting + 1 }, () => new TestClient(scene.gateway))
    for (const client of clients) client.hello({ token })
    await turn()
    await turn()
    await turn()
    expect(clients.filter(({ isClosed }) => isClosed)).toEqual([clients.at(-1)])
    expect(clients.at(-1)!.value(FrameKind.fault)).toMatchObject({ code: 'Overloaded' })
    clients[0]!.close()
    await turn()
    const next = new TestClient(scene.gateway)
    next.hello({ token })
    await turn()
    await turn()
    expect(next.isClosed).toBe(false)
  })
})

describe('a gateway whose machine jumped', () => {
  /** A client with a queue that it consumes, of this session. */
  async function consuming() {
    const scene = new Scene()
    const client = await scene.attached()
    const { session, epoch } = client
    const publisher = scene.world.open({ node: 'n2' })
    publisher.queue('q', 'a')
    const frame = (sequence: number) =>
      encodeFrame({
        kind: 'control',
        session,
        epoch,
        sequence,
        seen: 0,
        command: { type: 'consume', queue: 'q', prefetch: 10, visibilityTimeoutMs: 30_000 },
      })
    client.send(frame(1))
    await scene.commit()
    scene.perform(publisher.publish('a', 'a'))
    await turn()
    expect(client.deliveries).toEqual([1, 2])
    return { scene, client, publisher, frame }
  }

  it('closes the sockets of the sessions that went elsewhere, and keeps the others', async () => {
    const scene = new Scene()
    const clients = [await scene.attached(), await scene.attached()]
    moveAway(scene, clients[0]!.session)
    await scene.jump()
    expect(clients.map(({ isClosed }) => isClosed)).toEqual([true, false])
    expect(clients[0]!.kinds).toEqual(['welcome', 'fault'])
    expect(clients[1]!.kinds).toEqual(['welcome', 'resumed'])
    expect(scene.gateway.sessions).toBe(1)
  })

  it('tells a session where it stands, then its open deliveries, those included that it has got before', async () => {
    const { scene, client, publisher, frame } = await consuming()
    client.send(frame(2))
    await scene.commit({ missed: true })
    publisher.publish('a')
    await scene.jump()
    expect(client.value(FrameKind.resumed)).toMatchObject({ lastSequence: 2 })
    expect(client.kinds.slice(-2)).toEqual(['resumed', 'deliver'])
    expect(client.deliveries).toEqual([1, 2, 1, 2, 3])
    expect(scene.router.pendingBytes).toBe(0)
  })

  it('sends again what the machine has not judged', async () => {
    const { scene, client, frame } = await consuming()
    client.send(frame(2))
    await turn()
    await turn()
    const lost = scene.sent
    scene.sent = []
    await scene.jump()
    expect(scene.sent).toEqual(lost)
    await scene.commit()
    expect(client.value(FrameKind.outcome)).toMatchObject({ sequence: 2 })
  })

  it('has no use for a detach that took effect unseen', async () => {
    const scene = new Scene()
    const client = await scene.attached()
    client.close()
    await scene.commit({ missed: true })
    const drained = scene.drained()
    await turn()
    expect(drained.isOver).toBe(false)
    await scene.jump()
    expect(drained.isOver).toBe(true)
    scene.router.lead('n1')
    expect(scene.sent).toEqual([])
  })

  it('detaches a session that was attached unseen and has no socket', async () => {
    const scene = new Scene()
    const client = new TestClient(scene.gateway)
    client.hello()
    await turn()
    await turn()
    client.close()
    await turn()
    await scene.commit({ missed: true })
    const [{ session } = { session: 0 }] = scene.world.machine.sessionsOf('n1', 1)
    expect(session).toBeGreaterThan(0)
    await scene.jump()
    await scene.commit()
    expect(scene.world.machine.session(session)?.attachment).toBeUndefined()
  })

  it('leaves one that was attached unseen to the socket that asked for it', async () => {
    const scene = new Scene()
    const client = new TestClient(scene.gateway)
    client.hello()
    await scene.commit({ missed: true })
    await scene.jump()
    expect(client.kinds).toEqual([])
    scene.router.lead('n1')
    await scene.commit()
    expect(client.kinds).toEqual(['welcome'])
    expect(scene.world.machine.session(client.session)?.attachment).toBeDefined()
  })

  it('gives one that was attached unseen what it was given since then, once it has its socket', async () => {
    const { scene, client, publisher } = await consuming()
    const { session } = client
    const next = new TestClient(scene.gateway)
    next.hello({ session, connection: 2 })
    await scene.commit({ missed: true })
    publisher.publish('a')
    await scene.jump()
    scene.perform(publisher.publish('a'))
    expect(next.kinds).toEqual([])
    scene.router.lead('n1')
    await scene.commit()
    expect(next.kinds).toEqual(['welcome', 'deliver'])
    // The two that it does not name as held have gone back, and were given again before all others.
    expect(next.deliveries).toEqual([3, 4, 5, 6])
  })
})
