import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, type Message, PermanentError } from '../../client/index.ts'
import { limits } from '../../wire/limits.ts'
import { eventually } from '../support/eventually.ts'
import { Held } from '../support/held.ts'
import { TestMesh } from './mesh.ts'

let mesh: TestMesh
let names = 0
/** A word that no other test uses: all of them share one mesh. */
const fresh = (word: string) => `${word}${++names}`

beforeAll(async () => {
  mesh = await TestMesh.start()
})

afterAll(() => mesh.close())

async function declare(client: Client, name: string, ...patterns: string[]): Promise<void> {
  await client.queue(name).declare()
  for (const pattern of patterns) await client.queue(name).bind(pattern)
}

async function publishAll(client: Client, topic: string, from: number, to: number): Promise<void> {
  const numbers = Array.from({ length: to - from + 1 }, (_, i) => from + i)
  await Promise.all(numbers.map((n) => client.publish(topic, n)))
}

describe('a message', () => {
  it.each([
    ['n1', 'n2'],
    ['n2', 'n3'],
    ['n3', 'n1'],
    ['n2', 'n2'],
  ])('published on %s reaches a consumer on %s whole', async (from, to) => {
    const topic = fresh('orders')
    const consumer = await mesh.client(to)
    const received: Message[] = []
    await consumer.subscribe(`${topic}.*`, (message) => void received.push(message), { queue: fresh('billing') })
    const publisher = await mesh.client(from)
    const body = { id: 1, text: 'ünïcode', list: [1, 2.5, null, true], bytes: Uint8Array.of(1, 2, 3) }
    const beforeMs = Date.now()
    const ack = await publisher.publish(`${topic}.created`, body, { headers: { tenant: 'acme' }, correlationId: 'c-1' })
    await eventually(() => received.length === 1)
    const [message] = received
    expect(message).toMatchObject({ id: ack.id, topic: `${topic}.created`, attempt: 1, correlationId: 'c-1' })
    expect(message!.headers).toEqual({ tenant: 'acme' })
    expect(message!.body).toMatchObject({ ...body, bytes: expect.anything() })
    expect([...(message!.body as typeof body).bytes]).toEqual([1, 2, 3])
    expect(Math.abs(Number(message!.timestamp) - beforeMs)).toBeLessThan(10_000)
  })

  it('of 1 MiB goes through, beside small ones and in order', async () => {
    const topic = fresh('large')
    const queue = fresh('queue')
    const held = new Held()
    const publisher = await mesh.client('n1')
    const consumer = await mesh.client('n3')
    await declare(publisher, queue, topic)
    const largest = new Uint8Array(limits.messageBytesMax - 16).fill(7)
    const sent = ['small', largest, 'small again', largest, largest, 'last']
    await Promise.all(sent.map((body) => publisher.publish(topic, body)))
    await consumer.subscribe(topic, held.handler, { queue })
    await eventually(() => held.messages.length === sent.length)
    const sizes = held.bodies.map((body) => (typeof body === 'string' ? body : (body as Uint8Array).length))
    expect(sizes).toEqual(sent.map((body) => (typeof body === 'string' ? body : body.length)))
    expect((held.bodies[3] as Uint8Array).every((byte) => byte === 7)).toBe(true)
  })

  it('above the limit is refused by its code, and those around it go through', async () => {
    const topic = fresh('large')
    const queue = fresh('queue')
    const client = await mesh.client('n2')
    await declare(client, queue, topic)
    const before = client.publish(topic, 1)
    const tooLarge = client.publish(topic, new Uint8Array(limits.messageBytesMax + 1))
    const after = client.publish(topic, 2)
    await expect(tooLarge).rejects.toMatchObject({ code: 'PayloadTooLarge', outcome: 'not-applied' })
    await Promise.all([before, after])
    expect(await client.queue(queue).stats({ consistent: true })).toMatchObject({ ready: 2 })
  })

  it('on a forbidden topic is refused by its code', async () => {
    const client = await mesh.client('n2')
    for (const topic of ['', 'a..b', 'a.*', '#', 'a b', 'x'.repeat(256)]) {
      await expect(client.publish(topic, 1)).rejects.toMatchObject({ code: 'Validation', outcome: 'not-applied' })
    }
  })

  it('that nobody is bound to is confirmed and gone', async () => {
    const topic = fresh('nowhere')
    const client = await mesh.client('n1')
    await client.publish(topic, 'gone')
    const queue = fresh('late')
    await declare(client, queue, topic)
    expect(await client.queue(queue).stats({ consistent: true })).toMatchObject({ ready: 0, unsettled: 0 })
  })
})

describe('fan-out', () => {
  it('gives every bound queue its copy, whatever node its consumer is on, once even if two patterns match', async () => {
    const root = fresh('fan')
    const patterns = [[`${root}.#`], [`${root}.*.eu`], [`${root}.a.*`, `${root}.#`], [`${root}.other`]]
    const queues = patterns.map(() => fresh('copy'))
    const received = new Map<string, unknown[]>()
    for (const [i, queue] of queues.entries()) {
      const consumer = await mesh.client(mesh.ids[i % 3]!)
      await declare(consumer, queue, ...patterns[i]!)
      received.set(queue, [])
      await consumer.subscribe(patterns[i]![0]!, ({ body }) => void received.get(queue)!.push(body), { queue })
    }
    const publisher = await mesh.client('n2')
    await publisher.publish(`${root}.a.eu`, 'both')
    await publisher.publish(`${root}.b.us`, 'one')
    await publisher.publish(root, 'root')
    await publisher.publish(`${root}.end`, 'end')
    await eventually(() => received.get(queues[0]!)!.length === 4 && received.get(queues[2]!)!.length === 4)
    expect([...received.values()]).toEqual([
      ['both', 'one', 'root', 'end'],
      ['both'],
      ['both', 'one', 'root', 'end'],
      [],
    ])
  })

  it('ends for a queue when it is unbound, and its messages stay', async () => {
    const topic = fresh('topic')
    const name = fresh('queue')
    const client = await mesh.client('n3')
    await declare(client, name, topic)
    await client.publish(topic, 1)
    await client.queue(name).unbind(topic)
    await client.publish(topic, 2)
    expect(await client.queue(name).stats({ consistent: true })).toMatchObject({ ready: 1, bindings: [] })
  })
})

describe('competing consumers', () => {
  it('of one queue share its messages fairly, each message once, across nodes', async () => {
    const topic = fresh('work')
    const queue = fresh('queue')
    const shares = new Map<string, unknown[]>()
    for (const id of mesh.ids) {
      const share: unknown[] = []
      shares.set(id, share)
      await (await mesh.client(id)).subscribe(topic, ({ body }) => void share.push(body), { queue, prefetch: 10 })
    }
    const publisher = await mesh.client('n1')
    await publishAll(publisher, topic, 1, 300)
    const all = () => [...shares.values()].flat()
    await eventually(() => all().length === 300)
    expect(new Set(all()).size).toBe(300)
    // Equal prefetch and equal work: none starves.
    for (const share of shares.values()) expect(share.length).toBeGreaterThanOrEqual(50)
  })

  it('hold no more than their prefetch; what is beyond waits in the queue', async () => {
    const topic = fresh('work')
    const queue = fresh('queue')
    const held = new Held()
    const client = await mesh.client('n2')
    await declare(client, queue, topic)
    await publishAll(client, topic, 1, 10)
    await client.subscribe(topic, held.handler, { queue, prefetch: 3 })
    await eventually(() => held.messages.length === 3)
    expect(await client.queue(queue).stats({ consistent: true })).toMatchObject({ ready: 7, unsettled: 3 })
    held.finish(1)
    await eventually(() => held.messages.length === 4)
    expect(await client.queue(queue).stats({ consistent: true })).toMatchObject({ ready: 6, unsettled: 3 })
    expect(held.bodies).toEqual([1, 2, 3, 4])
  })

  it('pass by one that is stuck: it keeps what it holds and nothing else', async () => {
    const topic = fresh('work')
    const queue = fresh('queue')
    const stuck = new Held()
    await (await mesh.client('n1')).subscribe(topic, stuck.handler, { queue, prefetch: 2 })
    const done: unknown[] = []
    await (await mesh.client('n2')).subscribe(topic, ({ body }) => void done.push(body), { queue, prefetch: 2 })
    await publishAll(await mesh.client('n3'), topic, 1, 100)
    await eventually(() => done.length === 98)
    expect(stuck.messages).toHaveLength(2)
  })
})

describe('settling', () => {
  it('returns a nacked message to its old place, with a higher attempt', async () => {
    const topic = fresh('work')
    const queue = fresh('queue')
    const held = new Held()
    const client = await mesh.client('n1')
    await declare(client, queue, topic)
    await publishAll(client, topic, 1, 6)
    await client.subscribe(topic, held.handler, { queue, prefetch: 1 })
    await eventually(() => held.messages.length === 1)
    await held.messages[0]!.nack()
    await eventually(() => held.messages.length === 2)
    await held.messages[1]!.nack()
    await eventually(() => held.messages.length === 3)
    await held.messages[2]!.ack()
    await eventually(() => held.messages.length === 4)
    expect(held.told).toEqual(['1 1', '1 2', '1 3', '2 1'])
  })

  it('delivers a message that was nacked with a delay later, and others meanwhile', async () => {
    const topic = fresh('work')
    const queue = fresh('queue')
    const held = new Held()
    const client = await mesh.client('n2')
    await declare(client, queue, topic)
    await publishAll(client, topic, 1, 3)
    await client.subscribe(topic, held.handler, { queue, prefetch: 1 })
    await eventually(() => held.messages.length === 1)
    const nackedMs = performance.now()
    await held.messages[0]!.nack({ delayMs: 300 })
    await eventually(() => held.messages.length === 2)
    expect(held.bodies).toEqual([1, 2])
    await held.messages[1]!.ack()
    await eventually(() => held.messages.length === 3)
    await held.messages[2]!.ack()
    await eventually(() => held.messages.length === 4)
    expect(performance.now() - nackedMs).toBeGreaterThanOrEqual(290)
    expect(held.told).toEqual(['1 1', '2 1', '3 1', '1 2'])
  })

  it('takes a handler that returns for an ack, one that throws for a nack, PermanentError for a reject', async () => {
    const topic = fresh('work')
    const queue = fresh('queue')
    const client = await mesh.client('n3')
    const seen: string[] = []
    const handler = ({ body, attempt }: Message) => {
      seen.push(`${body} ${attempt}`)
      if (body === 'fails once' && attempt === 1) throw new Error('try again')
      if (body === 'hopeless') throw new PermanentError('never')
    }
    await client.subscribe(topic, handler, { queue, prefetch: 1 })
    for (const body of ['fine', 'fails once', 'hopeless', 'last']) await client.publish(topic, body)
    await eventually(async () => {
      const { ready, unsettled } = await client.queue(queue).stats({ consistent: true })
      return seen.includes('last 1') && ready + unsettled === 0
    })
    expect(seen.filter((each) => !each.startsWith('last'))).toEqual([
      'fine 1',
      'fails once 1',
      'fails once 2',
      'hopeless 1',
    ])
  })

  it('tells LeaseLost to whoever settles after the visibility timeout, and another consumer gets the message', async () => {
    const topic = fresh('work')
    const queue = fresh('queue')
    const owner = await mesh.client('n1')
    await declare(owner, queue, topic)
    await owner.publish(topic, 'slow')
    const slow = owner.subscribe(topic, { queue, visibilityTimeoutMs: 200, autoExtend: false })
    const first = (await slow[Symbol.asyncIterator]().next()).value as Message
    const held = new Held()
    await (await mesh.client('n2')).subscribe(topic, held.handler, { queue })
    await eventually(() => held.messages.length === 1)
    expect(held.bodies).toEqual(['slow'])
    // The first consumer has credit too, and may have had it, and lost it, more than once.
    expect(held.messages[0]!.attempt).toBeGreaterThan(1)
    await expect(first.ack()).rejects.toMatchObject({ code: 'LeaseLost' })
    held.finish(0)
  })
})

describe('a queue', () => {
  it('tells its figures, consistent ones from every node at once after a confirm elsewhere', async () => {
    const topic = fresh('topic')
    const name = fresh('queue')
    const publisher = await mesh.client('n1')
    await declare(publisher, name, topic)
    const askers = await Promise.all(mesh.ids.map((id) => mesh.client(id)))
    for (let n = 1; n <= 20; n++) {
      await publisher.publish(topic, n)
      // A confirmed publish is seen by a consistent read that starts later, on any node.
      for (const asker of askers) {
        expect(await asker.queue(name).stats({ consistent: true })).toMatchObject({
          queue: name,
          ready: n,
          bindings: [topic],
        })
      }
    }
  })

  it('is deleted with its messages; its consumers hear of it', async () => {
    const topic = fresh('topic')
    const name = fresh('queue')
    const owner = await mesh.client('n1')
    const consumer = await mesh.client('n2')
    const subscription = await consumer.subscribe(topic, () => {}, { queue: name })
    await owner.queue(name).delete()
    await expect(subscription.closed).rejects.toMatchObject({ code: 'Cancelled' })
    await expect(owner.queue(name).stats({ consistent: true })).rejects.toMatchObject({ code: 'NotFound' })
  })
})
