/**
 * W6: `kill -9` of the leader under load. The publisher is connected to a survivor; the stall is the longest time between two
 * confirmations, from the kill on. Then the dead node comes back, and every confirmed message is looked for.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { nodeId } from '../cluster.ts'
import { sleep, wallMs } from '../figures.ts'
import { bodyId } from '../roles/role.ts'
import type { Bench, Row } from './workload.ts'

const SIZE = 128
const IN_FLIGHT = 100
const BEFORE_KILL_MS = 4_000
/** Nothing more arrives for so long: the queue is read out. */
const SILENCE_MS = 10_000

export async function failoverWorkload(bench: Bench): Promise<Row> {
  const runs: Record<string, number>[] = []
  for (let i = 0; i < bench.options.reps; i++) runs.push(await failOnce(bench))
  return { name: `W6 ${SIZE} B, ${IN_FLIGHT} in flight`, runs, problems: bench.problems.splice(0) }
}

async function failOnce(bench: Bench): Promise<Record<string, number>> {
  const { cluster, options } = bench
  const { topic, queues } = await bench.declareQueues(1)
  const leader = await cluster.leader()
  const servers = [1, 2].map((step) => cluster.urls[(leader + step) % 3]!)
  const ackedFile = path.join(cluster.directory, 'acked.json')
  const params = { servers, topic, size: SIZE, inFlight: IN_FLIGHT, ackedFile }
  const publisher = await bench.role('failoverPublisher', params)
  publisher.go()
  await sleep(BEFORE_KILL_MS)
  const killedMs = wallMs()
  await cluster.kill(leader)
  await sleep(options.afterSeconds * 1000)
  publisher.stop()
  const published = await publisher.result(60_000)
  cluster.startNode(leader)
  await cluster.ready()
  const acked = JSON.parse(readFileSync(ackedFile, 'utf8')) as number[]
  const stored = await readOut(bench, topic, queues[0]!)
  const stall = longest(published.gaps.filter(([, toMs]) => toMs > killedMs))
  const missing = acked.filter((id) => !stored.ids.has(id)).length
  if (missing > 0) bench.problem(`${missing} confirmed messages are missing after ${nodeId(leader)} died`)
  if (published.retries > 0)
    bench.problem(`${published.retries} publishes failed and were repeated: ${published.lastError}`)
  await bench.deleteQueues(queues)
  return {
    'stall ms': stall.lengthMs,
    'stall begins, ms after the kill': stall.fromMs - killedMs,
    confirmed: acked.length,
    missing,
    'stored twice': stored.received - stored.ids.size,
  }
}

function longest(gaps: readonly (readonly [number, number])[]): { fromMs: number; lengthMs: number } {
  let found = { fromMs: Number.NaN, lengthMs: 0 }
  for (const [fromMs, toMs] of gaps) {
    if (toMs - fromMs > found.lengthMs) found = { fromMs, lengthMs: toMs - fromMs }
  }
  return found
}

/** The ids of everything that the queue holds. */
async function readOut(bench: Bench, topic: string, queue: string) {
  const ids = new Set<number>()
  let received = 0
  let lastAt = performance.now()
  const options = { queue, prefetch: bench.options.prefetch }
  const subscription = await bench.client.subscribe(
    topic,
    (message) => {
      ids.add(bodyId(message.body))
      received += 1
      lastAt = performance.now()
    },
    options,
  )
  while ((await bench.messagesIn(queue)) > 0 && performance.now() - lastAt < SILENCE_MS) await sleep(100)
  await subscription.close()
  return { ids, received }
}
