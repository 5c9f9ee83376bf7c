import { rmSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { NodeStatus } from '../../node/index.ts'
import { agreedLeader, get, statusOf } from '../support/admin.ts'
import { eventually } from '../support/eventually.ts'
import { closeAfterTest, TestMesh } from './mesh.ts'

/** Quick elections, so that a change of leaders costs a test little. */
const quick = { heartbeatMs: 30, electionTimeoutMs: 200 }

const startWithSpare = async () => closeAfterTest(await TestMesh.startWithSpares(quick, 3, 1))

interface Changed {
  readonly status: number
  readonly voters?: readonly string[]
  readonly learners?: readonly string[]
  readonly leader?: string
  readonly error?: { readonly code: string; readonly message: string }
}

/** Asks any node, and goes where it sends. */
async function change(mesh: TestMesh, what: string, body: object, asked = mesh.runningUrls[0]!): Promise<Changed> {
  const target = new URL(`/cluster/${what}`, asked.replace(/^ws/, 'http'))
  const headers = { 'content-type': 'application/json', connection: 'close' }
  const response = await fetch(target, { method: 'POST', headers, body: JSON.stringify({ timeoutMs: 8_000, ...body }) })
  return { status: response.status, ...((await response.json()) as object) }
}

function rolesIn({ members }: NodeStatus): Record<string, string> {
  return Object.fromEntries(members.map(({ id, role }) => [id, role]))
}

async function filledQueue(mesh: TestMesh, id: string, count: number): Promise<void> {
  const client = await mesh.client(id)
  await client.queue('q').declare()
  await client.queue('q').bind('a')
  await Promise.all(Array.from({ length: count }, (_, n) => client.publish('a', n)))
}

describe('a node that is no member', () => {
  it('with an empty directory beside a founded cluster disturbs nobody, and serves nobody', async () => {
    const mesh = await startWithSpare()
    const before = await statusOf(mesh.url(await mesh.leader()))
    await mesh.startNode('n4')
    await eventually(async () => (await statusOf(mesh.url('n1'))).members.find(({ id }) => id === 'n4')?.connected)
    await filledQueue(mesh, 'n1', 20)
    const after = await statusOf(mesh.url('n1'))
    expect([after.term, after.leader]).toEqual([before.term, before.leader])
    expect(rolesIn(after)).toEqual({ n1: 'voter', n2: 'voter', n3: 'voter', n4: 'none' })
    expect(await statusOf(mesh.url('n4'))).toMatchObject({ member: 'none', lastIndex: 0, term: 0 })
    expect((await get(mesh.url('n4'), '/readyz')).status).toBe(503)
  })
})

describe('an operator', () => {
  it('adds a node, promotes it, and removes others, the leader too, through whichever node is asked', async () => {
    const mesh = await startWithSpare()
    await filledQueue(mesh, 'n2', 30)
    expect(await change(mesh, 'add', { id: 'n4' })).toMatchObject({ status: 409, error: { code: 'Precondition' } })
    await mesh.startNode('n4')
    // A stranger knows no leader: the members are asked.
    const leads = await agreedLeader(mesh.urls.slice(0, 3))
    await eventually(async () => (await statusOf(mesh.url(leads))).members.at(-1)?.connected)

    for (const asked of mesh.urls.slice(0, 3)) {
      const added = await change(mesh, 'add', { id: 'n4' }, asked)
      if (added.status === 200) expect(added).toMatchObject({ voters: ['n1', 'n2', 'n3'], learners: ['n4'] })
      else expect(added).toMatchObject({ status: 409, error: { message: expect.stringContaining('already') } })
    }
    await mesh.node('n4').ready()
    expect((await statusOf(mesh.url('n4'))).member).toBe('learner')
    expect(await (await mesh.client('n4')).queue('q').stats({ consistent: true })).toMatchObject({ ready: 30 })

    const promoted = await change(mesh, 'promote', { id: 'n4' })
    expect(promoted).toMatchObject({ status: 200, voters: ['n1', 'n2', 'n3', 'n4'], learners: [] })
    await eventually(async () => (await statusOf(mesh.url('n4'))).member === 'voter')

    const leader = await mesh.leader()
    const removed = await change(mesh, 'remove', { id: leader })
    expect(removed).toMatchObject({ status: 200, learners: [] })
    expect(removed.voters).not.toContain(leader)
    await eventually(async () => (await statusOf(mesh.url(leader))).member === 'none')
    const gone = await get(mesh.url(leader), '/readyz')
    expect([gone.status, await gone.json()]).toEqual([503, expect.objectContaining({ status: 'unavailable' })])
    await mesh.stopNode(leader)

    const client = await mesh.clientOf(mesh.runningUrls)
    for (let n = 0; n < 10; n++) await client.publish('a', n)
    await mesh.agreedState()
    expect(await client.queue('q').stats({ consistent: true })).toMatchObject({ ready: 40 })
    expect(await change(mesh, 'remove', { id: leader })).toMatchObject({ status: 404, error: { code: 'NotFound' } })
  })

  it('removes a follower: its clients go elsewhere, and it does not disturb the others', async () => {
    const mesh = closeAfterTest(await TestMesh.start(quick))
    const leader = await mesh.leader()
    const [removed, stays] = mesh.ids.filter((id) => id !== leader) as [string, string]
    const client = await mesh.clientOf([mesh.url(removed), mesh.url(stays)])
    await client.queue('q').declare()
    await client.queue('q').bind('a')
    const { term } = await statusOf(mesh.url(leader))
    expect(await change(mesh, 'remove', { id: removed })).toMatchObject({ status: 200 })
    await eventually(async () => (await statusOf(mesh.url(removed))).sessions === 0)
    for (let n = 0; n < 20; n++) await client.publish('a', n)
    expect((await statusOf(mesh.url(stays))).sessions).toBe(1)
    // Longer than any election timeout.
    const { commitIndex } = await statusOf(mesh.url(leader))
    await eventually(async () => {
      await client.publish('a', 'more')
      return (await statusOf(mesh.url(leader))).commitIndex > commitIndex + 50
    })
    expect(await statusOf(mesh.url(leader))).toMatchObject({ term, role: 'leader' })
  })

  it('hands leadership over, to the one that is named or to any', async () => {
    const mesh = closeAfterTest(await TestMesh.start(quick))
    const leader = await mesh.leader()
    const [to] = mesh.ids.filter((id) => id !== leader) as [string]
    expect(await change(mesh, 'transfer', { to })).toMatchObject({ status: 200, leader: to })
    expect(await mesh.leader()).toBe(to)
    const any = await change(mesh, 'transfer', {})
    expect(any.status).toBe(200)
    expect(any.leader).not.toBe(to)
    expect(await change(mesh, 'transfer', { to: 'n9' })).toMatchObject({ status: 409 })
  })
})

describe('a node that has no address of a member', () => {
  it('lists it without one, and warns, but serves', async () => {
    const mesh = await startWithSpare()
    await mesh.startNode('n4')
    const leads = await agreedLeader(mesh.urls.slice(0, 3))
    await eventually(async () => (await statusOf(mesh.url(leads))).members.at(-1)?.connected)
    expect(await change(mesh, 'add', { id: 'n4' }, mesh.url(leads))).toMatchObject({ status: 200 })

    await mesh.stopNode('n1')
    const warnings: unknown[] = []
    const none = () => {}
    const logger = { debug: none, info: none, error: none, warn: (...said: unknown[]) => void warnings.push(said) }
    const cluster = Object.fromEntries(mesh.ids.slice(0, 3).map((id) => [id, mesh.url(id)]))
    await mesh.startNode('n1', { cluster, logger })
    await mesh.ready()
    const { members } = await statusOf(mesh.url('n1'))
    expect(members.at(-1)).toEqual({ id: 'n4', connected: false, down: false, role: 'learner' })
    expect(members.filter(({ url }) => url !== undefined)).toHaveLength(3)
    const answer = await get(mesh.url('n1'), '/readyz')
    const warning = expect.stringContaining('no address of n4')
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'ok', warnings: [warning] }])
    const told = ['members have no address in the --cluster of this node', { members: ['n4'] }]
    await eventually(() => warnings.some((said) => JSON.stringify(said) === JSON.stringify(told)))
  })
})

describe('a leader that stops in good order', () => {
  it('hands over first: the next one leads the very next term, without an election timeout', async () => {
    const mesh = closeAfterTest(await TestMesh.start({ heartbeatMs: 100, electionTimeoutMs: 4_000 }))
    const leader = await mesh.leader()
    const { term } = await statusOf(mesh.url(leader))
    const rest = mesh.ids.filter((id) => id !== leader)
    const client = await mesh.clientOf(rest.map((id) => mesh.url(id)))
    const startedAt = performance.now()
    const node = mesh.node(leader)
    const stopped = mesh.stopNode(leader)
    const next = await eventually(async () => rest.find((id) => mesh.node(id).status().role === 'leader'))
    expect(performance.now() - startedAt).toBeLessThan(3_000)
    expect((await statusOf(mesh.url(next))).term).toBe(term + 1)
    await client.publish('a', 1)
    await stopped
    // It has followed the next one before it left.
    expect(node.status()).toMatchObject({ role: 'follower', leader: next, term: term + 1 })
  })
})

describe('a node whose directory was wiped', () => {
  it('does not count while no majority is there to take it in, and takes its old place once there is', async () => {
    const mesh = closeAfterTest(await TestMesh.start(quick))
    const leader = await mesh.leader()
    const [wiped, other] = mesh.ids.filter((id) => id !== leader) as [string, string]
    await filledQueue(mesh, leader, 20)
    const { incarnation } = await statusOf(mesh.url(wiped))
    await mesh.stopNode(wiped)
    await mesh.stopNode(other)
    rmSync(mesh.dataDir(wiped), { recursive: true })
    await mesh.startNode(wiped)
    await eventually(async () => (await statusOf(mesh.url(leader))).members.find(({ id }) => id === wiped)?.connected)
    // Its word is not that of the one that it replaced: two of three are there, and that is no majority.
    await eventually(async () => (await statusOf(mesh.url(leader))).role !== 'leader')
    expect((await get(mesh.url(leader), '/readyz')).status).toBe(503)
    expect(await statusOf(mesh.url(wiped))).toMatchObject({ term: 0, appliedIndex: 0, member: 'none' })

    await mesh.startNode(other)
    await mesh.ready()
    await eventually(async () => (await statusOf(mesh.url(wiped))).member === 'voter')
    expect((await statusOf(mesh.url(wiped))).incarnation).not.toBe(incarnation)
    await mesh.agreedState()
    // Now it counts: with it and one more there is a majority.
    await mesh.stopNode(other)
    const client = await mesh.clientOf(mesh.runningUrls)
    await client.publish('a', 'still here')
    expect(await client.queue('q').stats({ consistent: true })).toMatchObject({ ready: 21 })
  })
})
