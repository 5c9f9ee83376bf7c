/** A cluster of real node processes behind proxies: what faults can do to it, and what it tells of them. */
import { readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Client, connect } from '../../../client/index.ts'
import { Cluster, type ClusterOptions } from '../../../jepsen-lite/cluster/cluster.ts'
import { seeded } from '../../../jepsen-lite/random.ts'
import { packedBin, packMeshmq } from '../../proof/packed.ts'
import { get, type statusOf } from '../../support/admin.ts'
import { eventually } from '../../support/eventually.ts'
import { realDiskFolder } from '../../support/place.ts'

/** Users' own settings: with tokens, so that everything that asks a node has to show one. */
const nodeOptions = { tokens: ['open-sesame'], leaderlessCloseMs: 1_000, listen: '127.0.0.1:1', heartbeatMs: 50 }

const folder = realDiskFolder()
let cluster: Cluster
let client: Client

beforeAll(async () => {
  await packMeshmq()
  const options: ClusterOptions = { nodes: 3, folder, bin: packedBin(), nodeOptions, random: seeded(Date.now()) }
  cluster = await Cluster.start(options)
  client = await connect({ ...cluster.connectOptions })
}, 240_000)

afterAll(async () => {
  await client?.close()
  await cluster?.shutDown()
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

function configOf(node: string): Record<string, unknown> & { cluster: Record<string, string> } {
  return JSON.parse(readFileSync(path.join(folder, `${node}.json`), 'utf8'))
}

/** Of the node itself, not a proxy. */
function urlOf(node: string): string {
  return configOf(node).cluster[node]!
}

/** What a node tells of another. */
async function seenBy(node: string, other: string): Promise<{ connected: boolean; down: boolean }> {
  const headers = { authorization: `Bearer ${nodeOptions.tokens[0]}` }
  const response = await get(urlOf(node), '/status?stateHash=0', headers)
  const { members } = (await response.json()) as Awaited<ReturnType<typeof statusOf>>
  return members.find(({ id }) => id === other)!
}

async function leaderOf(target: Cluster): Promise<string> {
  return eventually(() => target.leader(), { what: 'somebody leads' })
}

function othersOf(node: string): string[] {
  return cluster.nodes.filter((other) => other !== node)
}

/** Everything as before, for the next test. */
async function heal(): Promise<void> {
  expect(await cluster.heal(20_000)).toBeUndefined()
  expect(await cluster.agree(10_000)).toMatchObject({ ok: true })
}

it('gives every node the proxies in front of the others, and its users their own settings but for what it decides', () => {
  const urls = cluster.nodes.map(urlOf)
  for (const node of cluster.nodes) {
    const { cluster: members, heartbeatMs, tokens, listen } = configOf(node)
    expect(Object.keys(members)).toEqual(cluster.nodes)
    for (const other of othersOf(node)) expect(urls).not.toContain(members[other])
    expect({ heartbeatMs, tokens }).toEqual({ heartbeatMs: 50, tokens: nodeOptions.tokens })
    expect(`ws://${listen}`).toBe(urlOf(node))
  }
  expect(new Set([...urls, ...cluster.clientUrls]).size).toBe(6)
})

it('leaves clients no way around the proxies', async () => {
  const { clients } = cluster.links
  // A client that has been connected knows whatever the nodes have told it.
  await client.publish('somewhere', 'before')
  const ends = await Promise.all(
    cluster.nodes.map((node) => cluster.links.impair(clients, node, { type: 'blackhole' })),
  )
  const before = cluster.links.bytesDropped
  let isPublished = false
  const published = client.publish('somewhere', 'through').then(() => (isPublished = true))
  await eventually(() => cluster.links.bytesDropped > before, { what: 'the publish is lost' })
  expect(await cluster.ready('n1', 5_000)).toBe(true)
  expect(isPublished).toBe(false)
  for (const end of ends) end()
  await published
  await heal()
})

it('takes a leader off who is cut off in one direction or another, though no node can know that it was cut off', async () => {
  const leader = await leaderOf(cluster)
  const before = cluster.evidence()
  for (const other of othersOf(leader)) cluster.links.impair(leader, other, { type: 'blackhole' })
  await eventually(async () => (await leaderOf(cluster)) !== leader, { what: 'another one leads' })
  await client.publish('somewhere', 'to the new leader')
  await eventually(() => cluster.evidence().elections! > before.elections!, { what: 'the election is counted' })
  expect(cluster.evidence().bytesDropped).toBeGreaterThan(before.bytesDropped!)
  // Cut off, not dead: the others were not refused.
  for (const other of othersOf(leader)) expect((await seenBy(other, leader)).down).toBe(false)
  await heal()
})

it('kills a node so that the others see a dead process behind the proxies, and starts it again', async () => {
  const leader = await leaderOf(cluster)
  expect(await cluster.kill(leader)).toBe(true)
  expect([await cluster.kill(leader), cluster.isRunning(leader)]).toEqual([false, false])
  for (const other of othersOf(leader)) {
    await eventually(async () => (await seenBy(other, leader)).down, { what: `${other} sees ${leader} down` })
  }
  expect(await cluster.leader()).not.toBe(leader)
  expect(await cluster.ready(leader, 0)).toBe(false)
  await cluster.start(leader)
  expect(await cluster.ready(leader, 20_000)).toBe(true)
  await heal()
  expect(cluster.crashes).toEqual([])
})

it('lets a node go on when the last of its pauses is over', async () => {
  cluster.pause('n2')
  cluster.pause('n2')
  cluster.resume('n2')
  expect(await cluster.ready('n2', 0)).toBe(false)
  cluster.resume('n2')
  expect(await cluster.ready('n2', 20_000)).toBe(true)
  await heal()
})

it('starts nobody while files are worked on', async () => {
  const steps: string[] = []
  let started: Promise<void> | undefined
  const worked = cluster.whileDown('n3', async () => {
    started = cluster.start('n3').then(() => void steps.push('started'))
    expect(await cluster.ready('n3', 300)).toBe(false)
    steps.push('worked')
    return 'done'
  })
  expect(await worked).toBe('done')
  await started
  expect(steps).toEqual(['worked', 'started'])
  await heal()
})

it('hears from a node what time it has, and what it counts', async () => {
  const time = await cluster.timeOf('n1')
  expect(Math.abs(time! - Date.now())).toBeLessThan(3_000)
  expect([await cluster.metric('n1', 'meshmq_disk_full'), await cluster.metric('n1', 'nonsense')]).toEqual([
    0,
    undefined,
  ])
})

it('stops a node in good order, and runs the CLI of users', async () => {
  await cluster.stop('n2')
  expect(cluster.isRunning('n2')).toBe(false)
  const { code, stdout } = await cluster.cli(['cluster', 'status', '--json'])
  expect([code, JSON.parse(stdout).leader]).toEqual([0, await leaderOf(cluster)])
  expect((await cluster.cli(['cluster', 'promote', 'nobody'])).code).toBe(1)
  await heal()
})

it('tells of a node that ended by itself, unless that was expected', async () => {
  const endFromOutside = (node: string) => {
    const lives = readFileSync(path.join(folder, `${node}.log`), 'utf8').matchAll(
      /started by the harness as process (\d+)/g,
    )
    process.kill(Number([...lives].at(-1)![1]), 'SIGKILL')
  }
  const expected = cluster.expectEnd('n2', { codes: [], signals: ['SIGKILL'] })
  endFromOutside('n2')
  await eventually(() => !cluster.isRunning('n2'), { what: 'n2 is gone' })
  expect(cluster.crashes).toEqual([])
  await heal()
  expect(expected.count).toBe(1)
  expected.over()
  endFromOutside('n2')
  await eventually(() => !cluster.isRunning('n2'), { what: 'n2 is gone again' })
  const [crash, ...more] = cluster.crashes
  expect(crash).toMatchObject({ type: 'crashed', node: 'n2', ending: 'ended by itself with SIGKILL' })
  expect(crash!.output).toContain('role=')
  expect(more).toEqual([])
  await heal()
})
