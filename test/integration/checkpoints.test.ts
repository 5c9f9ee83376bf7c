import { readdirSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Client } from '../../client/index.ts'
import { metricOf, statusOf } from '../support/admin.ts'
import { eventually } from '../support/eventually.ts'
import { closeAfterTest, TestMesh } from './mesh.ts'

const MIB = 1024 * 1024

/** Small enough that a few megabytes of log make checkpoints, and let segments go. */
const small = {
  heartbeatMs: 30,
  electionTimeoutMs: 200,
  checkpointBytes: MIB,
  trailingLogBytesMax: MIB / 2,
  segmentBytes: 2 * MIB,
  entryCacheBytes: MIB,
}

const BODY = 'x'.repeat(1_000)

/** Bytes of the log's files. */
function logBytes(mesh: TestMesh, id: string): number {
  const folder = path.join(mesh.dataDir(id), 'wal')
  return readdirSync(folder).reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0)
}

async function makeQueue(client: Client, name: string, topic: string): Promise<void> {
  await client.queue(name).declare()
  await client.queue(name).bind(topic)
}

/** Publishes numbered messages of about a kilobyte, from `from` on. */
async function publish(client: Client, topic: string, from: number, count: number): Promise<void> {
  for (let n = from; n < from + count; n += 500) {
    const some = Array.from({ length: Math.min(500, from + count - n) }, (_, i) => n + i)
    await Promise.all(some.map((number) => client.publish(topic, { number, BODY })))
  }
}

/** Takes everything out of a queue, in the order in which it comes. */
async function consume(client: Client, queue: string, topic: string, count: number): Promise<number[]> {
  const numbers: number[] = []
  const take = ({ body }: { readonly body: unknown }) => void numbers.push((body as { number: number }).number)
  const subscription = await client.subscribe(topic, take, { queue })
  await eventually(() => numbers.length >= count, { withinMs: 20_000, what: `${count} messages of ${queue}` })
  await subscription.close()
  return numbers
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

describe('checkpoints under load', () => {
  it('keep the disk bounded while messages come and go, and an old message that nobody takes is kept', async () => {
    const mesh = closeAfterTest(await TestMesh.start(small))
    const client = await mesh.client('n1')
    await makeQueue(client, 'old', 'old')
    await publish(client, 'old', 0, 5)
    let received = 0
    await client.subscribe('flow', () => void received++, { queue: 'flow', prefetch: 1_000 })
    for (let round = 0; round < 12; round++) {
      await publish(client, 'flow', round * 2_000, 2_000)
      await eventually(() => received === (round + 1) * 2_000)
      // A paced compaction may be some segments behind on a busy machine, never for long.
      await eventually(() => mesh.ids.every((id) => logBytes(mesh, id) < 10 * MIB))
    }
    // 24 MB went through it.
    for (const id of mesh.ids) {
      const status = await statusOf(mesh.url(id))
      expect(status.checkpointIndex).toBeGreaterThan(0)
      expect(status.firstIndex).toBeGreaterThan(1)
      expect(await metricOf(mesh.url(id), 'meshmq_checkpoints_total')).toBeGreaterThan(5)
    }
    expect(await consume(client, 'old', 'old', 5)).toEqual(upTo(5))
    await mesh.agreedState()
  })

  it('bring all nodes back when they are stopped at once, with everything that was in queues', async () => {
    const mesh = closeAfterTest(await TestMesh.start(small))
    const client = await mesh.clientOf()
    await makeQueue(client, 'q', 'a')
    await publish(client, 'a', 0, 6_000)
    const before = await mesh.agreedState()
    expect(before).toBeTruthy()
    await client.close()
    await Promise.all(mesh.ids.map((id) => mesh.stopNode(id)))
    await Promise.all(mesh.ids.map((id) => mesh.startNode(id)))
    await mesh.ready()
    for (const id of mesh.ids) expect((await statusOf(mesh.url(id))).checkpointIndex).toBeGreaterThan(0)
    await mesh.agreedState()
    expect(await consume(await mesh.client('n2'), 'q', 'a', 6_000)).toEqual(upTo(6_000))
  })
})

describe("a follower that was away for longer than the leader's log goes back", () => {
  it('installs the checkpoint with its bodies under load, and counts and serves again', async () => {
    const mesh = closeAfterTest(await TestMesh.start(small))
    const leader = await mesh.leader()
    const [away, stays] = mesh.ids.filter((id) => id !== leader) as [string, string]
    const client = await mesh.clientOf([mesh.url(stays), mesh.url(leader)])
    await makeQueue(client, 'q', 'a')
    await publish(client, 'a', 0, 1_000)
    await mesh.stopNode(away)
    const { lastIndex } = await statusOf(mesh.url(leader))
    await publish(client, 'a', 1_000, 5_000)
    await eventually(async () => (await statusOf(mesh.url(leader))).firstIndex > lastIndex + 1)

    let loaded = 6_000
    let loading = true
    const load = (async () => {
      for (; loading; loaded += 100) await publish(client, 'a', loaded, 100)
    })()
    await mesh.startNode(away)
    await eventually(async () => (await metricOf(mesh.url(away), 'meshmq_installs_total')) > 0, { withinMs: 20_000 })
    await mesh.node(away).ready()
    loading = false
    await load
    await mesh.agreedState()
    // It counts: with it alone the leader has a majority. And it serves, with bodies that came by the install.
    await mesh.stopNode(stays)
    const other = await mesh.client(away)
    await publish(other, 'a', loaded, 1)
    expect(await consume(other, 'q', 'a', loaded + 1)).toEqual(upTo(loaded + 1))
    expect(await metricOf(mesh.url(away), 'meshmq_bodies_missing')).toBe(0)
  })

  it('comes back though the leader changes in the middle of the install', async () => {
    const mesh = closeAfterTest(await TestMesh.start(small))
    const leader = await mesh.leader()
    const [away, stays] = mesh.ids.filter((id) => id !== leader) as [string, string]
    const client = await mesh.clientOf([mesh.url(stays), mesh.url(leader)])
    await makeQueue(client, 'q', 'a')
    await mesh.stopNode(away)
    const { lastIndex } = await statusOf(mesh.url(leader))
    await publish(client, 'a', 0, 8_000)
    for (const id of [leader, stays]) {
      await eventually(async () => (await statusOf(mesh.url(id))).firstIndex > lastIndex + 1)
    }
    await mesh.startNode(away)
    await eventually(async () => (await statusOf(mesh.url(away))).installing, { what: 'the install has begun' })
    await mesh.stopNode(leader)
    await mesh.node(away).ready()
    await mesh.startNode(leader)
    await mesh.ready()
    await mesh.agreedState()
    expect(await consume(await mesh.client(away), 'q', 'a', 8_000)).toEqual(upTo(8_000))
  })

  it('comes back by an install when its directory was wiped, and counts and serves', async () => {
    const mesh = closeAfterTest(await TestMesh.start(small))
    const leader = await mesh.leader()
    const [away, stays] = mesh.ids.filter((id) => id !== leader) as [string, string]
    const client = await mesh.clientOf([mesh.url(stays), mesh.url(leader)])
    await makeQueue(client, 'q', 'a')
    await mesh.stopNode(away)
    rmSync(mesh.dataDir(away), { recursive: true })
    await publish(client, 'a', 0, 4_000)
    await eventually(async () => (await statusOf(mesh.url(leader))).firstIndex > 1)
    // Wiped: it comes back as a learner by an install, and takes its place again.
    await mesh.startNode(away)
    await eventually(async () => (await statusOf(mesh.url(away))).member === 'voter', { withinMs: 20_000 })
    await mesh.agreedState()
    await mesh.stopNode(stays)
    expect(await consume(await mesh.client(away), 'q', 'a', 4_000)).toEqual(upTo(4_000))
  })
})
