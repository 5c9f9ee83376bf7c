import { describe, expect, it } from 'vitest'
import { startNode } from '../../node/index.ts'
import { get, metricOf, statusOf } from '../support/admin.ts'
import { eventually } from '../support/eventually.ts'
import { freePorts } from '../support/place.ts'
import { closeAfterTest, TestMesh } from './mesh.ts'

async function start(...given: Parameters<typeof TestMesh.start>): Promise<TestMesh> {
  return closeAfterTest(await TestMesh.start(...given))
}

/** Status code and body of one of the probes. */
async function probe(mesh: TestMesh, id: string, path: string): Promise<[number, unknown]> {
  const response = await get(mesh.url(id), path)
  return [response.status, await response.json()]
}

describe('a new cluster', () => {
  it('waits for every listed member, in whatever order they come, and then serves on each', async () => {
    const mesh = closeAfterTest(await TestMesh.prepare())
    await mesh.startNode('n3')
    expect(await probe(mesh, 'n3', '/healthz')).toEqual([200, { status: 'ok' }])
    expect(await probe(mesh, 'n3', '/readyz')).toEqual([503, { status: 'unavailable', reason: 'no leader is known' }])
    await expect(mesh.client('n3', { connectTimeoutMs: 300 })).rejects.toMatchObject({ name: 'MeshError' })
    await mesh.startNode('n1')
    await eventually(async () => (await statusOf(mesh.url('n1'))).members.find(({ id }) => id === 'n3')?.connected)
    // Two of three know each other, and neither starts a cluster that the third might have started with somebody else.
    expect(await statusOf(mesh.url('n1'))).toMatchObject({ term: 0, lastIndex: 0 })
    await mesh.startNode('n2')
    await mesh.ready()
    for (const id of mesh.ids) {
      expect(await probe(mesh, id, '/readyz')).toEqual([200, { status: 'ok' }])
      const client = await mesh.client(id)
      await client.publish('hello', id)
    }
    const told = await Promise.all(mesh.urls.map((url) => statusOf(url)))
    expect(new Set(told.map(({ clusterId }) => clusterId)).size).toBe(1)
    expect(new Set(told.map(({ incarnation }) => incarnation)).size).toBe(3)
    expect(told.filter(({ role }) => role === 'leader')).toHaveLength(1)
  })

  it('of one node needs nobody', async () => {
    const mesh = await start({}, 1)
    const client = await mesh.client('n1')
    await client.queue('q').declare()
    await client.queue('q').bind('a')
    await client.publish('a', 1)
    await mesh.stopNode('n1')
    await mesh.startNode('n1')
    await mesh.ready()
    const again = await mesh.client('n1')
    expect(await again.queue('q').stats({ consistent: true })).toMatchObject({ ready: 1 })
  })
})

describe('what nodes tell', () => {
  it('is the same index, the same state and the same counts on each, once they are quiet', async () => {
    const mesh = await start()
    const client = await mesh.client('n2')
    let received = 0
    await client.subscribe('a.#', () => void received++, { queue: 'q' })
    await Promise.all(Array.from({ length: 200 }, (_, n) => client.publish(`a.${n % 7}`, n)))
    await eventually(() => received === 200)
    await eventually(async () => (await metricOf(mesh.url('n2'), 'meshmq_messages_acknowledged_total')) === 200)
    await mesh.agreedState()
    for (const url of mesh.urls) {
      expect(await metricOf(url, 'meshmq_messages_published_total')).toBe(200)
      expect(await metricOf(url, 'meshmq_messages_acknowledged_total')).toBe(200)
      expect(await metricOf(url, 'meshmq_wal_sync_duration_seconds_count')).toBeGreaterThan(0)
    }
    const leader = await mesh.leader()
    for (const id of mesh.ids) {
      expect(await metricOf(mesh.url(id), 'meshmq_raft_is_leader')).toBe(id === leader ? 1 : 0)
      expect(await metricOf(mesh.url(id), 'meshmq_connections')).toBe(id === 'n2' ? 1 : 0)
    }
    // The hash can tell states apart.
    const before = await mesh.agreedState()
    await client.publish('a.b', 'one more')
    expect(await mesh.agreedState()).not.toBe(before)
  })
})

describe('a node that stops', () => {
  it('in good order leaves the rest a leader soon, and catches up when it is back', async () => {
    const mesh = await start()
    const leader = await mesh.leader()
    const rest = mesh.ids.filter((id) => id !== leader)
    const client = await mesh.client(rest[0]!)
    await client.queue('q').declare()
    await client.queue('q').bind('a')
    await client.publish('a', 0)
    await mesh.stopNode(leader)
    await expect(get(mesh.url(leader), '/healthz')).rejects.toThrow()
    for (let n = 1; n <= 100; n++) await client.publish('a', n)
    expect(rest).toContain(await mesh.leader())
    await mesh.startNode(leader)
    await mesh.ready()
    await mesh.agreedState()
    const back = await mesh.client(leader)
    expect(await back.queue('q').stats({ consistent: true })).toMatchObject({ ready: 101 })
  })

  it('can be stopped twice, and before it was ever ready', async () => {
    const mesh = closeAfterTest(await TestMesh.prepare())
    const node = await mesh.startNode('n1')
    const ready = expect(node.ready()).rejects.toMatchObject({ code: 'Closed' })
    await Promise.all([node.stop(), node.stop()])
    await ready
    await mesh.stopNode('n1')
  })

  it('all together come back with everything', async () => {
    const mesh = await start()
    const client = await mesh.clientOf()
    await client.queue('q').declare()
    await client.queue('q').bind('a')
    for (let n = 1; n <= 50; n++) await client.publish('a', n)
    await client.close()
    await Promise.all(mesh.ids.map((id) => mesh.stopNode(id)))
    for (const id of mesh.ids) await mesh.startNode(id)
    await mesh.ready()
    const bodies: unknown[] = []
    await (await mesh.client('n3')).subscribe('a', ({ body }) => void bodies.push(body), { queue: 'q' })
    await eventually(() => bodies.length === 50)
    expect(bodies).toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
    await mesh.agreedState()
  })
})

describe('peers', () => {
  it.each([
    ['another secret', { secret: 'not-ours' }],
    ['another cluster name', { clusterName: 'elsewhere' }],
  ])('with %s are kept out, and the others go on', async (_, foreign) => {
    const mesh = await start({ secret: 'ours' })
    const leader = await mesh.leader()
    const [stranger, other] = mesh.ids.filter((id) => id !== leader) as [string, string]
    await mesh.stopNode(stranger)
    const warnings: string[] = []
    const note = (message: string, fields?: object) => void warnings.push(`${message} ${JSON.stringify(fields)}`)
    await mesh.startNode(stranger, { ...foreign, logger: { debug() {}, info() {}, warn: note, error: note } })
    await eventually(() => warnings.length > 0)
    const client = await mesh.client(other)
    for (let n = 1; n <= 20; n++) await client.publish('a', n)
    for (const id of [leader, other]) {
      const { members } = await statusOf(mesh.url(id))
      expect(members.find((member) => member.id === stranger)).toMatchObject({ connected: false })
    }
    expect((await probe(mesh, stranger, '/readyz'))[0]).toBe(503)
    await mesh.stopNode(stranger)
    await mesh.startNode(stranger)
    await mesh.ready()
    await mesh.agreedState()
  })

  it('of the same directory run once: the second is told, the first goes on', async () => {
    const mesh = await start({}, 1)
    const [port] = await freePorts(1)
    const elsewhere = { listen: `127.0.0.1:${port}`, cluster: { n1: `ws://127.0.0.1:${port}` } }
    const second = startNode({ id: 'n1', dataDir: mesh.dataDir('n1'), logger: false, ...elsewhere })
    await expect(second).rejects.toMatchObject({ code: 'DirectoryInUse' })
    await (await mesh.client('n1')).publish('a', 1)
  })

  it('of the same id run once: the port is taken, and said so', async () => {
    const mesh = await start({}, 1)
    const second = mesh.startNode('n1', { dataDir: `${mesh.dataDir('n1')}-second` })
    await expect(second).rejects.toMatchObject({ code: 'Precondition', message: expect.stringContaining('in use') })
  })
})
