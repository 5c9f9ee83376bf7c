import { describe, expect, it } from 'vitest'
import type { ConnectOptions } from '../../client/index.ts'
import { connected, lose, publishAll, reopen, watched } from './support/scene.ts'

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
