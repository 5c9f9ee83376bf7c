/** A user's CommonJS program: `require` of an ESM package, a client over the in-process socket, one message there and back. */
const assert = require('node:assert/strict')
const { mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { connect, MeshError } = require('meshmq')
const { startNode } = require('meshmq/node')

async function main() {
  assert.equal(typeof connect, 'function')
  assert(new MeshError('Closed', 'x') instanceof Error)
  const dataDir = mkdtempSync(join(tmpdir(), 'meshmq-cjs-'))
  const listen = '127.0.0.1:7192'
  const node = await startNode({ id: 'n1', listen, dataDir, cluster: { n1: `ws://${listen}` } })
  await node.ready()
  const client = await node.connect()
  const queue = client.queue('greetings')
  await queue.declare()
  await queue.bind('greetings.*')
  await client.publish('greetings.new', 'hello')
  for await (const message of client.subscribe('greetings.*', { queue: 'greetings' })) {
    assert.equal(message.body, 'hello')
    await message.ack()
    break
  }
  await client.close()
  await node.stop()
  rmSync(dataDir, { recursive: true })
  console.log('done')
}

main()
