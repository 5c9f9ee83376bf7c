/** `meshmq cluster` where it is needed most: with members removed, lost, or behind. */
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type NodeOptions, type NodeStatus, startNode } from '../../node/index.ts'
import { agreedLeader, get, isReady, statusOf } from '../support/admin.ts'
import { eventually } from '../support/eventually.ts'
import { freePorts, realDiskFolder } from '../support/place.ts'
import { CliProcess, runCli } from './run-cli.ts'

const open: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

/** Quick elections, so that a lost leader costs a test little. */
const quick = { heartbeatMs: 30, electionTimeoutMs: 200, logger: false } as const

interface Place {
  readonly urls: Readonly<Record<string, string>>
  readonly directory: string
}

async function places(ids: readonly string[]): Promise<Place> {
  const directory = realDiskFolder()
  open.push(async () => rmSync(directory, { recursive: true, force: true }))
  const ports = await freePorts(ids.length)
  return { directory, urls: Object.fromEntries(ids.map((id, i) => [id, `ws://127.0.0.1:${ports[i]}`])) }
}

/** Returns how to stop it. */
async function start({ urls, directory }: Place, id: string, options: Partial<NodeOptions> = {}) {
  const place = { id, listen: new URL(urls[id]!).host, dataDir: path.join(directory, id), cluster: urls }
  const node = await startNode({ ...quick, ...place, ...options })
  node.failed.catch(() => {})
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= node.stop()
    return stopped
  }
  open.push(stop)
  return stop
}

async function startAll(ids: readonly string[], options: Partial<NodeOptions> = {}) {
  const place = await places(ids)
  const stops = await Promise.all(ids.map((id) => start(place, id, options)))
  const urls = Object.values(place.urls)
  await eventually(async () => (await Promise.all(urls.map(isReady))).every(Boolean))
  return { place, urls: place.urls, stopOf: (id: string) => stops[ids.indexOf(id)]!() }
}

function cluster(servers: readonly string[], ...args: string[]) {
  return runCli(['cluster', ...args], { environment: { MESHMQ_SERVERS: servers.join(',') } })
}

async function statusWithToken(url: string): Promise<NodeStatus> {
  const response = await get(url, '/status', { authorization: 'Bearer t1' })
  return (await response.json()) as NodeStatus
}

/** A port that takes connections and never answers, like a process that hangs. */
async function hungServer(): Promise<string> {
  const [port] = await freePorts(1)
  const server = createServer(() => {}).listen(port, '127.0.0.1')
  await once(server, 'listening')
  open.push(async () => server.close())
  return `ws://127.0.0.1:${port}`
}

describe('a change of the members', () => {
  it('goes past a node that was removed, and past one that hangs, to whoever knows the leader', async () => {
    const { urls } = await startAll(['n1', 'n2', 'n3'])
    const removed = await agreedLeader(Object.values(urls))
    expect(await cluster(Object.values(urls), 'remove', removed)).toMatchObject({ code: 0, stderr: '' })
    await eventually(async () => (await statusOf(urls[removed]!)).leader === undefined)
    const rest = Object.keys(urls).filter((id) => id !== removed)
    const leader = await agreedLeader(rest.map((id) => urls[id]!))
    const next = rest.find((id) => id !== leader)!
    const servers = [await hungServer(), urls[removed]!, urls[leader]!]
    expect(await cluster(servers, 'transfer-leader', next)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`leader    ${next}\n`),
      stderr: '',
    })
    const alone = await cluster([urls[removed]!], 'transfer-leader', '--timeout', '1')
    expect(alone).toEqual({ code: 1, stdout: '', stderr: 'meshmq: NoQuorum: no leader is known\n' })
  })

  it('waits while nobody leads, and is made when somebody does', async () => {
    const { place, urls, stopOf } = await startAll(['n1', 'n2', 'n3'])
    await stopOf('n1')
    await stopOf('n2')
    await eventually(async () => (await statusOf(urls.n3!)).leader === undefined)
    // It comes after n3 in the list: once it is dialled n3 has said that it knows no leader.
    const [port] = await freePorts(1)
    const last = createServer((socket) => socket.destroy()).listen(port, '127.0.0.1')
    open.push(async () => last.close())
    const waiting = new CliProcess(['cluster', 'remove', 'n1', '--server', `${urls.n3},ws://127.0.0.1:${port}`])
    await once(last, 'connection')
    await start(place, 'n2')
    expect(await waiting.ended()).toMatchObject({ code: 0, stdout: expect.stringContaining('voters    n2 n3\n') })
  })

  it('that runs out of time while a node catches up is gone on with by the same command', async () => {
    const place = await places(['n1', 'n2', 'n4'])
    const { urls } = place
    const founders = { n1: urls.n1!, n2: urls.n2! }
    const first = await Promise.all(['n1', 'n2'].map((id) => start(place, id, { cluster: founders })))
    await eventually(async () => (await Promise.all(Object.values(founders).map(isReady))).every(Boolean))
    await Promise.all(first.map((stop) => stop()))
    await Promise.all(['n1', 'n2'].map((id) => start(place, id)))
    const members = Object.entries(urls).map(([id, url]) => `${id}=${url}`)
    const data = path.join(place.directory, 'n4')
    const where = ['--listen', new URL(urls.n4!).host, '--data', data, '--cluster', members.join(',')]
    const added = new CliProcess(['start', '--id', 'n4', ...where])
    open.push(async () => {
      added.child.kill('SIGKILL')
      await added.ended()
    })
    const linked = async () => {
      const leads = await agreedLeader(Object.values(founders))
      return (await statusOf(urls[leads]!)).members.find(({ id }) => id === 'n4')?.connected
    }
    await eventually(linked, { withinMs: 20_000 })

    // Its link is open, and nothing that is sent arrives.
    added.child.kill('SIGSTOP')
    const late = await cluster(Object.values(founders), 'add', 'n4', '--promote', '--timeout', '3')
    expect([late.code, late.stdout]).toEqual([1, ''])
    expect(late.stderr).toMatch(/^meshmq: Timeout: 'n4' has not caught up with the log yet: [^\n]+\n$/)
    added.child.kill('SIGCONT')
    await eventually(linked, { withinMs: 20_000 })
    expect(await cluster(Object.values(founders), 'add', 'n4', '--promote')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^voters {4}n1 n2 n4\nlearners {2}-$/m),
    })
  }, 60_000)
})

describe('the status', () => {
  it('of a cluster that is not founded yet names whom it waits for: a majority is not enough', async () => {
    const place = await places(['n1', 'n2', 'n3'])
    for (const id of ['n1', 'n2']) await start(place, id)
    const status = await cluster([place.urls.n1!], 'status')
    expect(status.code).toBe(1)
    expect(status.stdout).toMatch(/^cluster meshmq \(not founded yet\), no leader, term 0\n/)
    const why = 'the cluster is not founded yet, which takes all of n1, n2, n3; n3 does not answer'
    expect(status.stderr).toBe(`meshmq: NoQuorum: no leader is known: ${why}\n`)
  })

  it('of a cluster whose members do not agree on who they are names those who differ: it is never founded', async () => {
    const place = await places(['n1', 'n2', 'n3'])
    const { n1, n2 } = place.urls
    await start(place, 'n1')
    await start(place, 'n2', { cluster: { n1: n1!, n2: n2! } })
    await start(place, 'n3')
    const status = await cluster([n1!], 'status')
    const why =
      'the cluster is not founded yet, which takes all of n1, n2, n3; n2 was started with another list: n1, n2'
    expect(status).toMatchObject({ code: 1, stderr: `meshmq: NoQuorum: no leader is known: ${why}\n` })
  })

  it('of a cluster without a leader has the word of each node, names those without one, and fails', async () => {
    const { urls, stopOf } = await startAll(['n1', 'n2', 'n3'], { tokens: ['t1'] })
    const [unused] = await freePorts(1)
    const servers = [`ws://127.0.0.1:${unused}`, ...Object.values(urls)]
    expect(await cluster(servers, 'status', '--token', 't1')).toMatchObject({ code: 0, stderr: '' })
    await stopOf('n1')
    await stopOf('n2')
    await eventually(async () => (await statusWithToken(urls.n3!)).leader === undefined)

    const table = await cluster(servers, 'status', '--token', 't1')
    expect(table.code).toBe(1)
    expect(table.stderr).toMatch(/^meshmq: NoQuorum: no leader is known: [^\n]+\n$/)
    expect(table.stdout).toMatch(/^cluster meshmq \(\S+\), no leader, term \d+\n/)
    expect(table.stdout).toMatch(/^n3 +(follower|preCandidate|candidate) +voter +\d+ /m)
    for (const id of ['n1', 'n2'])
      expect(table.stdout).toMatch(new RegExp(`^${id} +(down|unreachable) +voter +- `, 'm'))
    expect(table.stdout).toMatch(new RegExp(`^${servers[0]}: no answer$`, 'm'))

    const json = await cluster(servers, 'status', '--token', 't1', '--json')
    expect([json.code, json.stderr]).toEqual([1, table.stderr])
    const told = JSON.parse(json.stdout)
    expect(told.leader).toBeUndefined()
    expect(told.members.map((member: { status?: object }) => member.status !== undefined)).toEqual([false, false, true])
    expect(told.unanswered.map(({ server }: { server: string }) => server)).toEqual(servers.slice(0, 3))

    const stranger = await cluster(servers, 'status', '--token', 'wrong')
    expect([stranger.code, stranger.stdout]).toEqual([1, ''])
    expect(stranger.stderr).toMatch(/^meshmq: Unauthorized: [^\n]+\n$/)
  })

  it('is that of a node that knows the leader, though one that was removed is asked first', async () => {
    const { urls } = await startAll(['n1', 'n2', 'n3'])
    const removed = await agreedLeader(Object.values(urls))
    await cluster(Object.values(urls), 'remove', removed)
    await eventually(async () => (await statusOf(urls[removed]!)).leader === undefined)
    const { code, stdout } = await cluster([urls[removed]!], 'status', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ role: 'leader', member: 'voter' })
  })
})
