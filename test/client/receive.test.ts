import { describe, expect, it } from 'vitest'
import type { Message, ReceiveOptions } from '../../client/index.ts'
import { FrameKind } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import { SettleOutcome } from '../../wire/settle-frame.ts'
import { settlesOf } from './support/consuming.ts'
import { connected, lose, reopen, type Scene, watched } from './support/scene.ts'
import type { ScriptedNode } from './support/scripted-node.ts'

const { accepted, released, extended } = SettleOutcome

interface ReceiveScene extends Scene {
  readonly receive: { value: Message[] | undefined; error: unknown; isSettled: boolean }
  /** The consumer that the cluster made for it. */
  readonly consumer: number
}

async function receiving(options: ReceiveOptions = {}, prepare?: (node: ScriptedNode) => void): Promise<ReceiveScene> {
  const scene = await connected({}, prepare)
  const receive = watched(scene.client.queue('q').receive(options))
  await scene.clock.settle()
  return { ...scene, receive, consumer: scene.node.minted }
}

function got({ node }: Scene, consumer: number, count: number): void {
  node.socket.say(FrameKind.received, { consumer, count })
}

function bodies(messages: readonly Message[] | undefined): unknown[] {
  return (messages ?? []).map(({ body }) => body)
}

describe('a receive', () => {
  it('asks for one message, now, and for 30 seconds of visibility, unless it is told otherwise', async () => {
    const { node, client, clock } = await receiving()
    void client.queue('r').receive({ max: 7, waitMs: 1500, visibilityTimeoutMs: 9000 })
    await clock.settle()
    expect(node.controls.map(({ command }) => command)).toEqual([
      { type: 'receive', queue: 'q', max: 1, waitMs: 0, visibilityTimeoutMs: 30_000 },
      { type: 'receive', queue: 'r', max: 7, waitMs: 1500, visibilityTimeoutMs: 9000 },
    ])
  })

  it('refuses what makes no sense before it sends anything', async () => {
    const { node, client, clock } = await connected()
    const wrong: ReceiveOptions[] = [
      ...[{ max: 0 }, { max: 1.5 }, { max: limits.receiveMessagesMax + 1 }],
      ...[{ waitMs: -1 }, { waitMs: limits.delayMsMax + 1 }, { visibilityTimeoutMs: 0 }],
    ]
    for (const options of wrong) {
      await expect(client.queue('q').receive(options)).rejects.toMatchObject({ code: 'Validation' })
    }
    await expect(client.queue('no good').receive()).rejects.toMatchObject({ code: 'Validation' })
    await clock.settle()
    expect(node.controls).toEqual([])
  })

  it('resolves with nothing when the cluster says that there is nothing', async () => {
    const scene = await receiving({ max: 3 })
    got(scene, scene.consumer, 0)
    await scene.clock.settle()
    expect(scene.receive.value).toEqual([])
  })

  it('resolves when all that it got is here, in however many frames, before or after the word of it', async () => {
    const scene = await receiving({ max: 5 })
    const { node, clock, consumer, receive } = scene
    node.socket.deliver(consumer, 1, ['a'])
    await clock.settle()
    got(scene, consumer, 3)
    await clock.settle()
    expect(receive.isSettled).toBe(false)
    node.socket.deliver(consumer, 2, ['b', 'c'], { attempt: 4 })
    await clock.settle()
    expect(bodies(receive.value)).toEqual(['a', 'b', 'c'])
    expect(receive.value!.map(({ attempt }) => attempt)).toEqual([1, 4, 4])
  })

  it('has messages that are settled as any others, and extended until they are', async () => {
    const scene = await receiving({ max: 3, visibilityTimeoutMs: 9000 })
    const { node, clock, consumer, receive } = scene
    node.socket.deliver(consumer, 1, ['a', 'b', 'c'])
    got(scene, consumer, 3)
    await clock.settle()
    const [a, b, c] = receive.value!
    await Promise.all([a!.ack(), b!.nack(), clock.settle()])
    expect(settlesOf(node)).toEqual([
      [accepted, 1, 1],
      [released, 2, 1],
    ])
    await clock.advance(6000)
    expect(settlesOf(node).slice(2)).toEqual([[extended, 3, 1]])
    await Promise.all([c!.reject(), clock.settle()])
    await clock.advance(9000)
    expect(settlesOf(node)).toHaveLength(4)
  })

  it('is refused with the code of the cluster', async () => {
    const { node, clock, receive } = await receiving({}, (n) => {
      n.auto.control = false
    })
    node.socket.outcome({ sequence: 1, code: 'NotFound', message: "there is no queue 'q'" })
    await clock.settle()
    expect(receive.error).toMatchObject({ code: 'NotFound', outcome: 'not-applied' })
  })

  it('whose queue is deleted asks again, and so learns it', async () => {
    const { node, clock, receive, consumer } = await receiving({ waitMs: 5000 })
    node.auto.control = false
    node.socket.say(FrameKind.cancelled, { consumer, reason: "the queue 'q' was deleted" })
    await clock.settle()
    node.socket.outcome({ sequence: 2, code: 'NotFound', message: "there is no queue 'q'" })
    await clock.settle()
    expect(receive.error).toMatchObject({ code: 'NotFound' })
  })
})

describe('a receive whose connection is lost', () => {
  it('goes on waiting when the cluster still knows it', async () => {
    const scene = await receiving({ waitMs: 5000 })
    const { node, clock, consumer, receive } = scene
    await lose(scene)
    await reopen(scene)
    node.socket.welcome({ consumers: [consumer], lastSequence: 1 })
    await clock.settle()
    node.socket.deliver(consumer, 1, ['a'])
    got(scene, consumer, 1)
    await clock.settle()
    expect(bodies(receive.value)).toEqual(['a'])
    expect(node.controls).toHaveLength(1)
  })

  it('asks again for what is left of its time when the cluster knows it no more', async () => {
    const scene = await receiving({ max: 2, waitMs: 60_000 })
    const { node, clock, consumer, receive } = scene
    await clock.advance(20_000)
    await lose(scene)
    await reopen(scene)
    node.socket.welcome({ consumers: [], lastSequence: 1 })
    await clock.settle()
    const again = node.controls[1]!.command
    expect(again).toMatchObject({ type: 'receive', queue: 'q', max: 2 })
    expect((again as { waitMs: number }).waitMs).toBeLessThanOrEqual(40_000)
    expect((again as { waitMs: number }).waitMs).toBeGreaterThan(30_000)
    // What the former one still hears is not for it.
    got(scene, consumer, 0)
    await clock.settle()
    expect(receive.isSettled).toBe(false)
    got(scene, node.minted, 0)
    await clock.settle()
    expect(receive.value).toEqual([])
  })

  it('asks again when its outcome comes with a welcome that knows it no more', async () => {
    const scene = await receiving({}, (node) => {
      node.auto.control = false
    })
    const { node, clock, receive } = scene
    await lose(scene)
    await reopen(scene)
    node.socket.welcome({ lastSequence: 1, outcomes: [{ sequence: 1, result: { consumer: 77 } }], consumers: [] })
    await clock.settle()
    expect(node.controls.slice(1)).toMatchObject([{ sequence: 2, command: { type: 'receive', queue: 'q', waitMs: 0 } }])
    expect(receive.isSettled).toBe(false)
  })

  it('names what has come, and hands it out once the cluster has said that it is still held', async () => {
    const scene = await receiving({ max: 5 }, (node) => {
      node.auto.settle = false
    })
    const { node, clock, consumer, receive } = scene
    got(scene, consumer, 3)
    node.socket.deliver(consumer, 1, ['a', 'b'])
    await clock.settle()
    await lose(scene)
    await reopen(scene)
    expect(node.hellos[1]).toMatchObject({ held: [{ consumer, runs: [[1, 2]] }] })
    node.socket.welcome({ consumers: [consumer], lastSequence: 1 })
    await clock.settle()
    expect(receive.isSettled).toBe(false)
    node.socket.say(FrameKind.settled, { tag: node.settles[0]!.sequence, stale: [[consumer, 1, 1]] })
    await clock.settle()
    expect(bodies(receive.value)).toEqual(['b'])
  })

  it('asks again when all that had come has gone back', async () => {
    const scene = await receiving({ max: 5 }, (node) => {
      node.auto.settle = false
    })
    const { node, clock, consumer, receive } = scene
    got(scene, consumer, 3)
    node.socket.deliver(consumer, 1, ['a', 'b'])
    await clock.settle()
    await lose(scene)
    await reopen(scene)
    node.socket.welcome({ consumers: [consumer], lastSequence: 1 })
    await clock.settle()
    node.socket.say(FrameKind.settled, { tag: node.settles[0]!.sequence, stale: [[consumer, 1, 2]] })
    await clock.settle()
    expect(node.controls.slice(1).map(({ command }) => command.type)).toEqual(['cancel', 'receive'])
    got(scene, node.minted, 0)
    await clock.settle()
    expect(receive.value).toEqual([])
  })

  it('asks again when the client was away for longer than it keeps what nobody extends', async () => {
    const scene = await receiving({ max: 5, visibilityTimeoutMs: 300, autoExtend: false })
    const { node, clock, consumer, receive } = scene
    got(scene, consumer, 3)
    node.socket.deliver(consumer, 1, ['a', 'b'])
    await clock.settle()
    await lose(scene)
    await clock.advance(300)
    await reopen(scene)
    node.socket.welcome({ consumers: [consumer], lastSequence: 1 })
    await clock.settle()
    expect(node.controls.slice(1).map(({ command }) => command.type)).toEqual(['cancel', 'receive'])
    got(scene, node.minted, 0)
    await clock.settle()
    expect(receive.value).toEqual([])
  })

  it('counts a settle without an answer as held, and tells its ack that nobody knows when the cluster has ended it', async () => {
    const scene = await receiving({}, (node) => {
      node.auto.settle = false
    })
    const { node, clock, consumer, receive } = scene
    got(scene, consumer, 1)
    node.socket.deliver(consumer, 1, ['a'])
    await clock.settle()
    const ack = watched(receive.value![0]!.ack())
    await clock.settle()
    await lose(scene)
    await reopen(scene)
    expect(node.hellos[1]).toMatchObject({ held: [{ consumer, runs: [[1, 1]] }] })
    node.socket.welcome({ consumers: [], lastSequence: 1 })
    await clock.settle()
    expect(ack.error).toMatchObject({ code: 'LeaseLost', outcome: 'unknown' })
    expect(node.controls).toHaveLength(1)
  })

  it('asks the next session when its own is lost, and what was handed out is lost with it', async () => {
    const scene = await receiving({ waitMs: 5000 })
    const { node, clock, client, receive } = scene
    const holding = watched(client.queue('r').receive())
    await clock.settle()
    node.socket.deliver(node.minted, 1, ['a'])
    got(scene, node.minted, 1)
    await clock.settle()
    const { signal } = holding.value![0]!
    await lose(scene)
    await reopen(scene)
    node.auto.open = true
    node.auto.welcome = true
    node.socket.fault('SessionLost')
    await clock.settle()
    expect(signal.reason).toMatchObject({ code: 'SessionLost' })
    await clock.advance(100)
    expect(node.controls.slice(2)).toMatchObject([{ sequence: 1, command: { type: 'receive', queue: 'q' } }])
    got(scene, node.minted, 0)
    await clock.settle()
    expect(receive.value).toEqual([])
  })
})

describe('a receive without an answer', () => {
  it('fails at its deadline, unknown, and gives up its consumer', async () => {
    const { node, clock, receive, consumer } = await receiving({ waitMs: 5000 })
    await clock.advance(34_999)
    expect(receive.isSettled).toBe(false)
    await clock.advance(1)
    expect(receive.error).toMatchObject({ code: 'NoQuorum', outcome: 'unknown' })
    expect(node.controls.at(-1)!.command).toEqual({ type: 'cancel', consumer })
  })

  it('gives up a consumer that is made too late', async () => {
    const { node, clock, receive } = await receiving({}, (n) => {
      n.auto.control = false
    })
    await clock.advance(30_000)
    expect(receive.error).toMatchObject({ outcome: 'unknown' })
    node.socket.outcome({ sequence: 1, result: { consumer: 55 } })
    await clock.settle()
    expect(node.controls.at(-1)!.command).toEqual({ type: 'cancel', consumer: 55 })
  })

  it('hands out what has come by then, sends back what comes later, and gives up the rest', async () => {
    const scene = await receiving({ max: 3 })
    const { node, clock, receive, consumer } = scene
    got(scene, consumer, 3)
    node.socket.deliver(consumer, 1, ['a'])
    await clock.advance(30_000)
    expect(bodies(receive.value)).toEqual(['a'])
    node.socket.deliver(consumer, 2, ['b'])
    await clock.settle()
    expect(settlesOf(node).filter(([outcome]) => outcome !== extended)).toEqual([[released, 2, 1]])
    await Promise.all([receive.value![0]!.ack(), clock.settle()])
    await clock.settle()
    expect(node.controls.at(-1)!.command).toEqual({ type: 'cancel', consumer })
  })
})

describe('a client with receives', () => {
  it('that is drained waits for what is handed out, and for nothing more', async () => {
    const scene = await receiving({ waitMs: 60_000 })
    const { node, clock, client, receive } = scene
    const holding = watched(client.queue('r').receive({ max: 2 }))
    await clock.settle()
    node.socket.deliver(node.minted, 1, ['a', 'b'])
    got(scene, node.minted, 2)
    await clock.settle()
    const drained = watched(client.drain({ timeoutMs: 500 }))
    await clock.settle()
    expect(receive.error).toMatchObject({ code: 'Closed' })
    await expect(client.queue('q').receive()).rejects.toMatchObject({ code: 'Closed' })
    await Promise.all([holding.value![0]!.ack(), clock.settle()])
    expect(drained.isSettled).toBe(false)
    await clock.advance(500)
    expect(drained.value).toEqual({ unfinished: 1 })
  })

  it('that is closed leaves none waiting', async () => {
    const { clock, client, receive } = await receiving({ waitMs: 60_000 })
    const closing = client.close()
    await clock.advance(2000)
    await closing
    expect(receive.error).toMatchObject({ code: 'Closed' })
    await expect(client.queue('q').receive()).rejects.toMatchObject({ code: 'Closed' })
  })
})
