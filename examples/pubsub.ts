/**
 * Publish and subscribe: every queue that is bound to a topic gets its copy, the consumers of one queue share theirs, and what a
 * handler cannot do now comes again.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Message } from 'meshmq'
import { startNode } from 'meshmq/node'

const ORDERS = 10
const server = 'ws://127.0.0.1:7211'

// A cluster of one node in this process; `npm start` runs one of three processes.
const dataDir = await mkdtemp(join(tmpdir(), 'meshmq-pubsub-'))
const node = await startNode({ id: 'n1', listen: '127.0.0.1:7211', dataDir, cluster: { n1: server } })
await node.ready()

const shop = await connect(server)
const desk = await connect(server)
const other = await connect(server)

// Two consumers share the queue `billing`. Order 3 fails once: its handler throws, so it comes again.
const billed: number[] = []
const bill = (who: string) => async (message: Message) => {
  const { order } = message.body as { order: number }
  if (order === 3 && message.attempt === 1) throw new Error('the card reader is offline')
  console.log(`billing, ${who}: order ${order}${message.attempt > 1 ? `, attempt ${message.attempt}` : ''}`)
  billed.push(order)
}
await desk.subscribe('orders.created', bill('first desk'), { queue: 'billing', prefetch: 1 })
await other.subscribe('orders.created', bill('second desk'), { queue: 'billing', prefetch: 1 })

// The queue `audit` gets all orders too. It is made before somebody reads it: from now on it keeps what is published.
const audit = desk.queue('audit')
await audit.declare()
await audit.bind('orders.#')
const audited: number[] = []
const auditing = (async () => {
  for await (const message of desk.subscribe('orders.#', { queue: 'audit' })) {
    audited.push((message.body as { order: number }).order)
    await message.ack()
    if (audited.length === ORDERS) break
  }
})()

for (let order = 1; order <= ORDERS; order++) await shop.publish('orders.created', { order })
console.log(`shop: ${ORDERS} orders are stored`)

await auditing
await desk.drain()
await other.drain()

const inOrder = Array.from({ length: ORDERS }, (_, i) => i + 1)
assert.deepEqual(audited, inOrder, 'the audit sees every order once, in order')
assert.deepEqual(
  billed.toSorted((a, b) => a - b),
  inOrder,
  'every order is billed once, by either desk',
)
const { ready, unsettled } = await shop.queue('billing').stats()
assert.deepEqual({ ready, unsettled }, { ready: 0, unsettled: 0 }, 'nothing is left')

for (const client of [shop, desk, other]) await client.close()
await node.stop()
await rm(dataDir, { recursive: true })
console.log('done')
