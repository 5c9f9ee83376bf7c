/**
 * A rolling restart of processes, as an operator's tools do it: SIGTERM, then start again, one node after the other. Clients that know
 * all nodes move before theirs stops; one that knows a single node waits for it. No call may fail.
 */
import { afterEach, beforeAll, expect, it, onTestFailed } from 'vitest'
import { type Client, connect } from '../../client/index.ts'
import { CallBook } from '../support/call-book.ts'
import { eventually } from '../support/eventually.ts'
import { packMeshmq } from './packed.ts'
import { ProcessCluster } from './process-cluster.ts'

let cluster: ProcessCluster | undefined
const clients: Client[] = []

async function client(servers: string[]): Promise<Client> {
  const made = await connect({ servers })
  clients.push(made)
  return made
}

beforeAll(packMeshmq, 200_000)

afterEach(async () => {
  await Promise.all(clients.splice(0).map((each) => each.close()))
  await cluster?.stop()
  cluster = undefined
}, 60_000)

it('fails no call while every process is sent SIGTERM and started again', async () => {
  const running = await ProcessCluster.start()
  cluster = running
  onTestFailed(() => console.info(running.report()))
  const { urls } = running
  const book = new CallBook()
  const roaming = await Promise.all(urls.map((_, i) => client([...urls.slice(i), ...urls.slice(0, i)])))
  const pinned = await Promise.all(urls.map((url) => client([url])))
  const received: number[] = []
  const consumer = roaming[0]!
  await consumer.subscribe('rolled', ({ body }) => received.push(body as number), { queue: 'rolled', concurrency: 1 })
  for (const each of roaming) await each.respond('echo', ({ body }) => body)
  let isOver = false
  let sent = 0
  const tick = () => {
    if (isOver) return
    const [publisher, number] = [roaming[1]!, sent++]
    book.note('publish', publisher.publish('rolled', number))
    for (const each of roaming) {
      book.note('request', each.request('echo', number), ({ body }) => expect(body).toBe(number))
    }
    for (const each of pinned) book.note('pinned publish', each.publish('pinned', number))
    setTimeout(tick, 5)
  }
  tick()
  const stopsMs: number[] = []
  for (const node of running.nodes) {
    const sinceMs = performance.now()
    expect(await node.stop(), `exit code of ${node.id}`).toBe(0)
    stopsMs.push(performance.now() - sinceMs)
    node.start()
    await running.ready()
  }
  isOver = true
  await book.settled()
  console.info(`stops took ${stopsMs.map(Math.round)} ms; slowest calls:`, book.slowestMs)
  expect(book.failures).toEqual([])
  await eventually(() => received.length >= sent, { what: 'all messages have come' })
  expect(received).toEqual(Array.from({ length: sent }, (_, i) => i))
  // A stop that waits out its grace takes five seconds.
  expect(Math.max(...stopsMs)).toBeLessThan(4_000)
}, 60_000)
