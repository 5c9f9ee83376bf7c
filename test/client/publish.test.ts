import { describe, expect, it } from 'vitest'
import type { Client, ConnectOptions } from '../../client/index.ts'
import { limits } from '../../wire/limits.ts'
import { connected, lose, reopen, watched } from './support/scene.ts'

/** Publishes numbers without waiting for any. */
function publishAll(client: Client, count: number, from = 1) {
  return Array.from({ length: count }, (_, i) => watched(client.publish('a.b', from + i)))
}

describe('publishing', () => {
  it('gathers what one turn brings into one frame, in order, and resolves with ids when it is confirmed', async () => {
    const { node, clock, client } = await connected()
    const published = publishAll(client, 100)
    await clock.settle()
    expect(node.publishes).toHaveLength(1)
    expect(node.publishes[0]).toMatchObject({ session: 4096, epoch: 1, sequence: 1, seen: 0 })
    expect(node.publishes[0]!.bodies).toEqual(published.map((_, i) => i + 1))
    expect(published.some(({ isSettled }) => isSettled)).toBe(false)
    node.socket.confirm(60)
    await clock.settle()
    expect(published.filter(({ isSettled }) => isSettled)).toHaveLength(60)
    node.socket.confirm(100)
    await clock.settle()
    expect(published.map(({ value }) => value)).toEqual(published.map((_, i) => ({ id: `0-4096-${i + 1}` })))
  })

  it('shares one rising sequence with control commands, in the order of the calls', async () => {
    const { node, clock, client } = await connected()
    void client.publish('a', 1)
    void client.queue('q').declare()
    void client.publish('a', 2)
    void client.publish('a', 3)
    await clock.settle()
    expect(node.order.slice(1)).toEqual(['publish', 'control', 'publish'])
    expect(node.publishes.map(({ sequence, bodies }) => [sequence, bodies])).toEqual([
      [1, [1]],
      [3, [2, 3]],
    ])
    expect(node.controls[0]).toMatchObject({ sequence: 2 })
  })

  it('closes a frame at its size, and lets one large message travel alone', async () => {
    const { node, clock, client } = await connected()
    for (let i = 0; i < 10; i++) void client.publish('a', new Uint8Array(100_000))
    void client.publish('a', new Uint8Array(1_000_000))
    void client.publish('a', 'small')
    await clock.settle()
    expect(node.publishes.map(({ bodies }) => bodies.length)).toEqual([2, 2, 2, 2, 2, 1, 1])
    for (const { bytes } of node.publishes) expect(bytes).toBeLessThanOrEqual(limits.frameBytesMax)
  })

  it('tells a refusal by its code, once, and the messages around it are not touched', async () => {
    const { node, clock, client } = await connected()
    const [first, second, third] = publishAll(client, 3)
    await clock.settle()
    node.socket.outcome({ sequence: 2, code: 'LimitExceeded', message: 'full' })
    await clock.settle()
    expect(second!.error).toMatchObject({ code: 'LimitExceeded', outcome: 'not-applied', message: 'full' })
    expect(first!.isSettled || third!.isSettled).toBe(false)
    node.socket.confirm(3)
    await clock.settle()
    expect([first!.value, third!.value]).toEqual([{ id: '0-4096-1' }, { id: '0-4096-3' }])
  })

  it('survives a code that only a newer cluster knows', async () => {
    const { node, clock, client } = await connected()
    const [published] = publishAll(client, 1)
    await clock.settle()
    node.socket.outcome({ sequence: 1, code: 'TooFancy' as never })
    await clock.settle()
    expect(published!.error).toMatchObject({ code: 'Protocol', outcome: 'not-applied' })
    expect(node.sockets).toHaveLength(1)
  })

  it('says what it has seen: no further than the oldest frame without all its outcomes', async () => {
    const { node, clock, client } = await connected({}, (n) => {
      n.auto.control = false
    })
    void client.publish('a', 1)
    void client.queue('q').declare()
    void client.publish('a', 2)
    await clock.settle()
    node.socket.confirm(3)
    void client.publish('a', 3)
    await clock.settle()
    // The command, sequence 2, has no outcome yet.
    expect(node.publishes[2]).toMatchObject({ sequence: 4, seen: 1 })
    node.socket.outcome({ sequence: 2 })
    void client.publish('a', 4)
    await clock.settle()
    expect(node.publishes[3]).toMatchObject({ sequence: 5, seen: 3 })
  })

  it.each([
    ['', 1],
    ['a..b', 1],
    ['a.*', 1],
    [7 as unknown as string, 1],
    ['a', Symbol('no')],
  ])('refuses topic %j with body %s before anything is sent', async (topic, body) => {
    const { node, clock, client } = await connected()
    await expect(client.publish(topic, body)).rejects.toMatchObject({ code: 'Validation', outcome: 'not-applied' })
    await clock.settle()
    expect(node.publishes).toHaveLength(0)
  })

  it('takes a message of full size and refuses one byte more', async () => {
    const { node, clock, client } = await connected()
    // Flags, and the head of a byte string.
    const overhead = 6
    void client.publish('a', new Uint8Array(limits.messageBytesMax - overhead))
    const tooLarge = client.publish('a', new Uint8Array(limits.messageBytesMax - overhead + 1))
    await expect(tooLarge).rejects.toMatchObject({ code: 'PayloadTooLarge', outcome: 'not-applied' })
    await clock.settle()
    expect(node.publishes).toHaveLength(1)
  })

  it('has taken the body when it returns: what is changed later is not sent', async () => {
    const { node, clock, client } = await connected()
    const body = { n: 1 }
    void client.publish('a', body)
    body.n = 2
    await clock.settle()
    expect(node.publishes[0]!.bodies).toEqual([{ n: 1 }])
  })
})

describe('after a reconnect', () => {
  it('sends what has no outcome again: same sequences, same content, the new epoch', async () => {
    const scene = await connected()
    const { node, clock, client } = scene
    const published = publishAll(client, 3)
    await clock.settle()
    const later = publishAll(client, 2, 4)
    await clock.settle()
    await lose(scene)
    await reopen(scene)
    expect(node.publishes).toHaveLength(2)
    node.socket.welcome({ lastSequence: 0 })
    await clock.settle()
    const [one, two, again, againTwo] = node.publishes
    expect(again).toEqual({ ...one, epoch: 2 })
    expect(againTwo).toEqual({ ...two, epoch: 2 })
    node.socket.confirm(5)
    await clock.settle()
    expect([...published, ...later].map(({ value }) => value?.id)).toEqual([1, 2, 3, 4, 5].map((n) => `0-4096-${n}`))
  })

  it('takes what the welcome says: judged up to a sequence, with the outcomes that were not plain success', async () => {
    const scene = await connected()
    const { node, clock, client } = scene
    const first = publishAll(client, 3)
    await clock.settle()
    const second = publishAll(client, 2, 4)
    await clock.settle()
    await lose(scene)
    await reopen(scene)
    node.socket.welcome({ lastSequence: 3, outcomes: [{ sequence: 2, code: 'LimitExceeded' }] })
    await clock.settle()
    expect(first.map(({ value }) => value?.id)).toEqual(['0-4096-1', undefined, '0-4096-3'])
    expect(first[1]!.error).toMatchObject({ code: 'LimitExceeded', outcome: 'not-applied' })
    expect(second.some(({ isSettled }) => isSettled)).toBe(false)
    expect(node.publishes.slice(2)).toMatchObject([{ sequence: 4, seen: 3, bodies: [4, 5] }])
  })

  it('sends a whole frame again when it was judged in part, and waits only for the rest', async () => {
    const scene = await connected()
    const { node, clock, client } = scene
    const published = publishAll(client, 4)
    await clock.settle()
    await lose(scene)
    await reopen(scene)
    node.socket.welcome({ lastSequence: 2 })
    await clock.settle()
    expect(published.map(({ isSettled }) => isSettled)).toEqual([true, true, false, false])
    expect(node.publishes[1]).toMatchObject({ sequence: 1, bodies: [1, 2, 3, 4] })
    node.socket.confirm(4)
    await clock.settle()
    expect(published.map(({ value }) => value?.id)).toEqual([1, 2, 3, 4].map((n) => `0-4096-${n}`))
  })

  it('sends what was published meanwhile, after what is sent again', async () => {
    const scene = await connected()
    const { node, clock, client } = scene
    publishAll(client, 1)
    await clock.settle()
    await lose(scene)
    publishAll(client, 1, 2)
    await clock.settle()
    await reopen(scene)
    node.socket.welcome()
    await clock.settle()
    expect(node.publishes.map(({ sequence, epoch }) => [sequence, epoch])).toEqual([
      [1, 1],
      [1, 2],
      [2, 2],
    ])
  })

  it('gives up a node that claims to know more than was ever sent', async () => {
    const scene = await connected()
    await lose(scene)
    await reopen(scene)
    scene.node.socket.welcome({ lastSequence: 7 })
    await scene.clock.settle()
    expect(scene.node.socket.ended).toBe('terminated')
  })
})

describe('a session that is lost', () => {
  it('fails what was sent as unknown, opens another, and sends what was never sent under it from sequence 1', async () => {
    const scene = await connected()
    const { node, clock, client } = scene
    const sent = publishAll(client, 2)
    await clock.settle()
    await lose(scene)
    const unsent = publishAll(client, 2, 3)
    await clock.settle()
    await reopen(scene)
    node.auto.open = true
    node.socket.fault('SessionLost')
    await clock.settle()
    for (const { error } of sent) expect(error).toMatchObject({ code: 'SessionLost', outcome: 'unknown' })
    expect(node.hellos.at(-1)).toEqual({ version: 1, connection: 1 })
    node.socket.welcome({ session: 12288 })
    await clock.settle()
    expect(node.publishes.slice(1)).toMatchObject([{ session: 12288, sequence: 1, seen: 0, bodies: [3, 4] }])
    node.socket.confirm(2)
    await clock.settle()
    expect(unsent.map(({ value }) => value?.id)).toEqual(['0-12288-1', '0-12288-2'])
  })
})

describe('a deadline', () => {
  const quick: Partial<ConnectOptions> = { publishTimeoutMs: 400 }

  it('fails what was sent and not confirmed as NoQuorum, unknown; and it goes on being sent until it is judged', async () => {
    const scene = await connected(quick)
    const { node, clock, client } = scene
    const [published] = publishAll(client, 1)
    await clock.advance(399)
    expect(published!.isSettled).toBe(false)
    await clock.advance(1)
    expect(published!.error).toMatchObject({ code: 'NoQuorum', outcome: 'unknown', retryable: true })
    await lose(scene)
    await reopen(scene)
    node.socket.welcome()
    await clock.settle()
    expect(node.publishes[1]).toMatchObject({ sequence: 1, bodies: [1] })
    void client.publish('a', 2)
    await clock.settle()
    expect(node.publishes[2]).toMatchObject({ sequence: 2 })
  })

  it('fails what never left as Connection, not applied; and it is never sent', async () => {
    const scene = await connected(quick)
    const { node, clock, client } = scene
    await lose(scene)
    const early = publishAll(client, 2)
    await clock.advance(300)
    const late = publishAll(client, 1, 3)
    await clock.advance(100)
    for (const { error } of early) expect(error).toMatchObject({ code: 'Connection', outcome: 'not-applied' })
    expect(late[0]!.isSettled).toBe(false)
    await reopen(scene)
    node.socket.welcome()
    await clock.settle()
    expect(node.publishes).toMatchObject([{ sequence: 1, bodies: [3] }])
  })

  it('says NoQuorum when that is why the nodes send the client away', async () => {
    const scene = await connected({ publishTimeoutMs: 2_000 })
    const { node, clock, client } = scene
    const [sent] = publishAll(client, 1)
    await clock.settle()
    node.auto.welcome = false
    node.socket.fault('NoQuorum', 'this node has no leader')
    await clock.settle()
    const [unsent] = publishAll(client, 1, 2)
    for (let i = 0; i < 20; i++) {
      await clock.advance(100)
      // One of the two servers is dead, the other one has no leader.
      if (node.socket.url === 'ws://a:1') node.socket.break('ECONNREFUSED')
      else if (node.socket.isOpen) node.socket.fault('NoQuorum', 'this node has no leader')
    }
    expect(sent!.error).toMatchObject({ code: 'NoQuorum', outcome: 'unknown' })
    expect(unsent!.error).toMatchObject({ code: 'NoQuorum', outcome: 'not-applied' })
  })

  it('fails what finds no room in the window as Overloaded, not applied', async () => {
    const { node, clock, client } = await connected({ ...quick, maxInFlight: 2 })
    const published = publishAll(client, 3)
    await clock.advance(400)
    expect(published.map(({ error }) => (error as { code: string }).code)).toEqual([
      'NoQuorum',
      'NoQuorum',
      'Overloaded',
    ])
    expect(published[2]!.error).toMatchObject({ outcome: 'not-applied' })
    node.socket.confirm(2)
    await clock.settle()
    expect(node.publishes).toHaveLength(1)
  })

  it('is each call’s own when it says so', async () => {
    const { clock, client } = await connected(quick)
    const patient = watched(client.publish('a', 1, { timeoutMs: 1_000 }))
    const brief = watched(client.publish('a', 2, { timeoutMs: 100 }))
    const usual = watched(client.publish('a', 3))
    const after: boolean[][] = []
    for (const ms of [99, 1, 299, 1, 599, 1]) {
      await clock.advance(ms)
      after.push([brief, usual, patient].map(({ isSettled }) => isSettled))
    }
    expect(after.map((each) => each.filter(Boolean).length)).toEqual([0, 1, 1, 2, 2, 3])
    await expect(client.publish('a', 1, { timeoutMs: 0 })).rejects.toMatchObject({ code: 'Validation' })
  })

  it('costs one timer, however many wait', async () => {
    const { clock, client } = await connected()
    const before = clock.timers
    publishAll(client, 1_000)
    await clock.settle()
    expect(clock.timers).toBe(before + 1)
  })
})

describe('an abort', () => {
  it('ends the waiting: not applied when it had not left, else unknown and still sent again', async () => {
    const scene = await connected()
    const { node, clock, client } = scene
    const abort = new AbortController()
    const sent = watched(client.publish('a', 1, { signal: abort.signal }))
    await clock.settle()
    await lose(scene)
    const unsent = watched(client.publish('a', 2, { signal: abort.signal }))
    const other = watched(client.publish('a', 3))
    abort.abort(new Error('enough'))
    await clock.settle()
    expect(sent.error).toMatchObject({ code: 'Aborted', outcome: 'unknown', cause: new Error('enough') })
    expect(unsent.error).toMatchObject({ code: 'Aborted', outcome: 'not-applied' })
    await reopen(scene)
    node.socket.welcome()
    await clock.settle()
    expect(node.publishes.slice(1).map(({ bodies }) => bodies)).toEqual([[1], [3]])
    node.socket.confirm(2)
    await clock.settle()
    expect(other.value).toEqual({ id: '0-4096-2' })
  })

  it('before the call sends nothing, and after the confirm changes nothing', async () => {
    const { node, clock, client } = await connected({}, (n) => {
      n.auto.confirm = true
    })
    const before = client.publish('a', 1, { signal: AbortSignal.abort() })
    await expect(before).rejects.toMatchObject({ code: 'Aborted', outcome: 'not-applied' })
    const abort = new AbortController()
    const published = watched(client.publish('a', 2, { signal: abort.signal }))
    await clock.settle()
    abort.abort()
    expect(published.value).toEqual({ id: '0-4096-1' })
    expect(node.publishes).toHaveLength(1)
  })
})

describe('bounds', () => {
  it('let no more than maxInFlight leave without an outcome, and the rest when outcomes come', async () => {
    const { node, clock, client } = await connected({ maxInFlight: 10 })
    const published = publishAll(client, 25)
    await clock.settle()
    const sent = () => node.publishes.reduce((sum, { bodies }) => sum + bodies.length, 0)
    expect(sent()).toBe(10)
    node.socket.confirm(4)
    await clock.settle()
    expect(sent()).toBe(14)
    node.socket.confirm(14)
    await clock.settle()
    expect(sent()).toBe(24)
    node.socket.confirm(24)
    await clock.settle()
    node.socket.confirm(25)
    await clock.settle()
    expect(published.map(({ value }) => value?.id)).toEqual(published.map((_, i) => `0-4096-${i + 1}`))
  })

  it('refuse as Overloaded what does not fit the buffer, also while disconnected, and take it again when there is room', async () => {
    const scene = await connected({ maxBufferedBytes: 10_000, publishTimeoutMs: 500 })
    const { clock, client } = scene
    await lose(scene)
    const body = new Uint8Array(2_000)
    const published = Array.from({ length: 10 }, () => watched(client.publish('a', body)))
    await clock.settle()
    const refused = published.filter(({ isSettled }) => isSettled)
    expect(refused.map(({ error }) => (error as { code: string }).code)).toEqual(Array(6).fill('Overloaded'))
    await clock.advance(500)
    const again = watched(client.publish('a', body))
    await clock.settle()
    expect(again.isSettled).toBe(false)
  })

  it('hold in a long outage: thousands of publishes that failed leave nothing behind', async () => {
    const scene = await connected({ maxBufferedBytes: 100_000, publishTimeoutMs: 50 })
    const { node, clock, client } = scene
    await lose(scene)
    const overloaded: unknown[] = []
    for (let i = 0; i < 100; i++) {
      for (let n = 0; n < 100; n++)
        client.publish('a', n).catch(({ code }) => code === 'Overloaded' && overloaded.push(code))
      await clock.advance(50)
      if (node.socket.ended === undefined) node.socket.break()
    }
    expect(overloaded).toEqual([])
    await reopen(scene)
    node.socket.welcome()
    await clock.settle()
    expect(node.publishes).toHaveLength(0)
  })

  it('let one message through that alone is larger than the buffer', async () => {
    const { node, clock, client } = await connected({ maxBufferedBytes: 1_000 })
    void client.publish('a', new Uint8Array(5_000))
    await clock.settle()
    expect(node.publishes).toHaveLength(1)
  })

  it('keep 16 MiB of frames on the way at most', async () => {
    const { node, clock, client } = await connected()
    const body = new Uint8Array(1_000_000)
    for (let i = 0; i < 40; i++) client.publish('a', body).catch(() => {})
    await clock.settle()
    expect(node.publishes).toHaveLength(17)
    node.socket.confirm(17)
    await clock.settle()
    expect(node.publishes).toHaveLength(34)
  })
})
