import { afterEach, beforeAll, expect, it, onTestFailed } from 'vitest'
import { type Client, connect } from '../../client/index.ts'
import { statusOf } from '../support/admin.ts'
import { eventually } from '../support/eventually.ts'
import { flawless, Ledger, Receipts } from './ledger.ts'
import { consumeLoad, declareBound, publishLoad } from './load.ts'
import { packMeshmq } from './packed.ts'
import { ProcessCluster, type SharedOptions } from './process-cluster.ts'

let cluster: ProcessCluster | undefined
const clients: Client[] = []

async function start(options: SharedOptions = {}): Promise<ProcessCluster> {
  const started = await ProcessCluster.start(options)
  onTestFailed(() => console.info(started.report()))
  cluster = started
  return started
}

async function client(servers: string[], publishTimeoutMs = 30_000): Promise<Client> {
  const made = await connect({ servers, publishTimeoutMs })
  clients.push(made)
  return made
}

beforeAll(packMeshmq, 200_000)

afterEach(async () => {
  await Promise.all(clients.splice(0).map((each) => each.close()))
  await cluster?.stop()
  cluster = undefined
}, 60_000)

it('has everything that was confirmed, in order, after kill -9 of all three nodes at once under load', async () => {
  const { nodes, urls } = await start()
  const ledger = new Ledger()
  const before = new Receipts()
  const audit = new Receipts()
  const consumer = await client(urls)
  await consumeLoad(consumer, 'half', 'load.#', before)
  const auditor = await client(urls)
  await declareBound(auditor, 'all', 'load.#')

  let enough = Number.POSITIVE_INFINITY
  const publishers = await Promise.all(
    [0, 1, 2].map(async (i) => ({
      client: await client([urls[i]!]),
      publisher: `p${i}`,
      topic: `load.p${i}`,
    })),
  )
  const published = Promise.all(
    publishers.map((each) => publishLoad({ ...each, ledger, isEnough: () => ledger.acked >= enough })),
  )
  await eventually(() => ledger.acked > 1_000 && before.count > 500)
  // The power goes: nobody has a chance to say good-bye to anybody.
  await Promise.all(nodes.map((node) => node.kill()))
  const confirmed = ledger.acked
  for (const node of nodes) node.start()
  await cluster!.ready()
  enough = confirmed + 500
  await published

  expect(ledger.errors).toEqual([])
  await consumeLoad(auditor, 'all', 'load.#', audit)
  await eventually(() => audit.count >= ledger.acked && before.count >= ledger.acked, { withinMs: 30_000 }).catch(
    () => {},
  )
  expect(audit.judge(ledger)).toEqual(flawless)
  expect(before.judge(ledger)).toEqual(flawless)
  await cluster!.agreedState()
}, 120_000)

it('waits without a majority, then says NoQuorum with the right outcome, and goes on when one node returns', async () => {
  const leaderlessCloseMs = 3_000
  const { nodes } = await start({ leaderlessCloseMs })
  const survivor = await cluster!.leader()
  const others = nodes.filter((node) => node !== survivor)
  const patient = await client([survivor.url], 60_000)
  const brief = await client([survivor.url], 1_500)
  await declareBound(patient, 'all', 'outage.#')
  await brief.publish('outage.before', 'before')

  await Promise.all(others.map((node) => node.kill()))
  const waiting = patient.publish('outage.waiting', 'waiting')
  let settled = false
  const settle = () => {
    settled = true
  }
  waiting.then(settle, settle)

  // The node still holds its clients' sockets: the message has been sent, so nobody can tell what will become of it.
  await expect(brief.publish('outage.sent', 'sent')).rejects.toMatchObject({ code: 'NoQuorum', outcome: 'unknown' })
  expect(settled).toBe(false)

  // Now the node has sent its clients away: what they publish never leaves them.
  await eventually(async () => (await statusOf(survivor.url)).sessions === 0, { withinMs: 3 * leaderlessCloseMs })
  const unsent = brief.publish('outage.unsent', 'unsent')
  await expect(unsent).rejects.toMatchObject({ code: 'NoQuorum', outcome: 'not-applied' })
  expect(settled).toBe(false)

  others[0]!.start()
  await waiting
  // With time for the pause that it may be in between two attempts to connect.
  await brief.publish('outage.after', 'after', { timeoutMs: 30_000 })

  const bodies: unknown[] = []
  await patient.subscribe('outage.#', ({ body }) => void bodies.push(body), { queue: 'all' })
  await eventually(() => bodies.includes('after') && bodies.includes('waiting'))
  // What may have happened is the client's to finish: it goes on sending what it once sent, and it is stored once.
  expect(bodies.toSorted()).toEqual(['after', 'before', 'sent', 'waiting'])
  others[1]!.start()
  await cluster!.ready()
  await cluster!.agreedState()
}, 120_000)

it('confirms nothing that only the leader has: followers that were frozen go on without it, and nothing is lost or doubled', async () => {
  const { nodes } = await start({ leaderlessCloseMs: 60_000 })
  const leader = await cluster!.leader()
  const followers = nodes.filter((node) => node !== leader)
  const publisher = await client([leader.url], 60_000)
  await declareBound(publisher, 'all', 'frozen.#')
  await publisher.publish('frozen.before', 0)

  for (const follower of followers) follower.freeze()
  let confirmed = 0
  const count = 50
  const numbers = Array.from({ length: count }, (_, i) => i + 1)
  const published = Promise.all(numbers.map((n) => publisher.publish('frozen.during', n).then(() => void confirmed++)))
  published.catch(() => {}) // Awaited below, unless the test has failed before.
  // It holds them, synced, and hears nobody: in the end it gives its office up.
  await eventually(async () => (await statusOf(leader.url)).role !== 'leader')
  const { lastIndex, commitIndex } = await statusOf(leader.url)
  expect(lastIndex).toBeGreaterThan(commitIndex)
  expect(confirmed).toBe(0)
  // Nor does it answer for the cluster alone: what it knows by itself, it tells only as that.
  const stats = (consistent: boolean) => publisher.queue('all').stats({ consistent })
  expect(await stats(false)).toMatchObject({ ready: 1 })
  await Promise.all([
    expect(stats(true)).rejects.toMatchObject({ retryable: true }),
    expect(publisher.request('nobody', 1, { timeoutMs: 500 })).rejects.toMatchObject({ code: 'Timeout' }),
  ])

  await leader.kill()
  for (const follower of followers) follower.thaw()
  await cluster!.leader()
  leader.start()
  await published
  const bodies: unknown[] = []
  await publisher.subscribe('frozen.#', ({ body }) => void bodies.push(body), { queue: 'all', concurrency: 1 })
  await eventually(() => bodies.length > count)
  await cluster!.ready()
  await cluster!.agreedState()
  expect(bodies).toEqual([0, ...numbers])
}, 120_000)

it('goes on through kill -9 of a follower, and the follower catches up', async () => {
  const { nodes, urls } = await start()
  const leader = await cluster!.leader()
  const follower = nodes.find((node) => node !== leader)!
  const ledger = new Ledger()
  const all = new Receipts()
  const publisher = await client(urls)
  await declareBound(publisher, 'all', 'load.#')
  await follower.kill()
  const isEnough = () => ledger.acked >= 2_000
  await publishLoad({ client: publisher, publisher: 'p', topic: 'load.p', ledger, isEnough })
  follower.start()
  await cluster!.ready()
  await cluster!.agreedState()
  // What it had missed is now on its own disk: with the former leader gone, it is half of the majority.
  await leader.kill()
  await consumeLoad(publisher, 'all', 'load.#', all)
  await eventually(() => all.count >= ledger.acked, { withinMs: 30_000 }).catch(() => {})
  expect(ledger.errors).toEqual([])
  expect(all.judge(ledger)).toEqual(flawless)
}, 120_000)
