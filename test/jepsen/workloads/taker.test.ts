import { beforeEach, expect, it } from 'vitest'
import type { Client } from '../../../client/index.ts'
import type { Json } from '../../../jepsen-lite/history.ts'
import { OpenCalls } from '../../../jepsen-lite/workers/open-calls.ts'
import { Drainer } from '../../../jepsen-lite/workloads/draining.ts'
import { padded } from '../../../jepsen-lite/workloads/padding.ts'
import { type Fate, Taker } from '../../../jepsen-lite/workloads/taker.ts'
import { closeAfterTest, TestMesh } from '../../integration/mesh.ts'
import { eventually } from '../../support/eventually.ts'

let mesh: TestMesh
let client: Client
let told: { name: string; f: string; value: Json }[]
/** Called before an event counts as told. */
let beforeTold: (f: string) => Promise<void>

const emit = async (name: string, f: string, value: Json) => {
  await beforeTold(f)
  told.push({ name, f, value })
}
const names = (f: string) => told.filter((event) => event.f === f).map(({ name }) => name)
const attempts = () =>
  told.filter(({ f }) => f === 'deliver').map(({ value }) => (value as { attempt: number }).attempt)
const stats = () => client.queue('q').stats({ consistent: true })

beforeEach(async () => {
  mesh = closeAfterTest(await TestMesh.start({}, 1))
  client = await mesh.clientOf()
  told = []
  beforeTold = async () => {}
  await client.queue('q').declare()
  await client.queue('q').bind('q')
  await client.publish('q', { id: 7 })
})

function take(decide: () => Fate): Taker {
  return new Taker({ client, emit, name: 'taker', queue: 'q', pattern: 'q', prefetch: 5, decide })
}

it('tells of a delivery and of its settling, each before it goes on', async () => {
  take(() => ({ as: 'ack' }))
  await eventually(() => names('settled').length > 0)
  const events = told.filter(({ f }) => f !== 'answered')
  expect(events.map(({ f }) => f)).toEqual(['subscribe', 'deliver', 'settle', 'settled'])
  expect(events[1]!.value).toMatchObject({ queue: 'q', attempt: 1, id: 7, topic: 'q' })
})

it('tells of a body that is not the one that was published, and of no other', async () => {
  await client.publish('q', padded(8, 10))
  await client.publish('q', { ...padded(9, 10), padding: 'jjjjjjjjjx' })
  take(() => ({ as: 'ack' }))
  await eventually(() => names('settled').length === 3)
  const delivered = told.filter(({ f }) => f === 'deliver').map(({ value }) => value as Record<string, Json>)
  expect(delivered.slice(1).map(({ id, corrupt }) => [id, corrupt])).toEqual([
    [8, undefined],
    [9, true],
  ])
})

it.each(['deliver', 'settle'])('settles nothing before the history has its %s', async (f) => {
  let pass = () => {}
  const told = new Promise<void>((resolve) => {
    pass = resolve
  })
  let isReached = false
  beforeTold = async (each) => {
    if (each !== f) return
    isReached = true
    await told
  }
  take(() => ({ as: 'ack' }))
  await eventually(() => isReached)
  // A settle that had been sent would be answered before this.
  expect(await stats()).toMatchObject({ unsettled: 1 })
  pass()
  await eventually(async () => (await stats()).unsettled === 0)
})

it('goes away with what it keeps, tells so, and comes back as another consumer, to which it comes again', async () => {
  const taker = take(() => ({ as: 'keep' }))
  await eventually(() => names('deliver').length === 1)
  await taker.renew()
  await eventually(() => names('deliver').length === 2)
  expect(names('subscribe')).toEqual(['taker#1', 'taker#2'])
  expect([...names('lost'), ...names('closed')]).toEqual(['taker#1', 'taker#1'])
  expect(attempts()).toEqual([1, 2])
})

it('tells the end of each call that it has begun: of subscriptions, refused ones too, of settles and of closes', async () => {
  const calls = new OpenCalls()
  const seen: string[] = []
  const tell = async (name: string, f: string, value: Json) => {
    await emit(name, f, value)
    calls.see(name, f, value)
    for (const call of calls.all) seen.push(call.split(' of ')[0]!)
  }
  const decide = ({ attempt }: { readonly attempt: number }): Fate => ({ as: attempt === 1 ? 'keep' : 'ack' })
  const options = { client, emit: tell, queue: 'q', pattern: 'q', prefetch: 5, decide }
  const taker = new Taker({ ...options, name: 'taker' })
  await eventually(() => names('deliver').length === 1)
  await taker.renew()
  await eventually(() => names('settled').length === 1)
  // It is somebody else's.
  const other = await await mesh.clientOf()
  await other.queue('theirs').declare({ exclusive: true })
  new Taker({ ...options, name: 'refused', queue: 'theirs' })
  await eventually(() => names('subscribe').filter((name) => name.startsWith('refused')).length > 1)
  await client.queue('q').delete()
  await eventually(() => names('ended').length === 1)
  await client.close()
  await eventually(() => calls.all.length === 0)
  expect([...new Set(seen)].sort()).toEqual(['close', 'settle', 'subscribe'])
})

it('does not come back before its gate is open', async () => {
  const taker = take(() => ({ as: 'keep' }))
  await eventually(() => names('deliver').length === 1)
  let open = () => {}
  await taker.renew(
    new Promise<void>((resolve) => {
      open = resolve
    }),
  )
  expect(await stats()).toMatchObject({ ready: 1, consumers: 0 })
  open()
  await eventually(() => names('deliver').length === 2)
})

it('is over when it is closed', async () => {
  const taker = take(() => ({ as: 'keep' }))
  await eventually(() => names('deliver').length === 1)
  await taker.close()
  expect(await stats()).toMatchObject({ ready: 1, consumers: 0 })
  expect(names('subscribe')).toEqual(['taker#1'])
})

it('is followed by a drain that empties what nobody takes, of its own slot', async () => {
  const context = { connectOptions: { servers: [] }, slot: 0, process: 3, concurrency: 1, emit }
  const drainer = new Drainer({ client, emit, context, prefix: 'q', isTaken: () => false })
  await client.queue('other').declare()
  await client.queue('other').bind('q')
  await client.publish('q', { id: 8 })
  expect(await drainer.drain()).toEqual({ type: 'ok' })
  expect(await stats()).toMatchObject({ ready: 0, unsettled: 0 })
  expect(names('deliver')).toEqual(['drain 3 q#1', 'drain 3 q#1'])
  expect(await client.queue('other').stats({ consistent: true })).toMatchObject({ ready: 1 })
})
