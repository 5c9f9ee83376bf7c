import { describe, expect, it } from 'vitest'
import { FrameKind } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import { PublishFrameBuilder } from '../../wire/publish-frame.ts'
import { decodeConfirmFrame } from '../../wire/session-frames.ts'
import { metricOf, statusOf } from '../support/admin.ts'
import { eventually } from '../support/eventually.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { closeAfterTest, TestMesh } from './mesh.ts'

describe('a node', () => {
  it('reads from its log what it does not keep in memory, in order and whole', async () => {
    const mesh = closeAfterTest(await TestMesh.start({ entryCacheBytes: 0 }))
    const client = await mesh.client('n1')
    await client.queue('q').declare()
    await client.queue('q').bind('a')
    const count = 3_000
    const body = (n: number) => ({ n, padding: 'x'.repeat((n % 7) * 500) })
    await Promise.all(Array.from({ length: count }, (_, n) => client.publish('a', body(n))))
    const received: unknown[] = []
    const consumer = await mesh.client('n3')
    await consumer.subscribe('a', (message) => void received.push(message.body), { queue: 'q', prefetch: 500 })
    await eventually(() => received.length === count)
    expect(received).toEqual(Array.from({ length: count }, (_, n) => body(n)))
  })

  it('that holds as much as it may lets its clients wait, and loses nothing', async () => {
    const mesh = closeAfterTest(await TestMesh.start({ gatewayPendingBytesMax: limits.frameBytesMax }))
    const leader = await mesh.leader()
    const client = await mesh.client(mesh.ids.find((id) => id !== leader)!)
    const other = await mesh.client(leader)
    await client.queue('q').declare()
    await client.queue('q').bind('a')
    const body = new Uint8Array(32 * 1024)
    const count = 1_000
    const published = Promise.all(Array.from({ length: count }, () => client.publish('a', body)))
    await other.publish('b', 'small')
    await published
    expect(await client.queue('q').stats({ consistent: true })).toMatchObject({ ready: count })
  })

  it('that holds as much as it may stops reading from clients, whatever they send, until there is room', async () => {
    const options = { gatewayPendingBytesMax: limits.frameBytesMax, leaderlessCloseMs: 60_000 }
    const mesh = closeAfterTest(await TestMesh.start(options))
    const socket = new RawSocket(mesh.url('n1'), '/client')
    const { session, epoch } = await socket.greet()
    await Promise.all(['n2', 'n3'].map((id) => mesh.stopNode(id)))
    // Nothing can be applied now. 48 MiB are more than the buffers of both systems take.
    const count = 192
    for (let sequence = 1; sequence <= count; sequence++) {
      const builder = new PublishFrameBuilder()
      builder.add('a', new Uint8Array(limits.frameBytesTarget))
      socket.send(builder.finish({ group: 0, session, epoch, sequence, seen: 0 }))
    }
    // The node has had many turns to read more, if it did.
    for (let i = 0; i < 100; i++) await statusOf(mesh.url('n1'))
    expect(socket.socket.bufferedAmount).toBeGreaterThan(1024 * 1024)
    await Promise.all(['n2', 'n3'].map((id) => mesh.startNode(id)))
    const confirmed = () => socket.frames.findLast((frame) => frame[0] === FrameKind.confirm)
    await eventually(() => confirmed() !== undefined && decodeConfirmFrame(confirmed()!) === count, {
      withinMs: 20_000,
    })
    socket.socket.terminate()
  })

  it('that has as many connections as it may refuses the next one, and takes it when there is room', async () => {
    const mesh = closeAfterTest(await TestMesh.start({ connectionsMax: 2 }, 1))
    const first = await mesh.client('n1')
    const second = await mesh.client('n1')
    expect(await new RawSocket(mesh.url('n1'), '/client').ended).toMatchObject({ status: 503 })
    await expect(mesh.client('n1', { connectTimeoutMs: 300 })).rejects.toMatchObject({ name: 'MeshError' })
    await first.publish('a', 1)
    await second.close()
    await eventually(async () => (await metricOf(mesh.url('n1'), 'meshmq_connections')) === 1)
    const third = await mesh.client('n1')
    await third.publish('a', 1)
  })
})
