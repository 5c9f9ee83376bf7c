/** The command line against the cluster that it starts itself: what a newcomer does in the first five minutes. */
import { rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, connect, type QueueStats } from '../../client/index.ts'
import { eventually } from '../support/eventually.ts'
import { freePortRow, freePorts, realDiskFolder } from '../support/place.ts'
import { CliProcess, runCli } from './run-cli.ts'

const NODES = 3
let data: string
let port: number
let dev: CliProcess
let environment: Record<string, string>
/** Looks at what the command line did. */
let client: Client
const running: CliProcess[] = []

function start(args: readonly string[]): CliProcess {
  const process = new CliProcess(args, environment)
  running.push(process)
  return process
}

function mesh(...args: string[]) {
  return runCli(args, { environment })
}

beforeAll(async () => {
  data = realDiskFolder()
  port = await freePortRow(NODES)
  const servers = Array.from({ length: NODES }, (_, i) => `ws://127.0.0.1:${port + i}`)
  environment = { MESHMQ_SERVERS: servers.join(',') }
  dev = start(['dev', '--port', String(port), '--data', data])
  await dev.printed(/Ctrl-C stops it\./)
  client = await connect({ servers })
})

afterAll(async () => {
  await client.close()
  for (const process of running.toReversed()) process.child.kill('SIGTERM')
  await Promise.all(running.map((process) => process.ended()))
  rmSync(data, { recursive: true, force: true })
})

/** Resolves when the queue has a consumer: what is published from now on is stored for it. */
async function consumed(queue: string): Promise<void> {
  await eventually(async () => (await statsOf(queue)).consumers === 1, { what: `${queue} has a consumer` })
}

function statsOf(queue: string): Promise<QueueStats> {
  return client.queue(queue).stats({ consistent: true })
}

/** A queue that is bound and holds nothing. */
async function emptyQueue(name: string, pattern: string): Promise<void> {
  await client.queue(name).declare()
  await client.queue(name).bind(pattern)
}

/** Of the nodes of the current dev. */
function nodePids(): number[] {
  return [...dev.stdout.matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid))
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('meshmq dev', () => {
  it('names the nodes, the leader, the data directory and what to try next', () => {
    expect(dev.stdout).toContain(`3 nodes are ready, data in ${data}`)
    for (let i = 0; i < NODES; i++) expect(dev.stdout).toContain(`n${i + 1}  ws://127.0.0.1:${port + i}  pid `)
    expect(dev.stdout.match(/ {2}leader$/gm)).toHaveLength(1)
    expect(dev.stdout).toContain(`  meshmq cluster status --server ws://127.0.0.1:${port}`)
  })

  it('started by npm it names commands as npx starts them: nothing puts meshmq on the path of another terminal', async () => {
    const own = realDiskFolder()
    const [first] = await freePorts(1)
    const args = ['dev', '--nodes', '1', '--port', String(first), '--data', own]
    const process = new CliProcess(args, { npm_execpath: '/usr/lib/node_modules/npm/bin/npm-cli.js' })
    try {
      await process.printed(/Ctrl-C stops it\./)
      expect(process.stdout).toContain(`\n  npx meshmq cluster status --server ws://127.0.0.1:${first}\n`)
    } finally {
      process.child.kill('SIGTERM')
      await process.ended()
      rmSync(own, { recursive: true, force: true })
    }
  })
})

describe('meshmq pub and sub', () => {
  it('carry a message to subscribers, as text and as JSON', async () => {
    const text = start(['sub', 'greetings.*', '--queue', 'greeted', '--count', '1'])
    const json = start(['sub', 'greetings.#', '--queue', 'greeted-json', '--count', '1', '--json'])
    await consumed('greeted')
    await consumed('greeted-json')
    const published = await mesh('pub', 'greetings.world', '{"hello":"you"}', '--json-body', '--header', 'tenant=acme')
    expect([published.code, published.stderr]).toEqual([0, ''])
    expect(published.stdout).toMatch(/^published \S+\n$/)

    expect(await text.ended()).toEqual({ code: 0, stdout: 'greetings.world {"hello":"you"}\n', stderr: '' })
    const received = await json.ended()
    expect(received.code).toBe(0)
    expect(JSON.parse(received.stdout)).toMatchObject({
      id: published.stdout.trim().split(' ')[1],
      topic: 'greetings.world',
      attempt: 1,
      headers: { tenant: 'acme' },
      body: { hello: 'you' },
    })
  })

  it('acknowledge exactly what was printed', async () => {
    await emptyQueue('work', 'work.#')
    expect((await mesh('pub', 'work.item', 'x', '--count', '5')).stdout).toBe('published 5 messages\n')
    const two = await mesh('sub', 'work.#', '--queue', 'work', '--count', '2')
    expect(two).toEqual({ code: 0, stdout: 'work.item x\nwork.item x\n', stderr: '' })
    expect(await statsOf('work')).toMatchObject({ ready: 3, unsettled: 0, consumers: 0 })
    expect((await mesh('sub', 'work.#', '--queue', 'work', '--count', '3')).stdout).toBe('work.item x\n'.repeat(3))
    expect(await statsOf('work')).toMatchObject({ ready: 0, unsettled: 0 })
  })

  it('ask a queue for what it has, and keep what they acknowledge', async () => {
    await emptyQueue('asked', 'asked.#')
    expect(await mesh('queue', 'receive', 'asked')).toEqual({ code: 0, stdout: '', stderr: '' })
    await mesh('pub', 'asked.item', 'x', '--count', '3')
    const seen = await mesh('queue', 'receive', 'asked', '--max', '2')
    expect(seen).toEqual({ code: 0, stdout: 'asked.item x\n'.repeat(2), stderr: '' })
    expect(await statsOf('asked')).toMatchObject({ ready: 3, unsettled: 0 })
    const taken = await mesh('queue', 'receive', 'asked', '--max', '5', '--wait', '1000', '--ack', '--json')
    const lines = taken.stdout.trim().split('\n')
    expect(lines.map((line) => JSON.parse(line).attempt)).toEqual([2, 2, 1])
    expect(await statsOf('asked')).toMatchObject({ ready: 0, unsettled: 0 })
    expect((await mesh('queue', 'receive', 'nowhere')).code).not.toBe(0)
  })

  it('store every one of many', async () => {
    await emptyQueue('many', 'many')
    const published = await mesh('pub', 'many', 'x', '--count', '5000', '--json')
    expect(JSON.parse(published.stdout)).toMatchObject({ published: 5_000, lastId: expect.any(String) })
    expect(await statsOf('many')).toMatchObject({ ready: 5_000 })
  })

  it('take the body from standard input as it is', async () => {
    const subscriber = start(['sub', 'stdin.test', '--count', '1', '--queue', 'stdin'])
    await consumed('stdin')
    expect((await runCli(['pub', 'stdin.test', '-'], { input: 'two\nlines', environment })).code).toBe(0)
    expect((await subscriber.ended()).stdout).toBe('stdin.test two\nlines\n')
  })

  it('end quietly when nobody reads any more', async () => {
    const subscriber = start(['sub', 'pipe.test', '--queue', 'pipe'])
    await consumed('pipe')
    subscriber.child.stdout!.destroy()
    await mesh('pub', 'pipe.test', 'x', '--count', '100')
    expect(await subscriber.ended()).toEqual({ code: 0, stdout: '', stderr: '' })
  })

  it('refuse a pattern as a topic', async () => {
    const { code, stderr } = await mesh('pub', 'orders.*', 'x')
    expect(code).toBe(2)
    expect(stderr).toMatch(/^meshmq: Validation: [^\n]+\n$/)
  })
})

describe('meshmq request and reply', () => {
  it('fail at once when nobody replies', async () => {
    const { code, stdout, stderr } = await mesh('request', 'nobody.there', 'x')
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^meshmq: NoResponders: [^\n]+\n$/)
  })

  it('exchange a fixed answer', async () => {
    const responder = start(['reply', 'price.*', '{"price":3}', '--json-body', '--count', '1'])
    const reply = await eventually(async () => {
      const result = await mesh('request', 'price.quote', '{"sku":7}', '--json-body', '--json')
      return result.code === 0 && result
    })
    expect(JSON.parse(reply.stdout)).toMatchObject({ body: { price: 3 } })
    expect(await responder.ended()).toEqual({ code: 0, stdout: 'price.quote {"sku":7}\n', stderr: '' })
  })

  it('echo, and end by Ctrl-C', async () => {
    const responder = start(['reply', 'echo.#', '--echo'])
    const reply = await eventually(async () => {
      const result = await mesh('request', 'echo.this', 'hello there')
      return result.code === 0 && result
    })
    expect(reply.stdout).toBe('hello there\n')
    responder.child.kill('SIGINT')
    expect((await responder.ended()).code).toBe(0)
  })
})

/** Up to nine commands in a test, each a process of its own: together 15 s on a busy machine. */
describe('meshmq queue and cluster', { timeout: 60_000 }, () => {
  it('list queues as a table and as JSON', async () => {
    await emptyQueue('listed', 'listed.topic')
    await mesh('pub', 'listed.topic', 'x', '--count', '7')
    const { stdout } = await mesh('queue', 'ls')
    expect(stdout).toMatch(/^QUEUE +READY +UNSETTLED +CONSUMERS +BINDINGS\n/)
    expect(stdout).toMatch(/^listed +7 +0 +0 +listed\.topic$/m)
    const all = JSON.parse((await mesh('queue', 'ls', '--json')).stdout) as QueueStats[]
    expect(all.find(({ queue }) => queue === 'listed')).toMatchObject({ ready: 7, bindings: ['listed.topic'] })
  })

  it('show one queue as a table and as JSON', async () => {
    await emptyQueue('shown', 'shown.topic')
    const table = await mesh('queue', 'info', 'shown')
    expect(table.stdout).toMatch(/^QUEUE +shown\n/)
    expect(table.stdout).toMatch(/^bindings +shown\.topic$/m)
    const json = await mesh('queue', 'info', 'shown', '--local', '--json')
    expect(JSON.parse(json.stdout)).toMatchObject({ queue: 'shown', ready: 0, bindings: ['shown.topic'] })
  })

  it('make, bind, unbind and delete a queue', async () => {
    const silent = { code: 0, stdout: '', stderr: '' }
    expect(await mesh('queue', 'declare', 'made')).toEqual(silent)
    expect(await mesh('queue', 'declare', 'made')).toEqual(silent)
    expect(await mesh('queue', 'bind', 'made', 'made.#')).toEqual(silent)
    await mesh('pub', 'made.by.hand', 'x')
    expect(await statsOf('made')).toMatchObject({ durable: true, ready: 1, bindings: ['made.#'] })
    expect(await mesh('queue', 'unbind', 'made', 'made.#')).toEqual(silent)
    await mesh('pub', 'made.by.hand', 'x')
    expect(await statsOf('made')).toMatchObject({ ready: 1, bindings: [] })
    expect(await mesh('queue', 'delete', 'made')).toEqual(silent)
    await expect(statsOf('made')).rejects.toMatchObject({ code: 'NotFound' })
  })

  it('tell that there is no such queue', async () => {
    const { code, stderr } = await mesh('queue', 'info', 'no-such-queue')
    expect(code).toBe(1)
    expect(stderr).toMatch(/^meshmq: NotFound: [^\n]+\n$/)
  })

  it('show every member of the cluster', async () => {
    const { code, stdout } = await mesh('cluster', 'status')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^cluster meshmq \(\S+\), leader n\d, term \d+\n/)
    for (let i = 0; i < NODES; i++) {
      expect(stdout).toMatch(new RegExp(`^n${i + 1} +(leader|follower) .* ws://127.0.0.1:${port + i}$`, 'm'))
    }
    const status = JSON.parse((await mesh('cluster', 'status', '--json')).stdout)
    expect(status).toMatchObject({ leader: expect.stringMatching(/^n\d$/), clusterName: 'meshmq' })
    expect(status.members).toHaveLength(NODES)
  })

  it('hand leadership over, and tell the members', async () => {
    const before = JSON.parse((await mesh('cluster', 'status', '--json')).stdout)
    const to = ['n1', 'n2', 'n3'].find((id) => id !== before.leader)!
    const { code, stdout } = await mesh('cluster', 'transfer-leader', to)
    expect([code, stdout]).toEqual([0, `leader    ${to}\nvoters    n1 n2 n3\nlearners  -\n`])
    const any = await mesh('cluster', 'transfer-leader', '--json', '--timeout', '20')
    expect(JSON.parse(any.stdout)).toMatchObject({ voters: ['n1', 'n2', 'n3'], learners: [] })
    expect(JSON.parse(any.stdout).leader).not.toBe(to)
  })

  it('refuse what makes no sense on one line, with the reason', async () => {
    const unknown = await mesh('cluster', 'remove', 'n9')
    expect([unknown.code, unknown.stdout]).toEqual([1, ''])
    expect(unknown.stderr).toMatch(/^meshmq: NotFound: [^\n]*'n9'[^\n]*\n$/)
    const member = await mesh('cluster', 'promote', 'n1')
    expect(member.stderr).toMatch(/^meshmq: Precondition: [^\n]+\n$/)
    const stranger = await mesh('cluster', 'add', 'n4')
    expect(stranger.stderr).toMatch(/^meshmq: NotFound: [^\n]*--cluster[^\n]*\n$/)
    expect((await mesh('cluster', 'remove')).code).toBe(2)
    expect((await mesh('cluster', 'remove', 'n1', '--timeout', '0')).code).toBe(2)
    const [unused] = await freePorts(1)
    const nobody = await mesh('cluster', 'remove', 'n1', '--server', `ws://127.0.0.1:${unused}`)
    expect(nobody.stderr).toMatch(/^meshmq: Connection: [^\n]+\n$/)
  })

  it('tell on one line that no node answers', async () => {
    const [unused] = await freePorts(1)
    const { code, stdout, stderr } = await mesh('cluster', 'status', '--server', `ws://127.0.0.1:${unused}`)
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^meshmq: Connection: [^\n]+\n$/)
  })
})

describe('a cluster that loses a node, and is stopped', () => {
  it('reports the node, goes on without it, and keeps everything for the next start', async () => {
    const pids = nodePids()
    expect(pids.filter(isRunning)).toHaveLength(NODES)
    await emptyQueue('kept', 'kept.topic')

    process.kill(pids[1]!, 'SIGKILL')
    await dev.printed(/n2 ended by SIGKILL; it is not restarted, 2 of 3 go on/)
    expect((await mesh('pub', 'kept.topic', 'still here')).code).toBe(0)
    const status = await mesh('cluster', 'status')
    expect(status.code).toBe(0)
    expect(status.stdout).toMatch(/^n2 +(down|unreachable|silent) /m)

    dev.child.kill('SIGINT')
    expect((await dev.ended()).code).toBe(0)
    expect(pids.filter(isRunning)).toEqual([])

    dev = start(['dev', '--port', String(port), '--data', data])
    await dev.printed(/Ctrl-C stops it\./)
    expect((await mesh('sub', 'kept.topic', '--queue', 'kept', '--count', '1')).stdout).toBe('kept.topic still here\n')
  })

  it('leaves no node behind even when dev itself is killed', async () => {
    const alive = nodePids()
    expect(alive.filter(isRunning)).toHaveLength(NODES)
    dev.child.kill('SIGKILL')
    await eventually(() => alive.every((pid) => !isRunning(pid)), { what: 'the nodes end with their parent' })
  })
})
