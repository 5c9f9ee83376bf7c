/** The proxies between nodes, and between clients and nodes, against real sockets: what each impairment does, and in which direction. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CLIENTS, ClusterLinks } from '../../../jepsen-lite/cluster/links.ts'
import { claimPorts } from '../../../jepsen-lite/cluster/ports.ts'
import { resetSocket } from '../../../jepsen-lite/cluster/reset.ts'
import { Target } from '../../../jepsen-lite/cluster/target.ts'
import type { Impairment } from '../../../jepsen-lite/nemesis.ts'
import { seeded } from '../../../jepsen-lite/random.ts'
import { eventually } from '../../support/eventually.ts'
import { dial, End, Peer } from './sockets.ts'

const blackhole: Impairment = { type: 'blackhole' }

let links: ClusterLinks
let targets: Target[]
let n1: Peer
let n2: Peer
/** Where n1 finds n2, n2 finds n1, and clients find n1. */
let toN2: number
let toN1: number
let fromClients: number
let releasePorts: () => void

beforeEach(async () => {
  const claimed = await claimPorts(5)
  releasePorts = claimed.release
  const { ports } = claimed
  n1 = new Peer(ports[0]!)
  n2 = new Peer(ports[1]!)
  ;[toN2, toN1, fromClients] = ports.slice(2) as [number, number, number]
  await n1.listen()
  await n2.listen()
  targets = [new Target(n1.port), new Target(n2.port)]
  const plans = [
    { from: 'n1', to: 'n2', port: toN2 },
    { from: 'n2', to: 'n1', port: toN1 },
    { from: CLIENTS, to: 'n1', port: fromClients },
  ]
  links = new ClusterLinks(
    plans,
    new Map([
      ['n1', targets[0]!],
      ['n2', targets[1]!],
    ] as const),
    seeded(1),
  )
  await eventually(() => links.silentPorts.length === 0)
})

afterEach(() => {
  links.close()
  for (const target of targets) target.close()
  n1.die()
  n2.die()
  releasePorts()
})

/** A connection: the end of whoever dialed, and that of the server. */
async function connected(port: number, server: Peer): Promise<{ dialer: End; server: End }> {
  const dialer = await dial(port)
  const name = `hello ${server.ends.length} ${port}`
  dialer.socket.write(name)
  const end = await server.heard(name)
  end.chunks.length = 0
  return { dialer, server: end }
}

/** Resolves when what was written before has gone through a way that holds nothing back: it was overtaken by a round trip. */
async function roundTrip(port: number, server: Peer): Promise<void> {
  const { dialer, server: end } = await connected(port, server)
  end.socket.write('back')
  await dialer.has('back')
  dialer.socket.destroy()
}

describe('a link without faults', () => {
  it('passes megabytes in both directions as they were, and the end of each direction by itself', async () => {
    const { dialer, server } = await connected(toN2, n2)
    const [there, back] = [randomBytes(6 << 20), randomBytes(5 << 20)]
    dialer.socket.end(there)
    await server.endsWith('end')
    server.socket.end(back)
    await dialer.endsWith('end')
    expect(server.received.equals(there)).toBe(true)
    expect(dialer.received.equals(back)).toBe(true)
    expect([links.bytesDropped, links.bytesDelayed, links.socketsReset]).toEqual([0, 0, 0])
  })

  it('hands a reset on, in both directions', async () => {
    const first = await connected(toN2, n2)
    first.dialer.socket.resetAndDestroy()
    await first.server.endsWith('ECONNRESET')
    const second = await connected(toN2, n2)
    second.server.socket.resetAndDestroy()
    await second.dialer.endsWith('ECONNRESET')
  })
})

describe('a blackhole of one direction', () => {
  it('swallows what flows that way on both sockets of the pair, and nothing that flows back', async () => {
    const [one, two] = [await connected(toN2, n2), await connected(toN1, n1)]
    const client = await connected(fromClients, n1)
    links.impair('n1', 'n2', blackhole)
    // n1 speaks on the socket that it opened, and on the one that it accepted.
    one.dialer.socket.write('lost')
    two.server.socket.write('lost too')
    one.server.socket.write('n2 is heard')
    two.dialer.socket.write('n2 is heard here as well')
    client.dialer.socket.write('clients are heard')
    await one.dialer.has('n2 is heard')
    await two.server.has('n2 is heard here as well')
    await client.server.has('clients are heard')
    await eventually(() => links.bytesDropped === 'lost'.length + 'lost too'.length)
    expect([one.server.text, two.dialer.text]).toEqual(['', ''])
  })

  it('resets the sockets that lost bytes when it ends, and those alone', async () => {
    const [hurt, whole] = [await connected(toN2, n2), await connected(toN2, n2)]
    const end = links.impair('n1', 'n2', blackhole)
    hurt.dialer.socket.write('gone')
    await eventually(() => links.bytesDropped === 4)
    expect(end()).toEqual({ bytesDropped: 4, bytesDelayed: 0, socketsReset: 0 })
    await hurt.dialer.endsWith('ECONNRESET')
    await hurt.server.endsWith('ECONNRESET')
    whole.dialer.socket.write('still here')
    await whole.server.has('still here')
    expect(hurt.server.text).toBe('')
  })

  it('lets nothing pass behind what it swallowed, though another blackhole keeps the socket from being reset', async () => {
    const { dialer, server } = await connected(toN2, n2)
    const end = links.impair('n1', 'n2', blackhole)
    const endBack = links.impair('n2', 'n1', blackhole)
    dialer.socket.write('first')
    await eventually(() => links.bytesDropped === 5)
    end()
    dialer.socket.write('second')
    await eventually(() => links.bytesDropped === 11)
    expect(server.text).toBe('')
    endBack()
    await server.endsWith('ECONNRESET')
  })

  it('leaves a dial without an answer, not refused, in either direction', async () => {
    for (const [from, to] of [
      ['n1', 'n2'],
      ['n2', 'n1'],
    ] as const) {
      const before = n2.ends.length
      const end = links.impair(from, to, blackhole)
      const dialer = await dial(toN2)
      dialer.socket.write('anybody?')
      await eventually(() => links.bytesDropped > 0)
      expect(n2.ends.length).toBe(before)
      end()
      await dialer.endsWith('ECONNRESET')
      await roundTrip(toN2, n2)
    }
  })

  it('hides the end of a connection as well', async () => {
    const { dialer, server } = await connected(toN2, n2)
    const witness = await connected(toN1, n1)
    const end = links.impair('n2', 'n1', blackhole)
    server.socket.end('bye')
    await eventually(() => links.bytesDropped === 3)
    await targets[1]!.check()
    witness.server.socket.write('n1 to n2')
    await witness.dialer.has('n1 to n2')
    expect(dialer.ending).toBeUndefined()
    end()
    await dialer.endsWith('ECONNRESET')
  })
})

describe('a reset', () => {
  it('ends open sockets at both ends and every new one, until it is taken away', async () => {
    const [one, two] = [await connected(toN2, n2), await connected(toN1, n1)]
    const end = links.impair('n1', 'n2', { type: 'reset' })
    for (const each of [one.dialer, one.server, two.dialer, two.server]) await each.endsWith('ECONNRESET')
    // It may come as early as the dial.
    const late = await dial(toN2).catch((error: NodeJS.ErrnoException) => error.code)
    if (late instanceof End) await late.endsWith('ECONNRESET')
    else expect(late).toBe('ECONNRESET')
    await eventually(() => links.socketsReset === 3)
    expect(end().socketsReset).toBe(3)
    await roundTrip(toN2, n2)
  })
})

describe('a refusal', () => {
  it('ends open sockets and refuses dials though the target listens, until it is taken away', async () => {
    const { dialer, server } = await connected(toN2, n2)
    const end = links.impair('n2', 'n1', { type: 'refuse' })
    await dialer.endsWith('ECONNRESET')
    await server.endsWith('ECONNRESET')
    await expect(dial(toN2)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(end()).toEqual({ bytesDropped: 0, bytesDelayed: 0, socketsReset: 1 })
    await eventually(() => links.silentPorts.length === 0)
    await roundTrip(toN2, n2)
  })
})

describe('resetSocket', () => {
  it('resets an open socket, and one whose end waits behind bytes that nobody reads', async () => {
    for (const isEnded of [false, true]) {
      const { dialer, server } = await connected(toN2, n2)
      server.socket.pause()
      if (isEnded) dialer.socket.end(randomBytes(16 << 20))
      const end = links.impair('n1', 'n2', { type: 'reset' })
      await dialer.endsWith('ECONNRESET')
      server.socket.resume()
      await server.endsWith('ECONNRESET')
      end()
    }
  })

  it('closes one in the moment of its end, which Node would neither reset nor close', async () => {
    const { socket } = await dial(n2.port)
    const closed = once(socket, 'close')
    socket.end()
    resetSocket(socket)
    await closed
  })
})

describe('a delay', () => {
  it('holds each chunk back for so long, one after the other, whatever the jitter', async () => {
    const { dialer, server } = await connected(toN2, n2)
    const end = links.impair('n1', 'n2', { type: 'delay', ms: 60, jitterMs: 40 })
    const sentAtMs: number[] = []
    for (let i = 0; i < 10; i++) {
      sentAtMs.push(performance.now())
      dialer.socket.write(String(i))
      await eventually(() => links.bytesDelayed > i)
    }
    await server.has('0123456789')
    // Chunks may have come together: each byte's time is that of its chunk.
    const cameAtMs = server.chunks.flatMap(({ bytes, atMs }) => Array.from(bytes, () => atMs))
    for (const [i, atMs] of cameAtMs.entries()) expect(atMs - sentAtMs[i]!).toBeGreaterThanOrEqual(59)
    expect(end()).toEqual({ bytesDropped: 0, bytesDelayed: 10, socketsReset: 0 })
  })

  it('adds to another one, and lets go of what it holds when it ends', async () => {
    const { dialer, server } = await connected(toN2, n2)
    const endLong = links.impair('n1', 'n2', { type: 'delay', ms: 3_600_000, jitterMs: 0 })
    const endShort = links.impair('n1', 'n2', { type: 'delay', ms: 40, jitterMs: 0 })
    dialer.socket.write('a')
    await eventually(() => links.bytesDelayed === 1)
    expect(server.text).toBe('')
    endLong()
    endShort()
    await server.has('a')
    links.impair('n1', 'n2', { type: 'delay', ms: 30, jitterMs: 0 })
    links.impair('n1', 'n2', { type: 'delay', ms: 40, jitterMs: 0 })
    const sentAtMs = performance.now()
    dialer.socket.write('b')
    await server.has('ab')
    expect(server.chunks.at(-1)!.atMs - sentAtMs).toBeGreaterThanOrEqual(69)
  })
})

describe('a stall', () => {
  it('lets nothing pass while it holds, and all of it in order when it ends', async () => {
    const { dialer, server } = await connected(toN2, n2)
    const end = links.impair('n1', 'n2', { type: 'stall' })
    dialer.socket.end('one two three')
    server.socket.write('the other way is open')
    await dialer.has('the other way is open')
    await eventually(() => links.bytesDelayed === 13)
    expect(server.text).toBe('')
    expect(end().bytesDelayed).toBe(13)
    await server.has('one two three')
    await server.endsWith('end')
  })

  it('makes the sender feel it instead of taking all that it sends', async () => {
    const { dialer, server } = await connected(toN2, n2)
    const end = links.impair('n1', 'n2', { type: 'stall' })
    const bytes = randomBytes(24 << 20)
    dialer.socket.write(bytes)
    let [taken, since] = [0, 0]
    await eventually(() => {
      since = links.bytesDelayed === taken ? since + 1 : 0
      taken = links.bytesDelayed
      return taken > 0 && since === 10
    })
    expect(taken).toBeLessThan(2 << 20)
    end()
    await eventually(() => server.received.length === bytes.length)
    expect(server.received.equals(bytes)).toBe(true)
  })
})

describe('a rate', () => {
  it('delays what has to wait, not what has the way for itself', async () => {
    const { dialer, server } = await connected(toN2, n2)
    const end = links.impair('n1', 'n2', { type: 'rate', bytesPerSecond: 200_000 })
    dialer.socket.write('alone')
    await server.has('alone')
    expect(links.bytesDelayed).toBe(0)
    dialer.socket.write(randomBytes(30_000))
    await eventually(() => server.received.length === 30_005)
    const { bytesDelayed } = end()
    expect(bytesDelayed).toBeGreaterThan(20_000)
    expect(bytesDelayed).toBeLessThanOrEqual(30_000)
  })

  it('is shared by the sockets of a way, whose bytes trickle', async () => {
    const [one, two] = [await connected(toN2, n2), await connected(toN1, n1)]
    links.impair('n1', 'n2', { type: 'rate', bytesPerSecond: 200_000 })
    const sentAtMs = performance.now()
    const bytes = randomBytes(30_000)
    one.dialer.socket.write(bytes)
    two.server.socket.write(bytes)
    await eventually(() => one.server.received.equals(bytes) && two.dialer.received.equals(bytes))
    const lastAtMs = Math.max(one.server.chunks.at(-1)!.atMs, two.dialer.chunks.at(-1)!.atMs)
    expect(lastAtMs - sentAtMs).toBeGreaterThanOrEqual(298)
    expect(one.server.chunks.length + two.dialer.chunks.length).toBeGreaterThan(4)
  })
})

describe('a target that is dead', () => {
  it('is refused by its proxies at the very moment that its sockets end, and found again when it listens', async () => {
    for (let round = 0; round < 10; round++) {
      const { dialer } = await connected(toN2, n2)
      const redial = new Promise((resolve) =>
        dialer.socket.on('close', () => resolve(dial(toN2).catch((error) => error.code))),
      )
      dialer.socket.on('end', () => dialer.socket.destroy())
      n2.die()
      expect(await redial).toBe('ECONNREFUSED')
      await n2.listen()
      await eventually(() => links.silentPorts.length === 0)
    }
  })

  it('is not known to be dead across a blackhole, in either direction', async () => {
    for (const [from, to] of [
      ['n1', 'n2'],
      ['n2', 'n1'],
    ] as const) {
      const { dialer } = await connected(toN2, n2)
      const end = links.impair(from, to, blackhole)
      n2.die()
      await eventually(() => !targets[1]!.up || targets[1]!.check().then((up) => !up))
      const late = await dial(toN2)
      expect(late.ending).toBeUndefined()
      end()
      await late.endsWith('ECONNRESET')
      await expect(dial(toN2)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
      dialer.socket.destroy()
      await n2.listen()
      await eventually(() => links.silentPorts.length === 0)
    }
  })
})
