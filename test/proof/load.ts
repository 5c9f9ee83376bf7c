/**
 * Clients under load for the proofs: publishers that go on whatever happens to the cluster, and a consumer that keeps
 * receipts.
 */
import { type Client, MeshError, type Message } from '../../client/index.ts'
import type { Ledger, Numbered, Receipts } from './ledger.ts'

export interface LoadOptions {
  readonly client: Client
  readonly publisher: string
  readonly topic: string
  readonly ledger: Ledger
  /** Looked at before every burst. */
  readonly isEnough: () => boolean
}

const BURST = 10
/** Between bursts, milliseconds: the load lasts as long as the faults do. */
const PAUSE_MS = 20
/** Unconfirmed publishes of one publisher; beyond it the publisher waits. */
const IN_FLIGHT_MAX = 1_000

/** Publishes numbered messages until it is enough, or one has failed. Resolves when every one is confirmed or has failed. */
export async function publishLoad({ client, publisher, topic, ledger, isEnough }: LoadOptions): Promise<void> {
  const inFlight = new Set<Promise<void>>()
  const publishOne = (message: Numbered) => {
    const published: Promise<void> = client
      .publish(topic, message)
      .then(
        ({ id }) => ledger.ack(message, id),
        (error: unknown) => void ledger.errors.push(error),
      )
      .finally(() => inFlight.delete(published))
    inFlight.add(published)
  }
  while (!isEnough() && ledger.errors.length === 0) {
    for (let i = 0; i < BURST; i++) publishOne(ledger.next(publisher))
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    while (inFlight.size >= IN_FLIGHT_MAX) await Promise.race(inFlight)
  }
  await Promise.all(inFlight)
}

/** A durable queue that gathers what matches, with nobody who consumes it yet. */
export async function declareBound(client: Client, name: string, pattern: string): Promise<void> {
  const queue = client.queue(name)
  await queue.declare()
  await queue.bind(pattern)
}

/** Consumes from the queue into the receipts, acknowledging each message, until the client closes. */
export async function consumeLoad(client: Client, queue: string, pattern: string, receipts: Receipts): Promise<void> {
  await client.subscribe(pattern, (message) => receiveOne(message, receipts), { queue, prefetch: 200 })
}

async function receiveOne(message: Message, receipts: Receipts): Promise<void> {
  receipts.receive(message)
  try {
    await message.ack()
    receipts.settle(message.id)
  } catch (error) {
    // The delivery went back to its queue before the ack came through: it will come again.
    if (!(error instanceof MeshError) || error.code !== 'LeaseLost') throw error
  }
}
