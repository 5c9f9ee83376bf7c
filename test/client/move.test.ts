import { describe, expect, it } from 'vitest'
import { connectWith, type Status } from '../../client/index.ts'
import { FrameKind } from '../../wire/frame.ts'
import { encodeMessage } from '../../wire/message.ts'
import { SettleOutcome } from '../../wire/settle-frame.ts'
import { consuming, reattach, settlesOf } from './support/consuming.ts'
import { ManualClock } from './support/manual-clock.ts'
import { connected, type Scene, watched } from './support/scene.ts'
import { ScriptedNode, type ScriptedSocket } from './support/scripted-node.ts'

const { accepted, extended } = SettleOutcome
const bytesOf = (body: unknown) => encodeMessage(body, undefined)

function gather(statuses: AsyncIterable<Status>): Status[] {
  const told: Status[] = []
  void (async () => {
    for await (const status of statuses) told.push(status)
  })()
  return told
}

/** The old socket, after its node has said goodbye; nothing else happens by itself. */
async function goodbye({ node, clock }: Pick<Scene, 'node' | 'clock'>): Promise<ScriptedSocket> {
  const old = node.socket
  node.auto.open = false
  node.auto.welcome = false
  old.goodbye()
  await clock.settle()
  return old
}

async function opens({ node, clock }: Pick<Scene, 'node' | 'clock'>): Promise<void> {
  node.socket.open()
  await clock.settle()
}

async function welcomes({ node, clock }: Pick<Scene, 'node' | 'clock'>, consumers: number[] = []): Promise<void> {
  node.socket.welcome({ consumers, lastSequence: 3 })
  await clock.settle()
}

describe('a client whose node says goodbye', () => {
  it('attaches elsewhere under the next number while the old socket serves, and tells of no disconnection', async () => {
    const { node, clock, client } = await connected()
    const told = gather(client.status())
    const old = node.socket
    old.goodbye()
    await clock.settle()
    expect(node.hellos[1]).toEqual({ version: 1, connection: 2, session: 4096 })
    expect(node.socket.url).not.toBe(old.url)
    expect(told).toMatchObject([{ type: 'connected', server: node.socket.url }])
    // It is the node that closes the old socket: it may still have something to say.
    expect(old.ended).toBeUndefined()
    await clock.advance(10_000)
    expect(old.ended).toBe('closed')
  })

  it('goes on over the old socket until the new one is open', async () => {
    const scene = await connected()
    const { node, client, clock } = scene
    const old = await goodbye(scene)
    const publishing = watched(client.publish('a', 1))
    await clock.settle()
    expect(node.publishes).toHaveLength(1)
    old.confirm(1)
    await clock.settle()
    expect(publishing.isSettled).toBe(true)
  })

  it('falls silent before it says hello, and sends all that it kept back on the new socket', async () => {
    const scene = await connected({}, (node) => {
      node.auto.part = false
    })
    const { node, client, clock } = scene
    const old = await goodbye(scene)
    await opens(scene)
    expect(node.leaves).toEqual([{ ends: false }])
    void client.publish('a', 1).catch(() => {})
    void client.request('r', 1).catch(() => {})
    void client
      .queue('q')
      .stats()
      .catch(() => {})
    await clock.settle()
    expect(node.order.slice(-1)).toEqual(['leave'])
    expect(node.hellos).toHaveLength(1)
    old.parted()
    await clock.settle()
    expect(node.order.slice(-1)).toEqual(['hello'])
    node.socket.welcome()
    await clock.settle()
    expect(node.order.slice(-3)).toEqual(['publish', 'query', 'request'])
    expect(node.publishes[0]).toMatchObject({ epoch: 2 })
  })

  it('waits for the answers to its settles before it leaves: none is sent twice', async () => {
    const scene = await consuming({}, (node) => {
      node.auto.settle = false
    })
    const { node, clock, held, consumer } = scene
    node.socket.deliver(consumer, 1, ['a', 'b'])
    await clock.settle()
    held.finish(0)
    await clock.settle()
    const old = await goodbye(scene)
    await opens(scene)
    held.finish(1)
    await clock.settle()
    expect(node.leaves).toEqual([])
    old.say(FrameKind.settled, { tag: 1, stale: [] })
    await clock.settle()
    expect(node.leaves).toHaveLength(1)
    expect(node.hellos[1]).toMatchObject({ held: [{ consumer, runs: [[2, 1]] }] })
    await welcomes(scene, [consumer])
    expect(settlesOf(node)).toEqual([
      [accepted, 1, 1],
      [accepted, 2, 1],
    ])
  })

  it('waits for them no longer than a second: what is not answered by then goes out again', async () => {
    const scene = await consuming({}, (node) => {
      node.auto.settle = false
    })
    const { node, clock, held, consumer } = scene
    node.socket.deliver(consumer, 1, ['a'])
    await clock.settle()
    held.finish(0)
    await clock.settle()
    await goodbye(scene)
    await opens(scene)
    await clock.advance(999)
    expect(node.hellos).toHaveLength(1)
    await clock.advance(1)
    expect(node.hellos[1]).toMatchObject({ held: [{ consumer, runs: [[1, 1]] }] })
    await welcomes(scene, [consumer])
    expect(settlesOf(node)).toEqual([
      [accepted, 1, 1],
      [accepted, 1, 1],
    ])
  })

  it('still hears replies, answers and requests on the old socket, and answers those on the new one', async () => {
    const scene = await connected()
    const { node, client, clock } = scene
    void client.respond('b', ({ body }) => body)
    const requesting = watched(client.request('a', 1))
    await clock.settle()
    const old = await goodbye(scene)
    await opens(scene)
    old.say(FrameKind.requested, [['t1', 'b', bytesOf(7)]])
    await clock.settle()
    expect(node.replies).toEqual([])
    node.socket.welcome({ lastSequence: 1 })
    old.say(FrameKind.requested, [['t2', 'b', bytesOf(7)]])
    old.say(FrameKind.replied, [[1, bytesOf(8)]])
    await clock.settle()
    expect(requesting.value).toMatchObject({ body: 8 })
    expect(node.replies.map(([token]) => token)).toEqual(['t1', 't2'])
  })
})

describe('deliveries during a move', () => {
  it('are handed out until hello; what comes after it is not held, and comes again under another number', async () => {
    const scene = await consuming()
    const { node, clock, held, consumer } = scene
    const old = await goodbye(scene)
    old.deliver(consumer, 1, ['a'])
    await opens(scene)
    expect(held.bodies).toEqual(['a'])
    old.deliver(consumer, 2, ['b'])
    await clock.settle()
    expect(held.bodies).toEqual(['a'])
    expect(node.hellos[1]).toMatchObject({ held: [{ consumer, runs: [[1, 1]] }] })
    await welcomes(scene, [consumer])
    old.deliver(consumer, 3, ['c'])
    node.socket.deliver(consumer, 4, ['b', 'c'])
    await clock.settle()
    expect(held.bodies).toEqual(['a', 'b', 'c'])
    held.finish(1)
    await clock.settle()
    expect(settlesOf(node)).toContainEqual([accepted, 4, 1])
  })

  it('are not kept in doubt for a consumer that is never extended either', async () => {
    const scene = await consuming({ autoExtend: false })
    const { node, clock, held, consumer } = scene
    const old = await goodbye(scene)
    await opens(scene)
    old.deliver(consumer, 1, ['gone'])
    await welcomes(scene, [consumer])
    node.socket.deliver(consumer, 2, ['again'])
    await clock.settle()
    expect(held.bodies).toEqual(['again'])
  })

  it('are not handed out on the word about an earlier attachment', async () => {
    const scene = await consuming({ concurrency: 1 }, (node) => {
      node.auto.settle = false
    })
    const { node, clock, held, consumer } = scene
    node.socket.deliver(consumer, 1, ['a'])
    await clock.settle()
    await reattach(scene, [consumer])
    const old = await goodbye(scene)
    await opens(scene)
    await clock.advance(1_000)
    expect(node.hellos).toHaveLength(3)
    old.deliver(consumer, 2, ['gone'])
    old.say(FrameKind.settled, { tag: 1, stale: [] })
    held.finish(0)
    await clock.settle()
    expect(held.bodies).toEqual(['a'])
  })

  it('of a consumer that begins during the move are not held', async () => {
    const scene = await connected({}, (node) => {
      node.auto.control = false
    })
    const { node, client, clock } = scene
    const bodies: unknown[] = []
    void client.subscribe('a', ({ body }) => bodies.push(body), { queue: 'q' })
    await clock.settle()
    node.socket.outcome({ sequence: 1 })
    await clock.settle()
    node.socket.outcome({ sequence: 2 })
    await clock.settle()
    const old = await goodbye(scene)
    await opens(scene)
    old.outcome({ sequence: 3, result: { consumer: 77 } })
    old.deliver(77, 1, ['gone'])
    await clock.settle()
    node.socket.welcome({ consumers: [77], lastSequence: 3, outcomes: [] })
    await clock.settle()
    node.socket.deliver(77, 2, ['again'])
    await clock.settle()
    expect(bodies).toEqual(['again'])
  })

  it('go on over the old socket when no other node will do, once the cluster has said that they are still held', async () => {
    const scene = await consuming({}, () => {}, ['ws://a:1', 'ws://b:2', 'ws://c:3'])
    const { node, clock, held, consumer } = scene
    const old = await goodbye(scene)
    await opens(scene)
    old.deliver(consumer, 1, ['a'])
    await clock.settle()
    expect(held.bodies).toEqual([])
    node.socket.fault('Draining')
    await clock.settle()
    expect(settlesOf(node)).toEqual([[extended, 1, 1]])
    expect(held.bodies).toEqual(['a'])
  })
})

describe('a move that does not succeed at once', () => {
  const servers = ['ws://a:1', 'ws://b:2', 'ws://c:3', 'ws://d:4']

  it('tries each other server once, each for two seconds at most, and serves on meanwhile', async () => {
    const scene = await connected({ servers }, (_, clock) => clock.rolls.push(0, 0))
    const { node, client, clock } = scene
    const old = await goodbye(scene)
    node.socket.break()
    await clock.settle()
    await opens(scene)
    node.socket.fault('Draining')
    await clock.settle()
    const publishing = client.publish('a', 1)
    await clock.settle()
    expect(node.publishes).toHaveLength(1)
    old.confirm(1)
    await publishing
    await clock.advance(1_999)
    expect(node.socket.ended).toBeUndefined()
    await clock.advance(1)
    expect(node.sockets.map(({ url }) => url)).toEqual(servers)
    expect(node.socket.ended).toBe('closed')
    expect(node.leaves.slice(-1)).toEqual([{ ends: true }])
  })

  it('starts with one of the others at random: the clients of a node do not all go to the same', async () => {
    const scene = await connected({ servers }, (_, clock) => clock.rolls.push(0, 0.99))
    await goodbye(scene)
    expect(scene.node.socket.url).toBe('ws://d:4')
  })

  it.each(['opening', 'silent', 'greeted'])(
    'goes on with the socket that is %s when the old one ends',
    async (stage) => {
      const scene = await connected({}, (node) => {
        node.auto.part = stage !== 'silent'
      })
      const { node, client, clock } = scene
      const old = await goodbye(scene)
      if (stage !== 'opening') await opens(scene)
      old.fault('Connection', 'the session was detached: moved')
      await clock.settle()
      const publishing = watched(client.publish('a', 1))
      if (stage === 'opening') await opens(scene)
      expect(node.hellos.map(({ connection }) => connection)).toEqual([1, 2])
      node.socket.welcome()
      await clock.settle()
      expect(node.sockets).toHaveLength(2)
      node.socket.confirm(1)
      await clock.settle()
      expect(publishing.value).toBeDefined()
    },
  )

  it('ends with the client', async () => {
    const scene = await connected()
    const old = await goodbye(scene)
    const closing = scene.client.close()
    await scene.clock.advance(2_000)
    await closing
    expect([old.ended, scene.node.socket.ended]).toEqual(['closed', 'closed'])
    expect(scene.clock.timers).toBe(0)
  })
})

describe('a client with nowhere to go', () => {
  const alone = (prepare?: (node: ScriptedNode) => void) => connected({ servers: ['ws://a:1'] }, prepare)

  it.each(['answer', 'reply'])(
    'asks for no more requests, closes the socket after the last %s, and comes back',
    async (last) => {
      const scene = await alone()
      const { node, client, clock } = scene
      let answer = (_: unknown) => {}
      void client.respond('b', () => new Promise((resolve) => (answer = resolve)))
      const requesting = watched(client.request('a', 1))
      await clock.settle()
      const old = node.socket
      old.say(FrameKind.requested, [['t1', 'b', bytesOf(7)]])
      await goodbye(scene)
      expect(node.leaves).toEqual([{ ends: true }])
      const later = watched(client.request('a', 2))
      await clock.settle()
      expect(node.requests).toHaveLength(1)
      const steps = [() => answer(9), () => old.say(FrameKind.replied, [[1, bytesOf(8)]])]
      if (last === 'answer') steps.reverse()
      steps[0]!()
      await clock.settle()
      expect(old.ended).toBeUndefined()
      steps[1]!()
      await clock.settle()
      expect(node.replies).toHaveLength(1)
      expect(requesting.value).toMatchObject({ body: 8 })
      expect(old.ended).toBe('closed')
      await clock.advance(50)
      await opens(scene)
      node.socket.welcome({ lastSequence: 1 })
      await clock.settle()
      expect(node.requests.map(([number]) => number)).toEqual([1, 2])
      expect(later.isSettled).toBe(false)
    },
  )

  it('publishes on meanwhile; what waits goes out when the server is back', async () => {
    const scene = await alone()
    const { node, client, clock } = scene
    void client.request('a', 1).catch(() => {})
    await clock.settle()
    const old = await goodbye(scene)
    const [first] = [watched(client.publish('a', 1))]
    await clock.settle()
    old.confirm(1)
    await clock.settle()
    expect(first.value).toBeDefined()
    old.say(FrameKind.replied, [[1, bytesOf(8)]])
    await clock.settle()
    expect(old.ended).toBe('closed')
    const second = watched(client.publish('a', 2))
    await clock.advance(50)
    await opens(scene)
    node.socket.welcome({ lastSequence: 1 })
    await clock.settle()
    node.socket.confirm(2)
    await clock.settle()
    expect(second.value).toBeDefined()
  })

  it('stays to the end when it may not reconnect', async () => {
    const scene = await connected({ servers: ['ws://a:1'], reconnect: false })
    const old = await goodbye(scene)
    await scene.clock.advance(1_000)
    expect(scene.node.leaves).toEqual([])
    expect(old.ended).toBeUndefined()
  })
})

describe('a node that stops', () => {
  it('is passed over at once, until all of them have said so', async () => {
    const node = new ScriptedNode()
    const clock = new ManualClock()
    node.auto.welcome = false
    const connecting = connectWith(node.openSocket, { servers: ['ws://a:1', 'ws://b:2', 'ws://c:3'] }, clock)
    connecting.catch(() => {})
    for (const count of [1, 2, 3]) {
      await clock.advance(0)
      expect(node.hellos).toHaveLength(count)
      node.socket.fault('Draining')
    }
    await clock.advance(24)
    expect(node.hellos).toHaveLength(3)
    await clock.advance(1)
    expect(node.hellos).toHaveLength(4)
  })
})

describe('a replica that jumped', () => {
  it('tells what it knows: outcomes, consumers, and open deliveries again, of which the seen ones are dropped', async () => {
    const scene = await consuming({ concurrency: 10 })
    const { node, clock, held, consumer, client } = scene
    node.socket.deliver(consumer, 1, ['a', 'b', 'c'])
    const publishes = [
      watched(client.publish('x', 1)),
      watched(client.publish('x', 2)),
      watched(client.publish('x', 3)),
    ]
    await clock.settle()
    node.socket.say(FrameKind.resumed, {
      lastSequence: 5,
      outcomes: [{ sequence: 4, code: 'NotFound', message: 'no' }],
      consumers: [consumer],
    })
    // 3 went back meanwhile, 4 and 5 came and went.
    node.socket.deliver(consumer, 1, ['a', 'b'])
    node.socket.deliver(consumer, 6, ['d'])
    await clock.settle()
    expect(publishes[0]).toMatchObject({ error: { code: 'NotFound' } })
    expect(publishes[1]!.value).toBeDefined()
    expect(publishes[2]!.isSettled).toBe(false)
    expect(held.bodies).toEqual(['a', 'b', 'c', 'd'])
    expect(node.hellos).toHaveLength(1)
  })
})
