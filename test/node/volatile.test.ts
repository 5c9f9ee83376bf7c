import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../node/clock.ts'
import type { ClientSession } from '../../node/gateway/client-session.ts'
import { Nonces } from '../../node/gateway/nonces.ts'
import { readToken, writeToken } from '../../node/gateway/request-token.ts'
import {
  NODE_BYTES_MAX,
  REQUESTS_PER_SESSION_MAX,
  SESSION_BYTES_MAX,
  Waiting,
  WaitingRequests,
} from '../../node/gateway/waiting-requests.ts'
import {
  decodeNotes,
  decodeReplies,
  decodeRequests,
  encodeNotes,
  encodeReplies,
  encodeRequests,
} from '../../node/peers/volatile-codec.ts'
import { Volatile } from '../../node/volatile.ts'
import { FrameKind } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import type { RepliedItem, RequestedItem } from '../../wire/session-frames.ts'
import { type Client, World } from '../queue/world.ts'
import { FakeSocket, sessionOn, turn } from './fake-client.ts'

const nonces = new Nonces()

const message = Uint8Array.of(0)
const volatiles: Volatile[] = []

afterEach(() => {
  for (const each of volatiles.splice(0)) each.stop()
})

/** Two nodes over one replicated state, whose parcels are encoded and decoded as between processes. */
class TwoNodes {
  readonly world = new World()
  readonly sessions = new Map<number, { session: ClientSession; socket: FakeSocket; node: string }>()
  /** Bytes of each parcel between the nodes. */
  readonly parcels: number[] = []
  barrier: () => Promise<unknown> = () => Promise.resolve()
  readonly #nodes = new Map(['n1', 'n2'].map((node) => [node, this.#start(node)]))

  on(node: string): Volatile {
    return this.#nodes.get(node)!
  }

  client(node: string): Client {
    const client = this.world.open({ node })
    this.attach(client, node)
    return client
  }

  attach(client: Client, node: string): void {
    const socket = new FakeSocket()
    const where = { session: client.session, node, bufferBytesMax: 1_000_000_000 }
    this.sessions.set(client.session, { session: sessionOn(socket, {}, where), socket, node })
  }

  ask(client: Client, request: number, topic: string, bytes = message): void {
    const { session, node } = this.sessions.get(client.session)!
    this.on(node).ask(session, [[request, topic, 60_000, bytes]])
  }

  async requested(client: Client): Promise<RequestedItem[]> {
    return (await this.#rows(client, FrameKind.requested)) as RequestedItem[]
  }

  async replied(client: Client): Promise<RepliedItem[]> {
    return (await this.#rows(client, FrameKind.replied)) as RepliedItem[]
  }

  async #rows(client: Client, kind: number): Promise<unknown[]> {
    for (let i = 0; i < 3; i++) await turn()
    return (this.sessions.get(client.session)!.socket.values(kind) as unknown[][]).flat()
  }

  #start(node: string): Volatile {
    const started = new Volatile({
      mintNonce: () => nonces.next(),
      node,
      machine: this.world.machine,
      clock: { ...systemClock, now: () => this.world.timeMs },
      barrier: () => this.barrier(),
      ready: () => true,
      session: (id) => {
        const known = this.sessions.get(id)
        return known?.node === node ? known.session : undefined
      },
      sendRequests: (to, requests) => {
        const parcel = encodeRequests(requests)
        this.parcels.push(parcel.length)
        this.on(to).onRequests(node, decodeRequests(parcel))
        return true
      },
      sendReplies: (to, replies) => {
        const parcel = encodeReplies(replies)
        this.parcels.push(parcel.length)
        this.#nodes.get(to)?.onReplies(decodeReplies(parcel))
        return this.#nodes.has(to)
      },
      sendNotes: (to, notes) => {
        this.on(to).onNotes(node, decodeNotes(encodeNotes(notes)))
        return true
      },
    })
    volatiles.push(started)
    return started
  }
}

function pair(askerNode = 'n1', responderNode = 'n2') {
  const nodes = new TwoNodes()
  const asker = nodes.client(askerNode)
  const responder = nodes.client(responderNode)
  responder.control({ type: 'listen', pattern: 'a' })
  return { nodes, asker, responder }
}

describe('a reply', () => {
  it.each([
    ['n1', 'n1'],
    ['n1', 'n2'],
  ])('finds its asker by the token of its request, from %s to %s and back', async (from, to) => {
    const { nodes, asker, responder } = pair(from, to)
    nodes.ask(asker, 1, 'a')
    const [[token]] = (await nodes.requested(responder)) as [RequestedItem]
    nodes.on(to).answer([[token, Uint8Array.of(9)]])
    expect(await nodes.replied(asker)).toEqual([[1, Uint8Array.of(9)]])
  })

  it('of a client that was not asked is none, though it guesses asker, request and node', async () => {
    const { nodes, asker, responder } = pair()
    nodes.ask(asker, 1, 'a')
    const [[token]] = (await nodes.requested(responder)) as [RequestedItem]
    const known = readToken(token)!
    for (const nonce of [0, 1, known.nonce - 1, known.nonce + 1]) {
      for (const node of ['n1', 'n2']) {
        nodes.on('n2').answer([[writeToken({ ...known, node, nonce }), Uint8Array.of(66)]])
      }
    }
    expect(await nodes.replied(asker)).toEqual([])
    nodes.on('n2').answer([[token, Uint8Array.of(9)]])
    expect(await nodes.replied(asker)).toEqual([[1, Uint8Array.of(9)]])
  })

  it('cannot be made up for a request that waits at the node that its asker has left', async () => {
    const { nodes, asker, responder } = pair('n1', 'n2')
    nodes.ask(asker, 1, 'a')
    const [[token]] = (await nodes.requested(responder)) as [RequestedItem]
    moveToN2(nodes, asker)
    const known = readToken(token)!
    for (const node of ['n1', 'n2']) {
      nodes.on('n2').answer([[writeToken({ ...known, node, nonce: 5 }), Uint8Array.of(66)]])
    }
    expect(await nodes.replied(asker)).toEqual([])
    nodes.on('n2').answer([[token, Uint8Array.of(9)]])
    expect(await nodes.replied(asker)).toEqual([[1, Uint8Array.of(9)]])
  })

  it('of a responder that was given up for another one is none', async () => {
    const { nodes, asker, responder } = pair('n1', 'n2')
    const second = nodes.client('n2')
    second.control({ type: 'listen', pattern: 'a' })
    // The first is still in the log, but not there any more.
    nodes.sessions.delete(responder.session)
    nodes.ask(asker, 1, 'a')
    const [[token]] = (await nodes.requested(second)) as [RequestedItem]
    nodes.on('n2').answer([[token, Uint8Array.of(9)]])
    nodes.on('n2').answer([[token, Uint8Array.of(10)]])
    expect(await nodes.replied(asker)).toEqual([[1, Uint8Array.of(9)]])
  })

  it.each(['', 'x', '1:2:n1', '1:2:3:', `1:2:${2 ** 53}:n1`, `${2 ** 53}:2:3:n1`, '1:-2:3:n1', '1:2:3:nowhere'])(
    'to a token that no node has written goes nowhere, and no peer is sent what it would refuse: %j',
    async (token) => {
      const { nodes, asker } = pair()
      nodes.on('n2').answer([[token, message]])
      expect(await nodes.replied(asker)).toEqual([])
    },
  )

  function moveToN2(nodes: TwoNodes, asker: Client): void {
    const boot = { node: 'n2', bootId: 1, nonce: 7, connection: 2, held: [] }
    nodes.world.node({ type: 'attach', ...boot, session: asker.session })
    nodes.attach(asker, 'n2')
  }
})

describe('what one turn has for another node', () => {
  it('travels in parcels of bounded size, whole and in order', async () => {
    const { nodes, asker, responder } = pair()
    const count = 300
    const large = new Uint8Array(64 * 1024)
    for (let request = 0; request < count; request++) nodes.ask(asker, request, 'a', large)
    const requested = await nodes.requested(responder)
    expect(requested).toHaveLength(count)
    nodes.on('n2').answer(requested.map(([token]) => [token, large]))
    expect((await nodes.replied(asker)).map(([request]) => request)).toEqual(Array.from({ length: count }, (_, i) => i))
    expect(Math.max(...nodes.parcels)).toBeLessThan(limits.frameBytesTarget + 10_000)
  })
})

describe('requests that wait', () => {
  it('are Overloaded beyond the memory that one session may hold, and taken again when there is room', async () => {
    const { nodes, asker, responder } = pair()
    const large = new Uint8Array(limits.messageBytesMax)
    const fits = Math.floor(SESSION_BYTES_MAX / (limits.messageBytesMax + 1_000))
    for (let request = 1; request <= fits + 1; request++) nodes.ask(asker, request, 'a', large)
    expect(await nodes.replied(asker)).toEqual([[fits + 1, null, 'Overloaded', expect.any(String)]])
    const [[token]] = (await nodes.requested(responder)) as [RequestedItem]
    nodes.on('n2').answer([[token, message]])
    expect(await nodes.replied(asker)).toHaveLength(2)
    nodes.ask(asker, 1_000, 'a', large)
    expect(await nodes.replied(asker)).toHaveLength(2)
    expect(await nodes.requested(responder)).toHaveLength(fits + 1)
  })

  it('are Overloaded while their asker does not read, and nobody is asked', async () => {
    const { nodes, asker, responder } = pair()
    nodes.sessions.get(asker.session)!.socket.bufferedBytes = 1_000_000_001
    nodes.ask(asker, 1, 'a')
    expect(await nodes.replied(asker)).toEqual([[1, null, 'Overloaded', expect.any(String)]])
    expect(await nodes.requested(responder)).toEqual([])
  })

  const waiting = (bytes: number, expiresMs = 1_000) => new Waiting('a', new Uint8Array(bytes), expiresMs)

  it('hold no more than the node may, whoever asks', () => {
    const requests = new WaitingRequests()
    let taken = 0
    for (let asker = 0; asker < 1_000; asker++) if (requests.add(asker, 1, waiting(1_000_000))) taken++
    expect(taken).toBe(Math.floor(NODE_BYTES_MAX / 1_000_256))
    expect(requests.bytes).toBeLessThanOrEqual(NODE_BYTES_MAX)
    requests.sweep(1_000)
    expect(requests.bytes).toBe(0)
    expect(requests.add(1, 1, waiting(0))).toBe(true)
  })

  it('are no more than one session may have', () => {
    const requests = new WaitingRequests()
    for (let request = 0; request < REQUESTS_PER_SESSION_MAX; request++) {
      expect(requests.add(1, request, waiting(0))).toBe(true)
    }
    expect(requests.add(1, -1, waiting(0))).toBe(false)
    expect(requests.add(2, 1, waiting(0))).toBe(true)
  })

  it('free what they held when they end, are replaced, or can be sent no more', () => {
    const requests = new WaitingRequests()
    const first = waiting(1_000)
    requests.add(1, 1, first)
    const empty = requests.bytes - 1_000
    requests.forgetMessage(1, first)
    expect(first.message).toBeUndefined()
    expect(requests.bytes).toBe(empty)
    requests.add(1, 1, waiting(500))
    expect(requests.bytes).toBe(empty + 500)
    requests.delete(1, 1)
    requests.delete(1, 1)
    expect(requests.bytes).toBe(0)
  })

  it('do not hold the frames that they came in', () => {
    const requests = new WaitingRequests()
    const frame = new Uint8Array(1_000_000).fill(7)
    const waits = new Waiting('a', frame.subarray(5, 15), 1_000)
    requests.add(1, 1, waits)
    requests.sweep(0)
    expect(waits.message).toEqual(new Uint8Array(10).fill(7))
    expect(waits.message!.buffer.byteLength).toBe(10)
  })
})

it('a message is let go of once its request was sent for the last time', async () => {
  const { nodes, asker, responder } = pair()
  const second = nodes.client('n2')
  second.control({ type: 'listen', pattern: 'a' })
  nodes.sessions.delete(responder.session)
  // Each goes to the one that is gone, then to the other, and that was its last attempt.
  const large = new Uint8Array(limits.messageBytesMax)
  const count = (2 * SESSION_BYTES_MAX) / limits.messageBytesMax
  for (let request = 1; request <= count; request++) {
    nodes.ask(asker, request, 'a', large)
    await turn()
  }
  expect(await nodes.replied(asker)).toEqual([])
  expect(await nodes.requested(second)).toHaveLength(count)
})

it('nonces are safe integers, and none comes twice', () => {
  const nonces = new Nonces()
  const drawn = Array.from({ length: 10_000 }, () => nonces.next())
  expect(drawn.every((nonce) => Number.isSafeInteger(nonce) && nonce >= 0)).toBe(true)
  expect(new Set(drawn).size).toBe(drawn.length)
  expect(Math.max(...drawn)).toBeGreaterThan(2 ** 52)
})
