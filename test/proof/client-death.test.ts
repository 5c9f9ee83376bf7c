import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterEach, beforeAll, expect, it, onTestFailed } from 'vitest'
import { type Client, connect } from '../../client/index.ts'
import { eventually } from '../support/eventually.ts'
import { Held } from '../support/held.ts'
import { declareBound } from './load.ts'
import { packedProject, packMeshmq } from './packed.ts'
import { ProcessCluster, type SharedOptions } from './process-cluster.ts'

/** A user's consumer, on the installed package: tells each delivery, acknowledges the first two, holds the rest. */
const consumer = `
import { connect } from 'meshmq'
const client = await connect({ servers: process.argv[1] })
let seen = 0
for await (const message of client.subscribe('work.#', { queue: 'work', prefetch: 5 })) {
  console.log(message.body + ' ' + message.attempt)
  if (++seen <= 2) await message.ack()
}
`

/** Answers nothing: what it is asked stays with it. */
const silentResponder = `
import { connect } from 'meshmq'
const client = await connect({ servers: process.argv[1] })
await client.respond('ask.#', (request) => new Promise(() => console.log(request.body)))
console.log('ready')
`

let cluster: ProcessCluster | undefined
let client: Client | undefined
const children: ChildProcess[] = []

beforeAll(packMeshmq, 200_000)

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await client?.close()
  await cluster?.stop()
  cluster = undefined
  client = undefined
}, 60_000)

/** A program of a user of the installed package, and the lines that it has printed. */
function run(program: string, server: string): { child: ChildProcess; told: string[] } {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program, server], {
    cwd: packedProject(),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const told: string[] = []
  createInterface(child.stdout!).on('line', (line) => told.push(line))
  return { child, told }
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

async function start(options: SharedOptions = {}): Promise<ProcessCluster> {
  const running = await ProcessCluster.start(options)
  onTestFailed(() => console.info(running.report()))
  cluster = running
  return running
}

it('gives the deliveries of a consumer that was killed to another one, each in its old place', async () => {
  const { urls } = await start()
  const other = await connect({ servers: urls[1]! })
  client = other
  await declareBound(other, 'work', 'work.#')
  for (let n = 1; n <= 20; n++) await other.publish('work.item', n)

  const { child, told } = run(consumer, urls[0]!)
  // 1 and 2 are acknowledged, 3 to 7 are what its prefetch lets it hold.
  await eventually(() => told.length === 7)
  expect(told).toEqual(['1 1', '2 1', '3 1', '4 1', '5 1', '6 1', '7 1'])

  const held = new Held()
  await other.subscribe('work.#', held.handler, { queue: 'work', prefetch: 3 })
  await eventually(() => held.messages.length === 3)

  await kill(child)
  // Returned, and not given out: this consumer has no credit left.
  await eventually(async () => (await other.queue('work').stats({ consistent: true })).ready === 15)
  for (let i = 0; i < 18; i++) {
    await eventually(() => held.messages.length > i)
    held.finish(i)
  }
  // 8 to 10 were in its hands; behind them the returned ones stand before everything that is younger.
  const returned = [3, 4, 5, 6, 7].map((n) => `${n} 2`)
  const rest = Array.from({ length: 10 }, (_, i) => `${11 + i} 1`)
  expect(held.told).toEqual(['8 1', '9 1', '10 1', ...returned, ...rest])
  await eventually(async () => {
    const { ready, unsettled } = await other.queue('work').stats({ consistent: true })
    return ready === 0 && unsettled === 0
  })
}, 120_000)

it('gives them to another one too when the node of the dead consumer died with it, once the grace is over', async () => {
  const { urls, nodes } = await start({ nodeGraceMs: 1_500 })
  const other = await connect({ servers: [urls[1]!, urls[2]!] })
  client = other
  await declareBound(other, 'work', 'work.#')
  for (let n = 1; n <= 10; n++) await other.publish('work.item', n)
  const { child, told } = run(consumer, urls[0]!)
  await eventually(() => told.length === 7)

  await Promise.all([nodes[0]!.kill(), kill(child)])
  const held = new Held()
  await other.subscribe('work.#', held.handler, { queue: 'work' })
  await eventually(() => held.messages.length === 8)
  // What was free came at once; what the dead one held came when the others gave its node up.
  expect(held.told.slice(0, 3)).toEqual(['8 1', '9 1', '10 1'])
  expect(held.told.slice(3)).toEqual(['3 2', '4 2', '5 2', '6 2', '7 2'])
  for (let i = 0; i < 8; i++) held.finish(i)
}, 120_000)

it('gives them back at once when the dead node is there again: it has forgotten its sockets', async () => {
  const { urls, nodes } = await start({ nodeGraceMs: 600_000, detachGraceMs: 0 })
  const other = await connect({ servers: [urls[1]!, urls[2]!] })
  client = other
  await declareBound(other, 'work', 'work.#')
  for (let n = 1; n <= 7; n++) await other.publish('work.item', n)
  const { child, told } = run(consumer, urls[0]!)
  await eventually(() => told.length === 7)

  await Promise.all([nodes[0]!.kill(), kill(child)])
  expect(await other.queue('work').stats({ consistent: true })).toMatchObject({ ready: 0, unsettled: 5 })
  nodes[0]!.start()
  await eventually(async () => (await other.queue('work').stats({ consistent: true })).ready === 5, {
    withinMs: 30_000,
  })
}, 120_000)

it('tells an asker soon when the node of its responder dies, and finds the next responder', async () => {
  const { urls, nodes } = await start()
  const asker = await connect({ servers: [urls[1]!, urls[2]!] })
  client = asker
  const { child, told } = run(silentResponder, urls[0]!)
  await eventually(() => told.includes('ready'))
  const asked = asker.request('ask.price', 'a question', { timeoutMs: 60_000 })
  const failed = expect(asked).rejects.toMatchObject({ code: 'Connection', outcome: 'unknown' })
  await eventually(() => told.includes('a question'))

  await Promise.all([nodes[0]!.kill(), kill(child)])
  const killedMs = performance.now()
  await failed
  expect(performance.now() - killedMs).toBeLessThan(10_000)
  await asker.respond('ask.#', () => 'an answer')
  await eventually(async () => (await asker.request('ask.price', 'again', { timeoutMs: 1_000 })).body === 'an answer')
}, 120_000)
