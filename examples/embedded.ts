/**
 * No broker to run: three services, each with a node of its own in its process, are the cluster. Here the three share one process
 * so that one command shows it; each `startService` stands for a program on a machine of its own.
 *
 * Then one of them goes, and the other two carry on with everything that was stored.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Message } from 'meshmq'
import { startNode } from 'meshmq/node'

const dataDir = await mkdtemp(join(tmpdir(), 'meshmq-embedded-'))
const cluster = {
  orders: 'ws://127.0.0.1:7231',
  billing: 'ws://127.0.0.1:7232',
  mail: 'ws://127.0.0.1:7233',
}

/** The node of one service. Members may start in any order; a new cluster is founded once all are there. */
function startService(id: keyof typeof cluster) {
  return startNode({ id, listen: new URL(cluster[id]).host, dataDir: join(dataDir, id), cluster })
}

const nodes = await Promise.all([startService('orders'), startService('billing'), startService('mail')])
await Promise.all(nodes.map((node) => node.ready()))
const [ordersNode, billingNode, mailNode] = nodes

// A client of the own node needs no TCP: same API, in-process socket.
const orders = await ordersNode.connect()
const billing = await billingNode.connect()
const mail = await mailNode.connect()

await mail.respond('mail.address', async () => 'jo@example.com')
const bills: string[] = []
let done = () => {}
const allBilled = new Promise<void>((resolve) => {
  done = resolve
})
const bill = async (message: Message) => {
  const { order, to } = message.body as { order: number; to: string }
  bills.push(`bill ${order} to ${to}`)
  if (bills.length === 4) done()
}
await billing.subscribe('orders.*', bill, { queue: 'billing' })

const address = (await orders.request('mail.address', { customer: 1 })).body
for (const order of [1, 2]) await orders.publish('orders.created', { order, to: address })
console.log(`orders: two orders stored, address ${address} asked for on the way`)

await mail.close()
await mailNode.stop()
console.log('mail: gone')

for (const order of [3, 4]) await orders.publish('orders.created', { order, to: address })
console.log('orders: two more stored, by the two nodes that are left')

await allBilled
console.log(`billing: ${bills.join(', ')}`)
assert.deepEqual(
  bills,
  [1, 2, 3, 4].map((order) => `bill ${order} to jo@example.com`),
  'every order is billed once, in order',
)

for (const client of [orders, billing]) await client.close()
for (const node of [ordersNode, billingNode]) await node.stop()
await rm(dataDir, { recursive: true })
console.log('done')
