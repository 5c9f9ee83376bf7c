import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { metricOf } from '../support/admin.ts'
import { eventually } from '../support/eventually.ts'
import { closeAfterTest, TestMesh } from './mesh.ts'

let mesh: TestMesh

beforeAll(async () => {
  mesh = await TestMesh.start()
})

afterAll(() => mesh.close())

describe('a client of an embedded node', () => {
  it('does all that others do, with them', async () => {
    const inside = closeAfterTest(await mesh.node('n1').connect())
    const outside = await mesh.client('n2')
    const received: unknown[] = []
    await inside.subscribe('a.#', ({ body }) => void received.push(body), { queue: 'in' })
    await outside.subscribe('a.#', ({ body }) => void received.push(body), { queue: 'out' })
    await inside.publish('a.in', { from: 'inside' })
    await outside.publish('a.out', { from: 'outside' })
    await eventually(() => received.length === 4)
    await inside.respond('ping', () => 'inside')
    expect((await outside.request('ping', 1)).body).toBe('inside')
    await outside.respond('pong', () => 'outside')
    expect((await inside.request('pong', 1)).body).toBe('outside')
    expect(await inside.queue('out').stats({ consistent: true })).toMatchObject({ ready: 0 })
  })

  it('needs no token, since it is in the process that holds them', async () => {
    const guarded = closeAfterTest(await TestMesh.start({ tokens: ['secret'] }, 1))
    const inside = closeAfterTest(await guarded.node('n1').connect())
    await inside.publish('a', 1)
  })

  it('takes bodies by value: what the caller changes later does not travel', async () => {
    const inside = closeAfterTest(await mesh.node('n3').connect())
    const bytes = new Uint8Array(300_000).fill(1)
    const received: Uint8Array[] = []
    await inside.subscribe('bytes', ({ body }) => void received.push(body as Uint8Array), { queue: 'bytes' })
    const published = inside.publish('bytes', bytes)
    await published
    bytes.fill(2)
    await eventually(() => received.length === 1)
    expect(received[0]!.every((byte) => byte === 1)).toBe(true)
  })

  it('is counted like others, and its session ends with it', async () => {
    const url = mesh.url('n2')
    const before = await metricOf(url, 'meshmq_connections')
    const inside = await mesh.node('n2').connect()
    expect(await metricOf(url, 'meshmq_connections')).toBe(before + 1)
    await inside.close()
    await eventually(async () => (await metricOf(url, 'meshmq_connections')) === before)
  })

  it('is told that it is over when its node stops', async () => {
    const own = closeAfterTest(await TestMesh.start({}, 1))
    const inside = await own.node('n1').connect()
    await own.stopNode('n1')
    await expect(inside.publish('a', 1, { timeoutMs: 500 })).rejects.toMatchObject({ name: 'MeshError' })
    await inside.close()
  })
})
