/**
 * Data directories that come where they do not belong: one that was replaced, one of another cluster, one that is taken away while it is
 * taken in.
 */
import { renameSync, rmSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Logger } from '../../node/index.ts'
import { get, statusOf } from '../support/admin.ts'
import { eventually } from '../support/eventually.ts'
import { closeAfterTest, TestMesh } from './mesh.ts'

interface Line {
  readonly text: string
  readonly fields: Record<string, unknown>
}

/** A logger, and the warnings that it was given. */
function listening(): { readonly warnings: Line[]; readonly logger: Logger } {
  const warnings: Line[] = []
  const none = () => {}
  return {
    warnings,
    logger: { debug: none, info: none, error: none, warn: (text, fields = {}) => void warnings.push({ text, fields }) },
  }
}

const quick = { heartbeatMs: 30, electionTimeoutMs: 200 }

const TURNED_AWAY = 'a directory that was replaced comes back, and is turned away'

async function roleOf(mesh: TestMesh, asked: string, id: string): Promise<string | undefined> {
  return (await statusOf(mesh.url(asked))).members.find((member) => member.id === id)?.role
}

async function isLinked(mesh: TestMesh, asked: string, id: string): Promise<boolean> {
  return (await statusOf(mesh.url(asked))).members.find((member) => member.id === id)?.connected === true
}

describe('a directory that another one has replaced', () => {
  it('is refused when it comes back: its node stops and says why, and the newer one goes on', async () => {
    const { logger, warnings } = listening()
    const mesh = closeAfterTest(await TestMesh.start({ ...quick, logger }))
    const leader = await mesh.leader()
    const [id, other] = mesh.ids.filter((each) => each !== leader) as [string, string]
    const directory = mesh.dataDir(id)
    await mesh.stopNode(id)
    renameSync(directory, `${directory}-old`)
    await mesh.startNode(id)
    await eventually(async () => (await statusOf(mesh.url(id))).member === 'voter')
    const { incarnation } = await statusOf(mesh.url(id))
    await mesh.stopNode(id)
    renameSync(directory, `${directory}-new`)
    renameSync(`${directory}-old`, directory)
    const { term } = await statusOf(mesh.url(leader))

    const old = await mesh.startNode(id)
    await expect(old.failed).rejects.toMatchObject({
      code: 'Precondition',
      message: expect.stringContaining(
        `was replaced: to its cluster, node '${id}' is the directory ${incarnation} now`,
      ),
    })
    await mesh.stopNode(id)
    expect(warnings.filter(({ text }) => text === TURNED_AWAY)).toMatchObject([
      { fields: { peer: id, replacedBy: incarnation } },
    ])
    // It disturbed nobody, and is in nobody's list.
    expect(await statusOf(mesh.url(leader))).toMatchObject({ term, role: 'leader' })
    expect(await roleOf(mesh, leader, id)).toBe('voter')

    rmSync(directory, { recursive: true })
    renameSync(`${directory}-new`, directory)
    await mesh.startNode(id)
    await mesh.ready()
    expect((await statusOf(mesh.url(id))).member).toBe('voter')
    await mesh.stopNode(other)
    const client = await mesh.client(id)
    await client.publish('a', 'it counts')
  })

  it('is taken in once it was emptied, again and again', async () => {
    const mesh = closeAfterTest(await TestMesh.start(quick))
    const leader = await mesh.leader()
    const [id] = mesh.ids.filter((each) => each !== leader) as [string]
    for (let round = 0; round < 2; round++) {
      const { incarnation } = await statusOf(mesh.url(id))
      await mesh.stopNode(id)
      rmSync(mesh.dataDir(id), { recursive: true })
      await mesh.startNode(id)
      await eventually(async () => (await statusOf(mesh.url(id))).member === 'voter')
      expect((await statusOf(mesh.url(id))).incarnation).not.toBe(incarnation)
    }
    await mesh.agreedState()
  })
})

describe('a fresh directory', () => {
  it('becomes a voter though its node stops each time that it comes one step further', async () => {
    const mesh = closeAfterTest(await TestMesh.start(quick))
    const leader = await mesh.leader()
    const [id] = mesh.ids.filter((each) => each !== leader) as [string]
    await mesh.stopNode(id)
    rmSync(mesh.dataDir(id), { recursive: true })
    const leads = mesh.node(leader)
    const incarnations = new Set<string>()
    const steps = [
      // Listed, and perhaps holding nothing.
      () => leads.status().members.some((member) => member.id === id && member.progress?.matchIndex === 0),
      () => mesh.node(id).status().appliedIndex > 0,
      () => mesh.node(id).status().member === 'learner',
    ]
    for (const step of steps) {
      await mesh.startNode(id)
      await eventually(() => step() || mesh.node(id).status().member === 'voter')
      incarnations.add(mesh.node(id).status().incarnation)
      await mesh.stopNode(id)
    }
    await mesh.startNode(id)
    await eventually(() => mesh.node(id).status().member === 'voter')
    expect(incarnations.size).toBe(1)
    await mesh.agreedState()
  })
})

describe('a directory of another cluster with the same name and secret', () => {
  it('gets no link to those who know that they are of another one, however it came to know its own', async () => {
    const { logger, warnings } = listening()
    const mesh = closeAfterTest(await TestMesh.startWithSpares({ ...quick, logger }, 3, 2))
    // n5 is a cluster of its own.
    await mesh.startNode('n5', { cluster: { n5: mesh.url('n5') } })
    await mesh.node('n5').ready()
    await mesh.stopNode('n5')
    await mesh.startNode('n5')
    await mesh.node('n5').ready()
    const told = /peer 'n5' belongs to another cluster of this name/
    await eventually(() => warnings.some(({ fields }) => told.test(String(fields.error))))
    for (const id of mesh.ids.slice(0, 3)) expect(await isLinked(mesh, id, 'n5')).toBe(false)
    expect((await get(mesh.url('n1'), '/readyz')).status).toBe(200)

    // n4 knows no cluster yet: it may talk to all, until it belongs to one of them.
    await mesh.startNode('n4')
    await eventually(async () => (await isLinked(mesh, 'n4', 'n5')) && (await isLinked(mesh, 'n5', 'n4')))
    const leads = mesh.ids.slice(0, 3).find((id) => mesh.node(id).status().role === 'leader')!
    await eventually(() => isLinked(mesh, leads, 'n4'))
    const answer = await fetch(new URL('/cluster/add', mesh.url(leads).replace(/^ws/, 'http')), {
      method: 'POST',
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify({ id: 'n4', timeoutMs: 8_000 }),
    })
    expect(answer.status).toBe(200)
    await eventually(async () => (await statusOf(mesh.url('n4'))).member === 'learner')
    await eventually(async () => !(await isLinked(mesh, 'n4', 'n5')) && !(await isLinked(mesh, 'n5', 'n4')))
    expect((await statusOf(mesh.url('n4'))).clusterId).not.toBe((await statusOf(mesh.url('n5'))).clusterId)
  })
})
