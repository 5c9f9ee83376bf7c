import { describe, expect, it } from 'vitest'
import { type ConnectOptions, connectWith, MeshError, type Status } from '../../client/index.ts'
import { ManualClock } from './support/manual-clock.ts'
import { connected, watched } from './support/scene.ts'
import { ScriptedNode } from './support/scripted-node.ts'

const servers = ['ws://a:1', 'ws://b:2', 'ws://c:3']

function connecting(
  options: Partial<ConnectOptions> = {},
  prepare: (node: ScriptedNode, clock: ManualClock) => void = () => {},
) {
  const node = new ScriptedNode()
  const clock = new ManualClock()
  clock.rolls.push(0)
  prepare(node, clock)
  const promise = connectWith(node.openSocket, { servers, ...options }, clock)
  return { node, clock, outcome: watched(promise) }
}

/** What the client has told so far, gathered in the background. */
function gather(statuses: AsyncIterable<Status>): Status[] {
  const told: Status[] = []
  void (async () => {
    for await (const status of statuses) told.push(status)
  })()
  return told
}

/** As many of the servers, one after the other, break the socket before it is open. */
async function refuse({ node, clock }: { node: ScriptedNode; clock: ManualClock }, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    await clock.settle()
    node.socket.break()
    await clock.advance(100)
  }
}

describe('connect', () => {
  it('says hello on the socket and resolves with the welcome', async () => {
    const { node, clock, outcome } = connecting({ name: 'billing', token: 'secret' })
    await clock.settle()
    expect(outcome.isSettled).toBe(true)
    expect(node.hellos).toEqual([{ version: 1, connection: 1, name: 'billing', token: 'secret' }])
  })

  it('starts with a random server and goes round the list when they refuse', async () => {
    const { node, clock, outcome } = connecting({}, (n, c) => {
      n.auto.open = false
      c.rolls[0] = 0.99
    })
    await refuse({ node, clock }, 3)
    node.socket.open()
    await clock.settle()
    expect(node.sockets.map(({ url }) => url)).toEqual(['ws://c:3', 'ws://a:1', 'ws://b:2', 'ws://c:3'])
    expect(outcome.isSettled).toBe(true)
  })

  it('starts with the first server when the order is the listed one, and goes on with the next', async () => {
    const { node, clock } = connecting({ serverOrder: 'listed' }, (n, c) => {
      n.auto.open = false
      c.rolls[0] = 0.99
    })
    await refuse({ node, clock }, 2)
    expect(node.sockets.map(({ url }) => url)).toEqual(servers)
  })

  it('waits a random time up to a bound that doubles with every round over the servers', async () => {
    const { node, clock } = connecting({ reconnect: { initialMs: 100, maxMs: 350 } }, (n, c) => {
      n.auto.open = false
      c.rolls.push(1, 0.5, 0, 1, 0.5, 1, 1, 1, 1, 1)
    })
    const delays: number[] = []
    for (let i = 0; i < 10; i++) {
      await clock.settle()
      const opened = node.sockets.length
      node.socket.break()
      let waitedMs = 0
      for (; node.sockets.length === opened; waitedMs += 10) await clock.advance(10)
      delays.push(waitedMs - 10)
    }
    expect(delays).toEqual([100, 50, 0, 200, 100, 200, 350, 350, 350, 350].map((ms) => Math.max(0, ms - 10)))
  })

  it('gives up at its deadline with Connection and the reason, and leaves nothing behind', async () => {
    const { node, clock, outcome } = connecting({ connectTimeoutMs: 700 }, (n) => {
      n.auto.open = false
    })
    for (let i = 0; i < 70; i++) {
      if (!outcome.isSettled && node.socket.ended === undefined) node.socket.break('ECONNREFUSED')
      await clock.advance(10)
    }
    expect(outcome.error).toMatchObject({ code: 'Connection', outcome: 'not-applied' })
    expect((outcome.error as Error).message).toContain('ECONNREFUSED')
    expect(clock.timers).toBe(0)
  })

  it('gives up with NoQuorum when one of the servers said so, or took the socket and never welcomed it', async () => {
    const saying = connecting({}, (n) => {
      n.auto.welcome = false
    })
    await saying.clock.settle()
    saying.node.socket.fault('NoQuorum')
    saying.node.auto.open = false
    await saying.clock.advance(20_000)
    expect(saying.outcome.error).toMatchObject({ code: 'NoQuorum', outcome: 'not-applied' })

    const silent = connecting({}, (n) => {
      n.auto.welcome = false
    })
    await silent.clock.advance(10_000)
    expect(silent.outcome.error).toMatchObject({ code: 'NoQuorum', outcome: 'not-applied' })
    expect(silent.node.sockets.map(({ ended }) => ended)).not.toContain(undefined)
  })

  it.each(['Unauthorized', 'UnsupportedVersion'] as const)(
    'fails at once with %s: no other attempt would help',
    async (code) => {
      const { node, clock, outcome } = connecting({}, (n) => {
        n.auto.welcome = false
      })
      await clock.settle()
      node.socket.fault(code)
      await clock.settle()
      expect(outcome.error).toMatchObject({ code })
      expect(node.sockets).toHaveLength(1)
      expect(clock.timers).toBe(0)
    },
  )

  it('ends when its signal is aborted, also when it was before', async () => {
    const abort = new AbortController()
    const { node, clock, outcome } = connecting({ signal: abort.signal }, (n) => {
      n.auto.welcome = false
    })
    await clock.settle()
    abort.abort(new Error('enough'))
    await clock.settle()
    expect(outcome.error).toMatchObject({ code: 'Aborted', outcome: 'not-applied' })
    expect(node.socket.ended).toBe('closed')
    expect(clock.timers).toBe(0)

    const late = connecting({ signal: abort.signal })
    await late.clock.settle()
    expect(late.outcome.error).toMatchObject({ code: 'Aborted' })
    expect(late.node.sockets).toHaveLength(0)
  })

  it('is not touched by its signal any more once it has resolved', async () => {
    const abort = new AbortController()
    const { node, clock, client } = await connected({ signal: abort.signal })
    abort.abort()
    await clock.settle()
    void client.publish('a', 1)
    await clock.settle()
    expect(node.publishes).toHaveLength(1)
  })

  it('with reconnect off tries every server once, then gives up', async () => {
    const { node, clock, outcome } = connecting({ reconnect: false }, (n) => {
      n.auto.open = false
    })
    for (let i = 0; i < 3; i++) {
      await clock.advance(1)
      node.socket.break()
    }
    await clock.advance(1)
    expect(outcome.error).toMatchObject({ code: 'Connection' })
    expect(node.sockets).toHaveLength(3)
  })

  it.each([
    [{ servers: [] }, 'servers'],
    [{ serverOrder: 'first' as 'listed' }, 'serverOrder'],
    [{ connectTimeoutMs: 0 }, 'connectTimeoutMs'],
    [{ publishTimeoutMs: Number.NaN }, 'publishTimeoutMs'],
    [{ requestTimeoutMs: -1 }, 'requestTimeoutMs'],
    [{ maxInFlight: 1.5 }, 'maxInFlight'],
    [{ maxBufferedBytes: 0 }, 'maxBufferedBytes'],
    [{ reconnect: { maxMs: -1 } }, 'maxMs'],
  ])('refuses %j', async (options, name) => {
    const { outcome, clock } = connecting(options)
    await clock.settle()
    expect(outcome.error).toMatchObject({ code: 'Validation' })
    expect((outcome.error as Error).message).toContain(name)
  })
})

describe('a connection that is lost', () => {
  it('is replaced by one to the next server, for the same session under a higher number', async () => {
    const { node, clock, client } = await connected()
    const told = gather(client.status())
    const first = node.socket.url
    node.socket.break('ECONNRESET')
    await clock.advance(100)
    expect(node.hellos[1]).toEqual({ version: 1, connection: 2, session: 4096 })
    expect(node.socket.url).not.toBe(first)
    expect(told.map(({ type }) => type)).toEqual(['disconnected', 'reconnecting', 'connected'])
    expect(told[0]).toMatchObject({ server: first, error: { code: 'Connection' } })
  })

  it('closes the client when reconnect is off, and everything says why', async () => {
    const { node, clock, client } = await connected({ reconnect: false })
    const told = gather(client.status())
    const publishing = watched(client.publish('a', 1))
    await clock.settle()
    node.socket.break('ECONNRESET')
    await clock.settle()
    expect(publishing.error).toMatchObject({ code: 'Connection' })
    expect(told.map(({ type }) => type)).toEqual(['disconnected', 'closed'])
    await expect(client.publish('a', 1)).rejects.toMatchObject({ code: 'Connection' })
    expect(clock.timers).toBe(0)
  })

  it('does not end a row of failures when it lived for a moment only', async () => {
    const { node, clock } = await connected({ reconnect: { initialMs: 100, maxMs: 10_000 } })
    const delays: number[] = []
    for (let i = 0; i < 6; i++) {
      const opened = node.sockets.length
      node.socket.fault('Protocol', 'a poisonous frame')
      let waitedMs = 0
      for (; node.sockets.length === opened; waitedMs += 5) await clock.advance(5)
      delays.push(waitedMs)
      await clock.settle()
    }
    // Two servers, half of the bound each time.
    expect(delays).toEqual([50, 50, 100, 100, 200, 200])
    await clock.advance(100)
    await clock.advance(4_000)
    node.socket.break()
    await clock.advance(50)
    await clock.settle()
    expect(node.sockets).toHaveLength(8)
  })

  it('is one that sends what cannot be read, and the client goes on elsewhere', async () => {
    const { node, clock, client } = await connected()
    const told = gather(client.status())
    const garbage = [
      [],
      [7],
      [65],
      [65, 1, 2],
      [66, 0xc0],
      [66, 0x81],
      [68, 1, 2, 3],
      [67, 0xc0],
      [70, 0x91, 0x05],
      [64, 0xc0],
    ]
    for (const bytes of garbage) {
      node.socket.give(Uint8Array.from(bytes))
      await clock.advance(5_000)
      expect(node.socket.isOpen).toBe(true)
    }
    expect(told.filter(({ type }) => type === 'disconnected')).toHaveLength(garbage.length)
    for (const status of told) if (status.type === 'disconnected') expect(status.error.code).toBe('Protocol')
    expect(node.sockets[0]!.ended).toBe('terminated')
  })

  it('no longer counts: late frames and closes of a former socket change nothing', async () => {
    const { node, clock, client } = await connected()
    const former = node.socket
    former.fault('Connection', 'the node stops')
    await clock.advance(100)
    const publishing = watched(client.publish('a', 1))
    await clock.settle()
    former.confirm(1)
    former.break('late')
    await clock.settle()
    expect(publishing.isSettled).toBe(false)
    expect(node.sockets).toHaveLength(2)
    node.socket.confirm(1)
    await clock.settle()
    expect(publishing.isSettled).toBe(true)
  })
})

describe('liveness', () => {
  const beating = (node: ScriptedNode) => {
    node.heartbeatMs = 1_000
  }

  it('sends a heartbeat when there is nothing else to send, twice within the interval', async () => {
    const { node, clock, client } = await connected({}, (n) => {
      n.heartbeatMs = 1_000
      n.auto.confirm = true
    })
    await clock.advance(500)
    expect(node.heartbeats).toBe(1)
    void client.publish('a', 1)
    await clock.advance(500)
    expect(node.heartbeats).toBe(1)
    await clock.advance(500)
    expect(node.heartbeats).toBe(2)
  })

  it('gives up a node that is silent for two intervals and a half, and not one that speaks', async () => {
    const { node, clock } = await connected({}, beating)
    for (let i = 0; i < 20; i++) {
      await clock.advance(900)
      node.socket.heartbeat()
    }
    expect(node.sockets).toHaveLength(1)
    await clock.advance(2_400)
    expect(node.sockets[0]!.ended).toBeUndefined()
    await clock.advance(700)
    expect(node.sockets[0]!.ended).toBe('terminated')
    expect(node.sockets).toHaveLength(2)
  })

  it('does not blame the node for a stall of its own process', async () => {
    const { node, clock } = await connected({}, beating)
    clock.stall(60_000)
    // Timers come before what has arrived.
    await clock.advance(0)
    node.socket.heartbeat()
    await clock.advance(2_000)
    expect(node.sockets).toHaveLength(1)
  })
})

describe('errors', () => {
  it('never come as an event: a client without listeners survives all of it', async () => {
    const { node, clock, client } = await connected()
    for (let i = 0; i < 10; i++) {
      if (node.socket.isOpen) node.socket.break('ECONNRESET')
      await clock.advance(6_000)
    }
    expect(client).not.toHaveProperty('on')
    expect(new MeshError('Connection', 'x')).toBeInstanceOf(Error)
  })
})
