import { expect, it } from 'vitest'
import type { Json } from '../../../jepsen-lite/history.ts'
import { seeded } from '../../../jepsen-lite/random.ts'
import { padded } from '../../../jepsen-lite/workloads/padding.ts'
import { queue } from '../../../jepsen-lite/workloads/queue.ts'
import { closeAfterTest, TestMesh } from '../../integration/mesh.ts'

it('a receive tells of what it got, of a body that is not the one that was published too, and how each settle ends', async () => {
  const mesh = closeAfterTest(await TestMesh.start({}, 1))
  const client = await mesh.clientOf()
  await queue.setup({ client, random: seeded(1), concurrency: 2 })
  await client.publish('jobs.new', padded(1, 10))
  await client.publish('jobs.new', { ...padded(2, 10), padding: 'ccccccccc' })
  const told: { readonly [key: string]: Json }[] = []
  const process = await queue.open({
    connectOptions: { servers: mesh.urls },
    // Of the processes without a subscription.
    slot: 1,
    process: 1,
    concurrency: 2,
    emit: async (name, f, value) => void told.push({ name, f, ...(value as { readonly [key: string]: Json }) }),
  })
  expect(await process.invoke({ f: 'receive', value: { max: 2, waitMs: 1_000 } })).toMatchObject({ type: 'ok' })
  await process.close()
  const delivered = told.filter(({ f }) => f === 'deliver')
  expect(delivered.map(({ id, corrupt }) => [id, corrupt])).toEqual([
    [1, undefined],
    [2, true],
  ])
  for (const { name, message } of delivered) {
    const events = told.filter((each) => each.name === name && each.message === message)
    expect(events.map(({ f }) => f)).toEqual(['deliver', 'settle', 'settled'])
  }
})
