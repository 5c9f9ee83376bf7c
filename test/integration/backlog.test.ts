/** One client consumes a deep backlog, read back from the disk, beside a queue whose messages come and go. */
import { afterAll, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { TestMesh } from './mesh.ts'

const BACKLOG = Number(process.env.MESHMQ_BACKLOG ?? 60_000)
/** Three times the longest wait that was measured, with 200,000 messages on two cores under a load of twelve (half of them waited 15 ms at most). */
const WAIT_MS_MAX = 500

let mesh: TestMesh
afterAll(() => mesh.close())

it('a deep backlog does not hold up the live messages of its neighbour, in the same session', async () => {
  // A small cache: nearly all of the backlog is on the disk only.
  mesh = await TestMesh.start({ entryCacheBytes: 256 * 1024 }, 1)
  const client = await mesh.client('n1')
  for (const queue of ['deep', 'live']) {
    await client.queue(queue).declare()
    await client.queue(queue).bind(queue)
  }
  const body = 'x'.repeat(128)
  for (let sent = 0; sent < BACKLOG; sent += 10_000) {
    await Promise.all(Array.from({ length: 10_000 }, () => client.publish('deep', body)))
  }
  const waits: number[] = []
  await client.subscribe('live', ({ body: sentMs }) => waits.push(performance.now() - (sentMs as number)), {
    queue: 'live',
  })
  let consumed = 0
  const sinceMs = performance.now()
  await client.subscribe('deep', () => consumed++, { queue: 'deep', prefetch: 10_000 })
  const publishing: Promise<unknown>[] = []
  while (consumed < BACKLOG) {
    publishing.push(client.publish('live', performance.now()))
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const tookMs = performance.now() - sinceMs
  await Promise.all(publishing)
  await eventually(() => waits.length === publishing.length, { what: 'all live messages have come' })
  waits.sort((a, b) => a - b)
  const at = (share: number) => Math.round(waits[Math.floor(share * (waits.length - 1))]!)
  console.info(
    `${consumed} in ${Math.round(tookMs)} ms; ${waits.length} live: p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)} ms`,
  )
  expect(at(1)).toBeLessThan(WAIT_MS_MAX)
}, 60_000)
