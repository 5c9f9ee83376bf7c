import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Client, Message } from '../../client/index.ts'
import { eventually } from '../support/eventually.ts'
import { closeAfterTest, TestMesh } from './mesh.ts'

let mesh: TestMesh
let names = 0
const fresh = () => `q${++names}`

beforeAll(async () => {
  mesh = await TestMesh.start()
})

afterAll(() => mesh.close())

async function declared(client: Client): Promise<string> {
  const name = fresh()
  await client.queue(name).declare()
  await client.queue(name).bind(name)
  return name
}

const bodies = (messages: readonly Message[]) => messages.map(({ body }) => body)
const ackAll = (messages: readonly Message[]) => Promise.all(messages.map((message) => message.ack()))

describe('receive', () => {
  it('on any node takes what was published on another, first in first out, and leaves what it does not take', async () => {
    const publisher = await mesh.client('n1')
    const name = await declared(publisher)
    await Promise.all([1, 2, 3, 4].map((n) => publisher.publish(name, n)))
    const client = await mesh.client('n2')
    const first = await client.queue(name).receive({ max: 3 })
    expect(bodies(first)).toEqual([1, 2, 3])
    expect(await client.queue(name).stats({ consistent: true })).toMatchObject({ ready: 1, unsettled: 3 })
    await first[1]!.nack()
    await Promise.all([first[0]!.ack(), first[2]!.ack()])
    const rest = await (await mesh.client('n3')).queue(name).receive({ max: 10 })
    expect(rest.map(({ body, attempt }) => [body, attempt])).toEqual([
      [2, 2],
      [4, 1],
    ])
    await ackAll(rest)
    expect(await client.queue(name).receive()).toEqual([])
    expect(await client.queue(name).stats({ consistent: true })).toMatchObject({ ready: 0, unsettled: 0 })
  })

  it('waits for the first message, and no longer than it says', async () => {
    const client = await mesh.client('n3')
    const name = await declared(client)
    const startedMs = performance.now()
    expect(await client.queue(name).receive({ waitMs: 100 })).toEqual([])
    expect(performance.now() - startedMs).toBeGreaterThan(90)
    const waiting = client.queue(name).receive({ waitMs: 20_000, max: 5 })
    await (await mesh.client('n2')).publish(name, 'at last')
    const messages = await waiting
    expect(bodies(messages)).toEqual(['at last'])
    await ackAll(messages)
  })

  it('has messages larger than a frame all at once', async () => {
    const client = await mesh.client('n2')
    const name = await declared(client)
    const body = new Uint8Array(400_000)
    await Promise.all([1, 2, 3, 4, 5].map(() => client.publish(name, body)))
    const messages = await client.queue(name).receive({ max: 5 })
    expect(messages).toHaveLength(5)
    await ackAll(messages)
  })

  it('is refused where there is no such queue, and where it is exclusive to another', async () => {
    const client = await mesh.client('n1')
    await expect(client.queue(fresh()).receive()).rejects.toMatchObject({ code: 'NotFound', outcome: 'not-applied' })
    const name = fresh()
    await (await mesh.client('n2')).queue(name).declare({ exclusive: true })
    await expect(client.queue(name).receive()).rejects.toMatchObject({ code: 'Precondition' })
  })

  it('gives each message to one of many clients, and none is left', async () => {
    const clients = await Promise.all(['n1', 'n2', 'n3'].map((id) => mesh.client(id)))
    const name = await declared(clients[0]!)
    const count = 300
    await Promise.all(Array.from({ length: count }, (_, i) => clients[i % 3]!.publish(name, i)))
    const taken: unknown[] = []
    const take = async (client: Client) => {
      for (;;) {
        const messages = await client.queue(name).receive({ max: 7 })
        if (messages.length === 0) return
        taken.push(...bodies(messages))
        await ackAll(messages)
      }
    }
    await Promise.all([...clients, ...clients].map(take))
    expect(taken.sort((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: count }, (_, i) => i))
  })

  it('goes on when its node stops: what was handed out stays, and what waits is answered', async () => {
    const own = closeAfterTest(await TestMesh.start())
    const [leader] = [await own.leader()]
    const others = own.ids.filter((id) => id !== leader)
    const client = await own.clientOf(others.map((id) => own.url(id)))
    const publisher = await own.client(leader)
    const name = await declared(publisher)
    await publisher.publish(name, 'held')
    const [held] = await client.queue(name).receive()
    const waiting = client.queue(name).receive({ waitMs: 60_000 })
    const isAttachedTo = async (id: string) => (await own.node(id).status()).sessions > 0
    const at = (await isAttachedTo(others[0]!)) ? others[0]! : others[1]!
    await eventually(async () => (await publisher.queue(name).stats()).unsettled === 1)
    await own.stopNode(at)
    await publisher.publish(name, 'later')
    const messages = await waiting
    expect(bodies(messages)).toEqual(['later'])
    await ackAll([held!, ...messages])
    expect(await publisher.queue(name).stats({ consistent: true })).toMatchObject({ ready: 0, unsettled: 0 })
  })
})
