/** One client consumes a deep backlog, read back from the disk, beside a queue whose messages come and go. */
import { afterAll, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { TestMesh } from './mesh.ts'

const BACKLOG = Number(process.env.MESHMQ_BACKLOG ?? 60_000)
/** So many may be under way at a time: what waits for all of them has no turn of its own. */
const PREFETCH = 10_000
/** Whoever has turns waits for a frame of the other at the most, of some 1,900 messages. */
const WAIT_MAX = PREFETCH / 2

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
  // A wait is told by what came of the backlog meanwhile, from the confirm on: neither a slow machine nor a slow disk changes that.
  let consumed = 0
  const confirmedAt: number[] = []
  const arrivedAt: number[] = []
  const note = ({ body }: { readonly body: unknown }) => {
    arrivedAt[body as number] = consumed
  }
  await client.subscribe('live', note, { queue: 'live' })
  const sinceMs = performance.now()
  await client.subscribe('deep', () => consumed++, { queue: 'deep', prefetch: PREFETCH })
  const publishing: Promise<unknown>[] = []
  while (consumed < BACKLOG) {
    const n = publishing.length
    const publish = async () => {
      await client.publish('live', n)
      confirmedAt[n] = consumed
    }
    publishing.push(publish())
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const tookMs = performance.now() - sinceMs
  await Promise.all(publishing)
  await eventually(() => Object.keys(arrivedAt).length === publishing.length, { what: 'all live messages have come' })
  const waits = arrivedAt.map((at, n) => Math.max(0, at - confirmedAt[n]!)).sort((a, b) => a - b)
  const at = (share: number) => waits[Math.floor(share * (waits.length - 1))]!
  console.info(
    `${consumed} in ${Math.round(tookMs)} ms; ${waits.length} live ones waited for p50 ${at(0.5)}, max ${at(1)}`,
  )
  expect(at(1)).toBeLessThan(WAIT_MAX)
}, 60_000)
