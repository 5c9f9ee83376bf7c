/** A user's ESM program: a cluster of one in this process, one message there and back. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, MeshError, PermanentError } from 'meshmq'
import { startNode } from 'meshmq/node'

assert(new PermanentError('x') instanceof Error)
const dataDir = mkdtempSync(join(tmpdir(), 'meshmq-esm-'))
const listen = '127.0.0.1:7191'
const node = await startNode({ id: 'n1', listen, dataDir, cluster: { n1: `ws://${listen}` } })
await node.ready()
const client = await connect({ servers: `ws://${listen}` })
const { promise, resolve } = withResolvers()
await client.subscribe('greetings.*', async (message) => resolve(message.body), { queue: 'greetings' })
const { id } = await client.publish('greetings.new', { text: 'hello' })
assert.equal(typeof id, 'string')
assert.deepEqual(await promise, { text: 'hello' })
await assert.rejects(
  client.publish('a..b', 1),
  (error) => error instanceof MeshError && error.code === 'Validation' && error.outcome === 'not-applied',
)
await client.drain()
await client.close()
await node.stop()
rmSync(dataDir, { recursive: true })
console.log('done')

function withResolvers() {
  let resolve
  const promise = new Promise((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
