import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import {
  type AdminOptions,
  type AdminSource,
  createAdminHandler,
  NodeMetrics,
  type NodeStatus,
} from '../../node/admin/index.ts'
import { QUEUE_SERIES_MAX } from '../../node/admin/metrics.ts'
import type { QueueMetrics, Verdict } from '../../node/admin/source.ts'
import { eventually } from '../support/eventually.ts'

const status: NodeStatus = {
  node: 'n1',
  version: '1.2.3',
  clusterName: 'meshmq',
  clusterId: 'c-1',
  incarnation: 'i-1',
  bootId: 4,
  role: 'leader',
  term: 3,
  leader: 'n1',
  commitIndex: 12,
  appliedIndex: 11,
  lastIndex: 13,
  firstIndex: 5,
  checkpointIndex: 9,
  member: 'voter',
  doubt: 0,
  missingBodies: 0,
  diskFull: false,
  machineTimeMs: 9_000,
  members: [{ id: 'n1', url: 'ws://127.0.0.1:7101', connected: true, down: false, role: 'voter' }],
  sessions: 2,
  queues: 1,
}

class HandMadeSource implements AdminSource {
  queues: QueueMetrics[] = [{ queue: 'billing', ready: 5, unsettled: 2, consumers: 1 }]
  well: Verdict = { ok: true }
  serving: Verdict = { ok: true }
  hashesTaken = 0

  healthy() {
    return this.well
  }

  ready() {
    return this.serving
  }

  status(wants: { stateHash?: boolean } = {}) {
    if (wants.stateHash !== true) return status
    this.hashesTaken += 1
    return { ...status, stateHash: 'abc' }
  }

  metrics() {
    const raft = {
      group: 0,
      incarnation: 1,
      term: 3,
      commitIndex: 12,
      appliedIndex: 11,
      isLeader: true,
      electionsTotal: 2,
      isVoter: true,
      firstIndex: 5,
      checkpointIndex: 9,
      doubt: 0,
      peers: [{ id: 'n2', lagEntries: 3 }],
    }
    const storage = {
      segments: 2,
      checkpointBytes: 1_000,
      checkpointsTotal: 4,
      installsTotal: 1,
      missingBodies: 0,
      repairedBodiesTotal: 6,
      diskFreeBytes: 5_000,
      diskFull: false,
    }
    const totals = {
      published: 100,
      routedCopies: 150,
      unroutable: 1,
      delivered: 90,
      redelivered: 4,
      acked: 80,
      released: 3,
      rejected: 2,
    }
    return { raft: [raft], storage, queues: this.queues, totals, connections: 7 }
  }
}

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve))
})

async function serve(source: AdminSource, options?: AdminOptions) {
  const server = createServer(createAdminHandler(source, options))
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const ask = (path: string, init: { method?: string; headers?: Record<string, string> } = {}) =>
    new Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: string }>((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, path, agent: false, ...init }, async (response) => {
        const chunks: Buffer[] = []
        for await (const chunk of response) chunks.push(chunk)
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() })
      })
      asked.on('error', reject).end()
    })
  return ask
}

describe('the probes', () => {
  it('answer 200 while all is well', async () => {
    const ask = await serve(new HandMadeSource())
    for (const path of ['/livez', '/healthz', '/readyz']) {
      const answer = await ask(path)
      expect([path, answer.status, JSON.parse(answer.body)]).toEqual([path, 200, { status: 'ok' }])
    }
  })

  it('answer 503 with the reason, each for itself', async () => {
    const source = new HandMadeSource()
    source.serving = { ok: false, reason: 'no leader is known' }
    const ask = await serve(source)
    expect((await ask('/healthz')).status).toBe(200)
    const ready = await ask('/readyz')
    expect(ready.status).toBe(503)
    expect(JSON.parse(ready.body)).toEqual({ status: 'unavailable', reason: 'no leader is known' })

    source.well = { ok: false, reason: 'stopping' }
    expect((await ask('/healthz')).status).toBe(503)
    expect((await ask('/livez')).status).toBe(200)
  })

  it('tell warnings whether or not the node serves', async () => {
    const source = new HandMadeSource()
    const ask = await serve(source)
    source.serving = { ok: true, warnings: ['in doubt'] }
    const ready = await ask('/readyz')
    expect([ready.status, JSON.parse(ready.body)]).toEqual([200, { status: 'ok', warnings: ['in doubt'] }])
    source.serving = { ok: false, reason: 'removed', warnings: ['in doubt'] }
    expect(JSON.parse((await ask('/readyz')).body)).toEqual({
      status: 'unavailable',
      reason: 'removed',
      warnings: ['in doubt'],
    })
  })

  it('answer HEAD without a body', async () => {
    const answer = await (await serve(new HandMadeSource()))('/readyz', { method: 'HEAD' })
    expect([answer.status, answer.body]).toEqual([200, ''])
  })
})

describe('/status', () => {
  it('is the node status as JSON', async () => {
    const answer = await (await serve(new HandMadeSource()))('/status?stateHash=0')
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(JSON.parse(answer.body)).toEqual(status)
  })

  it('hashes the state unless it is told not to', async () => {
    const source = new HandMadeSource()
    const ask = await serve(source)
    expect(JSON.parse((await ask('/status?stateHash=0')).body)).toEqual(status)
    expect(source.hashesTaken).toBe(0)
    expect(JSON.parse((await ask('/status')).body)).toEqual({ ...status, stateHash: 'abc' })
    expect(source.hashesTaken).toBe(1)
  })
})

describe('/metrics', () => {
  it('tells Raft, queues, totals, connections and the process', async () => {
    const answer = await (await serve(new HandMadeSource()))('/metrics')
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
    const lines = answer.body.split('\n')
    for (const line of [
      'meshmq_raft_term{group="0",incarnation="1"} 3',
      'meshmq_raft_commit_index{group="0",incarnation="1"} 12',
      'meshmq_raft_applied_index{group="0",incarnation="1"} 11',
      'meshmq_raft_is_leader{group="0",incarnation="1"} 1',
      'meshmq_raft_elections_total{group="0",incarnation="1"} 2',
      'meshmq_queue_messages_ready{queue="billing"} 5',
      'meshmq_queue_messages_unsettled{queue="billing"} 2',
      'meshmq_queue_consumers{queue="billing"} 1',
      'meshmq_messages_published_total 100',
      'meshmq_messages_routed_total 150',
      'meshmq_messages_unroutable_total 1',
      'meshmq_messages_delivered_total 90',
      'meshmq_messages_redelivered_total 4',
      'meshmq_messages_acknowledged_total 80',
      'meshmq_messages_released_total 3',
      'meshmq_messages_rejected_total 2',
      'meshmq_raft_is_voter{group="0",incarnation="1"} 1',
      'meshmq_raft_first_index{group="0",incarnation="1"} 5',
      'meshmq_raft_checkpoint_index{group="0",incarnation="1"} 9',
      'meshmq_raft_in_doubt{group="0",incarnation="1"} 0',
      'meshmq_raft_peer_lag_entries{group="0",incarnation="1",peer="n2"} 3',
      'meshmq_wal_segments 2',
      'meshmq_checkpoint_bytes 1000',
      'meshmq_checkpoints_total 4',
      'meshmq_installs_total 1',
      'meshmq_bodies_missing 0',
      'meshmq_bodies_repaired_total 6',
      'meshmq_disk_free_bytes 5000',
      'meshmq_disk_full 0',
      'meshmq_connections 7',
      'meshmq_queues 1',
    ]) {
      expect(lines).toContain(line)
    }
    expect(answer.body).toMatch(/^process_resident_memory_bytes \d+$/m)
  })

  it('lets a queue that is gone go', async () => {
    const source = new HandMadeSource()
    const ask = await serve(source)
    await ask('/metrics')
    source.queues = []
    expect((await ask('/metrics')).body).not.toContain('billing')
  })

  it('keeps counting syncs from scrape to scrape', async () => {
    const metrics = new NodeMetrics()
    const ask = await serve(new HandMadeSource(), { metrics })
    metrics.observeSync(0.0002)
    await ask('/metrics')
    metrics.observeSync(0.3)
    const { body } = await ask('/metrics')
    expect(body).toContain('meshmq_wal_sync_duration_seconds_bucket{le="0.00025"} 1')
    expect(body).toContain('meshmq_wal_sync_duration_seconds_bucket{le="0.5"} 2')
    expect(body).toContain('meshmq_wal_sync_duration_seconds_count 2')
  })

  it('tells the longest stall of the event loop since the last scrape, from start to stop', async () => {
    const metrics = new NodeMetrics()
    const ask = await serve(new HandMadeSource(), { metrics })
    const stall = async () =>
      Number(/^meshmq_event_loop_stall_max_seconds (\S+)$/m.exec((await ask('/metrics')).body)?.[1])
    const standStill = async (ms: number) => {
      // Longer than the first look of a span takes.
      await new Promise((resolve) => setTimeout(resolve, 20))
      const startedAt = performance.now()
      while (performance.now() - startedAt < ms);
    }
    await standStill(100)
    expect(await stall()).toBe(0)
    metrics.start()
    await standStill(100)
    const measured = await stall()
    expect(measured).toBeGreaterThanOrEqual(0.095)
    // Asked again, it tells of what came since: less, unless the machine stands still.
    await eventually(async () => (await stall()) < 0.05)
    metrics.stop()
    await stall()
    await standStill(100)
    expect(await stall()).toBe(0)
  })

  it('gives series to the deepest queues alone and sums all', async () => {
    const source = new HandMadeSource()
    const count = 2 * QUEUE_SERIES_MAX + 500
    source.queues = Array.from({ length: count }, (_, i) => ({ queue: `q${i}`, ready: i, unsettled: 0, consumers: 0 }))
    const { body } = await (await serve(source))('/metrics')
    expect(body.match(/^meshmq_queue_messages_ready\{/gm)).toHaveLength(QUEUE_SERIES_MAX)
    expect(body).toContain(`meshmq_queue_messages_ready{queue="q${count - 1}"} ${count - 1}\n`)
    expect(body).toContain(`{queue="q${count - QUEUE_SERIES_MAX}"}`)
    expect(body).not.toContain(`{queue="q${count - QUEUE_SERIES_MAX - 1}"}`)
    expect(body).toContain(`meshmq_queues_without_series ${count - QUEUE_SERIES_MAX}\n`)
    expect(body).toContain(`meshmq_messages_ready ${(count * (count - 1)) / 2}\n`)
  })

  it('escapes a queue name that holds quotes', async () => {
    const source = new HandMadeSource()
    source.queues = [{ queue: 'a"b\\c', ready: 1, unsettled: 0, consumers: 0 }]
    expect((await (await serve(source))('/metrics')).body).toContain(
      'meshmq_queue_messages_ready{queue="a\\"b\\\\c"} 1',
    )
  })

  it('serves two nodes of one process apart', async () => {
    const first = new NodeMetrics()
    first.observeSync(0.1)
    const ask = await serve(new HandMadeSource(), { metrics: new NodeMetrics() })
    expect((await ask('/metrics')).body).toContain('meshmq_wal_sync_duration_seconds_count 0')
  })
})

describe('a cluster with tokens', () => {
  it('shows status and metrics only to who has one', async () => {
    const ask = await serve(new HandMadeSource(), { tokens: ['t1', 't2'] })
    for (const path of ['/status', '/metrics']) {
      for (const headers of [undefined, { authorization: 'Bearer t3' }, { authorization: 'Basic t1' }]) {
        const answer = await ask(path, headers && { headers })
        expect(answer.status).toBe(401)
        expect(JSON.parse(answer.body).error.code).toBe('Unauthorized')
      }
      expect((await ask(path, { headers: { authorization: 'Bearer t2' } })).status).toBe(200)
    }
  })

  it('leaves the probes open', async () => {
    const ask = await serve(new HandMadeSource(), { tokens: ['t1'] })
    for (const path of ['/livez', '/healthz', '/readyz']) expect((await ask(path)).status).toBe(200)
  })
})

describe('anything else', () => {
  it.each(['/', '/nothing', '/status/', '//status', '/constructor', '/__proto__', '/readyz%2f'])(
    '%s is not found',
    async (path) => {
      const answer = await (await serve(new HandMadeSource()))(path)
      expect(answer.status).toBe(404)
      expect(JSON.parse(answer.body).error.code).toBe('NotFound')
    },
  )

  it.each(['POST', 'PUT', 'DELETE'])('%s is not allowed', async (method) => {
    const answer = await (await serve(new HandMadeSource()))('/status', { method })
    expect(answer.status).toBe(405)
    expect(answer.headers.allow).toBe('GET, HEAD')
    expect(JSON.parse(answer.body).error.code).toBe('Validation')
  })

  it('survives a request target that is no path', async () => {
    expect((await (await serve(new HandMadeSource()))('*', { method: 'OPTIONS' })).status).toBe(404)
  })
})
