/**
 * Request and reply: responders on one topic share the requests, errors travel back, and a question that nobody answers fails at
 * once instead of waiting for a timeout.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, MeshError } from 'meshmq'
import { startNode } from 'meshmq/node'

const server = 'ws://127.0.0.1:7221'
const dataDir = await mkdtemp(join(tmpdir(), 'meshmq-request-reply-'))
const node = await startNode({ id: 'n1', listen: '127.0.0.1:7221', dataDir, cluster: { n1: server } })
await node.ready()

const shop = await connect(server)
const responders = [await connect(server), await connect(server)]

for (const [number, responder] of responders.entries()) {
  await responder.respond('price.quote', async (request) => {
    const { sku } = request.body as { sku: number }
    if (sku < 0) throw new Error(`there is no article ${sku}`)
    return { price: 3 * sku, by: number }
  })
}

const answeredBy = new Set<number>()
for (let sku = 1; sku <= 10; sku++) {
  const reply = await shop.request('price.quote', { sku }, { timeoutMs: 2_000 })
  const { price, by } = reply.body as { price: number; by: number }
  assert.equal(price, 3 * sku)
  answeredBy.add(by)
}
console.log(`10 quotes, from ${answeredBy.size} responders`)
assert.equal(answeredBy.size, 2, 'the responders share the requests')

await assert.rejects(shop.request('price.quote', { sku: -1 }), (error) => {
  assert(error instanceof MeshError)
  console.log(`a responder that throws: ${error.code}, ${error.message}`)
  return error.code === 'Remote'
})

const from = performance.now()
await assert.rejects(shop.request('weather.today', {}, { timeoutMs: 10_000 }), (error) => {
  assert(error instanceof MeshError)
  console.log(`nobody there: ${error.code} after ${Math.round(performance.now() - from)} ms`)
  return error.code === 'NoResponders' && error.outcome === 'not-applied'
})
assert(performance.now() - from < 5_000, 'it does not wait for the timeout')

for (const client of [...responders, shop]) await client.close()
await node.stop()
await rm(dataDir, { recursive: true })
console.log('done')
