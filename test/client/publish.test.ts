import { describe, expect, it } from 'vitest'
import { limits } from '../../wire/limits.ts'
import { connected, lose, publishAll, reopen } from './support/scene.ts'

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
