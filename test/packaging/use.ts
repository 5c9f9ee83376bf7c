/** A user's TypeScript against the SDK: only checked, never run. The wrong lines must be errors. */
import { type Client, connect, MeshError, type Message, PermanentError } from 'meshmq'

interface Order {
  readonly id: number
}

export async function use(): Promise<void> {
  const client: Client = await connect({ servers: ['ws://127.0.0.1:7101', 'ws://127.0.0.1:7102'] })
  const confirmed = await client.publish('orders.created', { id: 1 } satisfies Order, { headers: { source: 'web' } })
  confirmed.id satisfies string
  const handle = async (message: Message): Promise<void> => {
    message.topic satisfies string
    message.attempt satisfies number
    message.headers satisfies Readonly<Record<string, string>>
    if (message.attempt > 3) throw new PermanentError('enough')
  }
  await client.subscribe('orders.*', handle, { queue: 'billing', prefetch: 100 })
  for await (const message of client.subscribe('orders.#', { queue: 'audit' })) {
    await message.nack({ delayMs: 100 })
    break
  }
  const reply = await client.request('price.quote', { sku: 7 }, { timeoutMs: 1000 })
  reply.topic satisfies string
  await client.respond('price.quote', async () => ({ price: 3 }))
  try {
    await client.drain()
  } catch (error) {
    if (error instanceof MeshError && error.outcome === 'unknown' && error.code === 'NoQuorum') throw error.cause
  }
  await client.close()
  // @ts-expect-error: a topic is text
  await client.publish(7, {})
  // @ts-expect-error: servers are needed
  await connect({})
}
