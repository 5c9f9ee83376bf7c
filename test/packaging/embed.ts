/** A user's TypeScript against the embedding door: only checked, never run. The wrong line must be an error. */
import type { Client } from 'meshmq'
import { startNode } from 'meshmq/node'

export async function embed(): Promise<void> {
  const node = await startNode({
    id: 'n1',
    listen: '127.0.0.1:7101',
    dataDir: './data/n1',
    cluster: { n1: 'ws://127.0.0.1:7101' },
  })
  await node.ready()
  const client: Client = await node.connect()
  await client.publish('a', 1)
  await node.stop()
  // @ts-expect-error: a node needs an id
  await startNode({ listen: '127.0.0.1:7101', dataDir: './data/n1', cluster: {} })
}
