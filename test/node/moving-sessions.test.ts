import { afterEach, describe, expect, it } from 'vitest'
import type { ClientSession } from '../../node/gateway/client-session.ts'
import { Nonces } from '../../node/gateway/nonces.ts'
import { readToken, writeToken } from '../../node/gateway/request-token.ts'
import { STRAYS_BYTES_MAX, Strays } from '../../node/gateway/strays.ts'
import { Parting, type PartingNote } from '../../node/parting.ts'
import {
  decodeNotes,
  decodeReplies,
  decodeRequests,
  encodeNotes,
  encodeReplies,
  encodeRequests,
} from '../../node/peers/volatile-codec.ts'
import { Machine } from '../../node/queue/index.ts'
import { Volatile } from '../../node/volatile.ts'
import { FrameKind } from '../../wire/frame.ts'
import type { RepliedItem, RequestedItem } from '../../wire/session-frames.ts'
import { ManualClock } from '../client/support/manual-clock.ts'
import { type Client, World } from '../queue/world.ts'
import { FakeSocket, sessionOn, turn } from './fake-client.ts'

const nonces = new Nonces()

const ids = ['n1', 'n2', 'n3']
const message = Uint8Array.of(1)
const answer = Uint8Array.of(9)
const clusters: Cluster[] = []

afterEach(() => {
  for (const cluster of clusters.splice(0)) for (const node of cluster.nodes.values()) node.volatile.stop()
})

/** A node with a replica of its own, which applies entries when the test says so. */
class TestNode {
  readonly id: string
  readonly #cluster: Cluster
  machine = new Machine()
  volatile: Volatile
  ready = true
  #applied = 0
  readonly #sessions = new Map<number, { readonly session: ClientSession; readonly socket: FakeSocket }>()

  constructor(id: string, cluster: Cluster) {
    this.id = id
    this.#cluster = cluster
    this.volatile = this.#start()
  }

  #start(): Volatile {
    const { clock, world } = this.#cluster
    const peer = (to: string) =>
      this.#cluster.cut.has(to) || this.#cluster.cut.has(this.id) ? undefined : this.#cluster.on(to)
    return new Volatile({
      mintNonce: () => nonces.next(),
      node: this.id,
      machine: this.machine,
      clock,
      barrier: async () => {
        this.#cluster.sent.push(`barrier of ${this.id}`)
        this.apply(world.entries.length)
      },
      ready: () => this.ready,
      session: (id) => this.#sessions.get(id)?.session,
      sendRequests: (to, rows) => {
        this.#cluster.sent.push(`requests of ${this.id} to ${to}`)
        peer(to)?.volatile.onRequests(this.id, decodeRequests(encodeRequests(rows)))
        return peer(to) !== undefined
      },
      sendReplies: (to, rows) => {
        this.#cluster.sent.push(`replies of ${this.id} to ${to}`)
        peer(to)?.volatile.onReplies(decodeReplies(encodeReplies(rows)))
        return peer(to) !== undefined
      },
      sendNotes: (to, rows) => {
        this.#cluster.sent.push(`notes of ${this.id} to ${to}`)
        peer(to)?.volatile.onNotes(this.id, decodeNotes(encodeNotes(rows)))
        return peer(to) !== undefined
      },
    })
  }

  /** Another life, whose replica has nothing yet. */
  restart(): void {
    this.volatile.stop()
    this.machine = new Machine()
    this.#applied = 0
    this.#sessions.clear()
    this.ready = false
    this.volatile = this.#start()
  }

  apply(through: number): void {
    for (; this.#applied < through; this.#applied++) {
      const index = this.#applied + 1
      for (const effect of this.machine.apply(index, 1, this.#cluster.world.entries[this.#applied]!)) {
        if (effect.type === 'attached') {
          const { to } = effect
          if (to.node === this.id && this.ready) this.#open(to)
          this.volatile.attached(to)
        } else if (effect.type === 'detached' && effect.to.node === this.id) {
          this.#sessions.get(effect.to.session)?.session.flush()
          this.#sessions.delete(effect.to.session)
        }
      }
    }
  }

  #open(to: { session: number; node: string; bootId: number; epoch: number }): void {
    const socket = new FakeSocket()
    const handlers = { onUnseen: (items: readonly RequestedItem[]) => this.volatile.unseen(items) }
    const session = sessionOn(socket, handlers, { ...to, bufferBytesMax: 1_000_000 })
    this.#sessions.set(to.session, { session, socket })
    this.#cluster.sockets.set(`${to.session} ${this.id}`, socket)
  }

  session(client: Client): ClientSession {
    return this.#sessions.get(client.session)!.session
  }
}

class Cluster {
  readonly world = new World()
  readonly clock = new ManualClock()
  /** What nodes sent or asked for, in order. */
  readonly sent: string[] = []
  /** Nodes that nobody reaches. */
  readonly cut = new Set<string>()
  /** By session and node; also those of former attachments. */
  readonly sockets = new Map<string, FakeSocket>()
  readonly nodes: ReadonlyMap<string, TestNode> = new Map(ids.map((id) => [id, new TestNode(id, this)]))

  constructor() {
    clusters.push(this)
  }

  on(id: string): TestNode {
    return this.nodes.get(id)!
  }

  /** All nodes but these apply everything. */
  catchUp(...but: string[]): void {
    for (const [id, node] of this.nodes) if (!but.includes(id)) node.apply(this.world.entries.length)
  }

  client(node: string): Client {
    const client = this.world.open({ node })
    this.catchUp()
    return client
  }

  responder(node: string): Client {
    const client = this.client(node)
    client.control({ type: 'listen', pattern: 'a' })
    this.catchUp()
    return client
  }

  move(client: Client, node: string, ...but: string[]): void {
    client.attach([], { node })
    this.catchUp(...but)
  }

  ask(client: Client, node: string, request = 1): void {
    const { volatile } = this.on(node)
    volatile.ask(this.on(node).session(client), [[request, 'a', 60_000, message]])
  }

  async requested(client: Client, node: string): Promise<RequestedItem[]> {
    return (await this.#rows(client, node, FrameKind.requested)) as RequestedItem[]
  }

  async replied(client: Client, node: string): Promise<RepliedItem[]> {
    return (await this.#rows(client, node, FrameKind.replied)) as RepliedItem[]
  }

  async #rows(client: Client, node: string, kind: number): Promise<unknown[]> {
    for (let i = 0; i < 6; i++) await turn()
    return (this.sockets.get(`${client.session} ${node}`)!.values(kind) as unknown[][]).flat()
  }
}

describe('a reply to an asker that has moved', () => {
  async function asked() {
    const cluster = new Cluster()
    const asker = cluster.client('n1')
    const responder = cluster.responder('n3')
    cluster.ask(asker, 'n1')
    const [[token]] = (await cluster.requested(responder, 'n3')) as [RequestedItem]
    return { cluster, asker, token }
  }

  it('is waited for at its new node, and finds it by way of the old one', async () => {
    const { cluster, asker, token } = await asked()
    cluster.move(asker, 'n2')
    cluster.on('n3').volatile.answer([[token, answer]])
    expect(await cluster.replied(asker, 'n2')).toEqual([[1, answer]])
  })

  it('finds it when the old node is gone', async () => {
    const { cluster, asker, token } = await asked()
    cluster.move(asker, 'n2')
    cluster.cut.add('n1')
    cluster.on('n3').volatile.answer([[token, answer]])
    expect(await cluster.replied(asker, 'n2')).toEqual([[1, answer]])
  })

  it('waits at the responder’s node until that knows where the asker is', async () => {
    const { cluster, asker, token } = await asked()
    cluster.move(asker, 'n2', 'n3')
    cluster.cut.add('n1')
    cluster.on('n3').volatile.answer([[token, answer]])
    expect(await cluster.replied(asker, 'n2')).toEqual([])
    cluster.catchUp()
    expect(await cluster.replied(asker, 'n2')).toEqual([[1, answer]])
  })

  it('waits at the new node until that has applied the move', async () => {
    const { cluster, asker, token } = await asked()
    cluster.move(asker, 'n2', 'n2')
    cluster.on('n3').volatile.answer([[token, answer]])
    for (let i = 0; i < 5; i++) await turn()
    cluster.catchUp()
    expect(await cluster.replied(asker, 'n2')).toEqual([[1, answer]])
  })

  it('waits while it is attached nowhere, for ten seconds at most', async () => {
    const { cluster, asker, token } = await asked()
    asker.detach()
    cluster.catchUp()
    cluster.on('n3').volatile.answer([[token, answer]])
    await cluster.clock.advance(9_900)
    cluster.move(asker, 'n2')
    expect(await cluster.replied(asker, 'n2')).toEqual([[1, answer]])
    expect(cluster.clock.timers).toBe(3)
  })

  it('follows it through a restart of the node that it was asked at, moved twice by then', async () => {
    const { cluster, asker, token } = await asked()
    cluster.move(asker, 'n3')
    cluster.move(asker, 'n2')
    cluster.on('n1').restart()
    cluster.on('n3').volatile.answer([[token, answer]])
    expect(await cluster.replied(asker, 'n2')).toEqual([])
    cluster.catchUp()
    expect(await cluster.replied(asker, 'n2')).toEqual([[1, answer]])
  })

  it('can still not be made up by anybody who was not asked', async () => {
    const { cluster, asker, token } = await asked()
    cluster.move(asker, 'n2')
    const known = readToken(token)!
    for (const gone of [false, true]) {
      if (gone) cluster.cut.add('n1')
      for (const node of ids) {
        cluster.on('n3').volatile.answer([[writeToken({ ...known, node, nonce: known.nonce + 1 }), Uint8Array.of(66)]])
      }
    }
    expect(await cluster.replied(asker, 'n2')).toEqual([])
    cluster.on('n3').volatile.answer([[token, answer]])
    expect(await cluster.replied(asker, 'n2')).toEqual([[1, answer]])
  })
})

describe('a request to a responder that has moved', () => {
  it('is sent on by its old node when the asker’s node does not know yet, and answered once', async () => {
    const cluster = new Cluster()
    const asker = cluster.client('n1')
    const responder = cluster.responder('n2')
    cluster.move(responder, 'n3', 'n1')
    cluster.ask(asker, 'n1')
    const [[token]] = (await cluster.requested(responder, 'n3')) as [RequestedItem]
    expect(await cluster.requested(responder, 'n2')).toEqual([])
    expect(cluster.sent).toEqual(['requests of n1 to n2', 'requests of n2 to n3'])
    cluster.on('n3').volatile.answer([[token, answer]])
    expect(await cluster.replied(asker, 'n1')).toEqual([[1, answer]])
  })

  it.each(['n1', 'n2'])('is held by its new node until that has applied the move, asked at %s', async (at) => {
    const cluster = new Cluster()
    const asker = cluster.client(at)
    const responder = cluster.responder('n2')
    cluster.move(responder, 'n3', 'n3')
    cluster.ask(asker, at)
    for (let i = 0; i < 5; i++) await turn()
    await cluster.clock.advance(400)
    cluster.catchUp()
    expect(await cluster.requested(responder, 'n3')).toHaveLength(1)
  })

  it('is refused by a node that stays behind, and asked of another responder', async () => {
    const cluster = new Cluster()
    const asker = cluster.client('n1')
    const responder = cluster.responder('n2')
    cluster.move(responder, 'n3', 'n3')
    const second = cluster.world.open({ node: 'n2' })
    second.control({ type: 'listen', pattern: 'a' })
    cluster.catchUp('n3')
    cluster.ask(asker, 'n1')
    for (let i = 0; i < 5; i++) await turn()
    await cluster.clock.advance(600)
    expect(await cluster.requested(second, 'n2')).toHaveLength(1)
  })

  it('is asked anew when its socket closed before it was handed over, never after', async () => {
    const cluster = new Cluster()
    const asker = cluster.client('n1')
    const responders = [cluster.responder('n2'), cluster.responder('n3')]
    const first = cluster.sockets.get(`${responders[0]!.session} n2`)!
    cluster.ask(asker, 'n1', 1)
    expect(await cluster.requested(responders[0]!, 'n2')).toHaveLength(1)
    cluster.ask(asker, 'n1', 2)
    expect(await cluster.requested(responders[1]!, 'n3')).toHaveLength(1)
    cluster.ask(asker, 'n1', 3)
    // After the node took it, before the turn ends in which it would leave.
    process.nextTick(() => (first.open = false))
    expect(await cluster.requested(responders[1]!, 'n3')).toHaveLength(2)
    // It saw the first one: nobody else is asked, whatever becomes of it.
    responders[0]!.detach()
    cluster.catchUp()
    expect(await cluster.requested(responders[1]!, 'n3')).toHaveLength(2)
    expect(await cluster.replied(asker, 'n1')).toEqual([])
  })

  async function lost(leaves: boolean) {
    const cluster = new Cluster()
    const asker = cluster.client('n1')
    const responder = cluster.responder('n2')
    cluster.ask(asker, 'n1', 1)
    cluster.ask(asker, 'n1', 2)
    const [[token]] = (await cluster.requested(responder, 'n2')) as [RequestedItem]
    if (leaves) {
      cluster.move(responder, 'n3')
      await cluster.on('n2').volatile.leave(['n1', 'n3'])
    }
    cluster.cut.add('n2')
    cluster.on('n1').volatile.onLost('n2')
    return { cluster, asker, token }
  }

  it('fails at once when its node is lost without a word', async () => {
    const { cluster, asker } = await lost(false)
    const failed = [null, 'Connection', expect.stringContaining('n2')]
    expect(await cluster.replied(asker, 'n1')).toEqual([
      [1, ...failed],
      [2, ...failed],
    ])
  })

  it('waits for the answer from elsewhere when its node has taken its leave, until that is lost', async () => {
    const { cluster, asker, token } = await lost(true)
    expect(await cluster.replied(asker, 'n1')).toEqual([])
    cluster.on('n3').volatile.answer([[token, answer]])
    expect(await cluster.replied(asker, 'n1')).toEqual([[1, answer]])
    cluster.cut.add('n3')
    cluster.on('n1').volatile.onLost('n3')
    expect((await cluster.replied(asker, 'n1'))[1]).toEqual([2, null, 'Connection', expect.stringContaining('n3')])
  })
})

describe('an asker that moves before a responder was picked', () => {
  it('has one picked by its new node', async () => {
    const cluster = new Cluster()
    const asker = cluster.client('n1')
    const responder = cluster.client('n3')
    responder.control({ type: 'listen', pattern: 'a' })
    // n1 does not know the responder; before it finds out the asker is gone.
    cluster.ask(asker, 'n1')
    cluster.move(asker, 'n2')
    const [[token]] = (await cluster.requested(responder, 'n3')) as [RequestedItem]
    expect(readToken(token)!.node).toBe('n2')
    cluster.on('n3').volatile.answer([[token, answer]])
    expect(await cluster.replied(asker, 'n2')).toEqual([[1, answer]])
  })
})

describe('a node that takes its leave', () => {
  it('is asked no more, even by a node that believes its responders to be there', async () => {
    const cluster = new Cluster()
    const asker = cluster.client('n1')
    const responder = cluster.responder('n2')
    cluster.move(responder, 'n3', 'n1')
    await cluster.on('n2').volatile.leave(['n1', 'n3'])
    cluster.cut.add('n2')
    cluster.ask(asker, 'n1')
    expect(await cluster.requested(responder, 'n3')).toHaveLength(1)
  })

  it('has got all that was meant for it before it is confirmed', async () => {
    const cluster = new Cluster()
    const asker = cluster.client('n1')
    const responder = cluster.responder('n2')
    cluster.ask(asker, 'n1')
    cluster.on('n1').volatile.onNotes('n2', [{ type: 'parting', stage: 1 }])
    expect(cluster.sent).toEqual(['requests of n1 to n2', 'notes of n1 to n2'])
    expect(await cluster.requested(responder, 'n2')).toHaveLength(1)
  })

  it('gets no more replies: they go to where the askers are', async () => {
    const cluster = new Cluster()
    const asker = cluster.client('n1')
    const responder = cluster.responder('n3')
    cluster.ask(asker, 'n1')
    const [[token]] = (await cluster.requested(responder, 'n3')) as [RequestedItem]
    cluster.move(asker, 'n2')
    await cluster.on('n1').volatile.leave(['n2', 'n3'])
    // Its links are still open, but it does not look any more.
    cluster.on('n1').volatile.onReplies = () => {
      throw new Error('a reply to a node that has left')
    }
    cluster.on('n3').volatile.answer([[token, answer]])
    expect(await cluster.replied(asker, 'n2')).toEqual([[1, answer]])
  })

  const leaving = () => {
    const clock = new ManualClock()
    const sent: string[] = []
    const reachable = new Set(['n2', 'n3'])
    const send = (node: string, { type, stage }: PartingNote) => {
      if (reachable.has(node)) sent.push(`${node} ${type} ${stage}`)
      return reachable.has(node)
    }
    return { clock, sent, reachable, parting: new Parting({ clock, send }) }
  }
  const seen = (stage: 1 | 2) => ({ type: 'partingSeen', stage }) as const

  it('waits for every peer at each of two stages', async () => {
    const { clock, sent, parting } = leaving()
    let isOver = false
    void parting.leave(['n2', 'n3']).then(() => (isOver = true))
    parting.receive('n2', seen(1), () => {})
    parting.receive('n3', seen(2), () => {})
    await clock.settle()
    expect(sent).toEqual(['n2 parting 1', 'n3 parting 1'])
    parting.receive('n3', seen(1), () => {})
    await clock.settle()
    expect(sent.slice(2)).toEqual(['n2 parting 2', 'n3 parting 2'])
    parting.receive('n2', seen(2), () => {})
    await clock.settle()
    expect(isOver).toBe(false)
    parting.receive('n3', seen(2), () => {})
    await clock.settle()
    expect(isOver).toBe(true)
    expect(clock.timers).toBe(0)
  })

  it('does not wait for who is out of reach, is lost meanwhile, or says nothing for half a second', async () => {
    const { clock, sent, reachable, parting } = leaving()
    reachable.delete('n3')
    let isOver = false
    void parting.leave(['n2', 'n3']).then(() => (isOver = true))
    parting.lost('n2')
    await clock.settle()
    expect(sent).toEqual(['n2 parting 1', 'n2 parting 2'])
    await clock.advance(499)
    expect(isOver).toBe(false)
    await clock.advance(1)
    expect(isOver).toBe(true)
  })

  it('is confirmed behind all that was meant for it, and forgotten when its links are gone', () => {
    const { sent, parting } = leaving()
    parting.receive('n2', { type: 'parting', stage: 1 }, () => sent.push('flushed'))
    expect(sent).toEqual(['flushed', 'n2 partingSeen 1'])
    expect([parting.stageOf('n2'), parting.isAnyone]).toEqual([1, true])
    parting.lost('n2')
    expect([parting.stageOf('n2'), parting.isAnyone]).toEqual([0, false])
  })
})

describe('strays', () => {
  it('hold no more than a node may, and nothing when they are stopped', () => {
    const clock = new ManualClock()
    const strays = new Strays(clock)
    let over = 0
    const stray = { bytes: 1_000_000, expiresMs: 1_000_000, arrive: () => {}, expire: () => over++ }
    for (let i = 0; i < 100; i++) strays.hold(i, stray)
    expect(strays.bytes).toBeLessThanOrEqual(STRAYS_BYTES_MAX)
    expect(over).toBe(100 - Math.floor(STRAYS_BYTES_MAX / 1_000_256))
    strays.stop()
    expect([strays.bytes, clock.timers]).toEqual([0, 0])
  })

  it('give their room back when they arrive or are over', async () => {
    const clock = new ManualClock()
    const strays = new Strays(clock)
    const told: string[] = []
    const stray = (name: string, ms: number) => ({
      bytes: 10,
      expiresMs: clock.now() + ms,
      arrive: () => told.push(`${name} arrived`),
      expire: () => told.push(`${name} over`),
    })
    strays.hold(1, stray('a', 100))
    strays.hold(1, stray('b', 1_000))
    strays.hold(2, stray('c', 1_000))
    await clock.advance(200)
    strays.attached({ session: 1, node: 'n1', bootId: 1, epoch: 1 })
    expect(told).toEqual(['a over', 'b arrived'])
    await clock.advance(1_000)
    expect(told.slice(2)).toEqual(['c over'])
    expect([strays.bytes, clock.timers]).toEqual([0, 0])
  })
})
