import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterEach, beforeAll, expect, it, onTestFailed } from 'vitest'
import { type Client, connect } from '../../client/index.ts'
import { eventually } from '../support/eventually.ts'
import { Held } from '../support/held.ts'
import { declareBound } from './load.ts'
import { packedProject, packMeshmq } from './packed.ts'
import { ProcessCluster } from './process-cluster.ts'

/** A user's consumer, on the installed package: tells each delivery, acknowledges the first two, holds the rest. */
const program = `
import { connect } from 'meshmq'
const client = await connect({ servers: process.argv[1] })
let seen = 0
for await (const message of client.subscribe('work.#', { queue: 'work', prefetch: 5 })) {
  console.log(message.body + ' ' + message.attempt)
  if (++seen <= 2) await message.ack()
}
`

let cluster: ProcessCluster | undefined
let client: Client | undefined

beforeAll(packMeshmq, 200_000)

afterEach(async () => {
  await client?.close()
  await cluster?.stop()
  cluster = undefined
  client = undefined
}, 60_000)

it('gives the deliveries of a consumer that was killed to another one, each in its old place', async () => {
  const running = await ProcessCluster.start()
  onTestFailed(() => console.info(running.report()))
  cluster = running
  const { urls } = running
  const other = await connect({ servers: urls[1]! })
  client = other
  await declareBound(other, 'work', 'work.#')
  for (let n = 1; n <= 20; n++) await other.publish('work.item', n)

  const child = spawn(process.execPath, ['--input-type=module', '--eval', program, urls[0]!], {
    cwd: packedProject(),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const told: string[] = []
  createInterface(child.stdout).on('line', (line) => told.push(line))
  // 1 and 2 are acknowledged, 3 to 7 are what its prefetch lets it hold.
  await eventually(() => told.length === 7)
  expect(told).toEqual(['1 1', '2 1', '3 1', '4 1', '5 1', '6 1', '7 1'])

  const held = new Held()
  await other.subscribe('work.#', held.handler, { queue: 'work', prefetch: 3 })
  await eventually(() => held.messages.length === 3)

  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
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
