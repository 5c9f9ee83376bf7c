/**
 * W7: a queue that nobody consumes. How much memory it costs, whether it slows another queue, how soon a cluster that
 * was killed as a whole serves again, and how fast the backlog is then consumed, in order.
 */
import { sleep, wallMs } from '../figures.ts'
import { residentBytes } from '../system.ts'
import { consumeOnce } from './consume.ts'
import type { Bench, Row } from './workload.ts'

/** Messages of W2's run on another queue, without the backlog and beside it. */
const HEAD_MESSAGES = 500_000
/** Garbage is collected and the last batch is applied in this time. */
const SETTLING_MS = 5_000
const SAMPLE_MS = 250
/** Even a slow run ends before that, for each message, milliseconds. */
export const MESSAGE_MS_MAX = 0.1

export async function backlogWorkload(bench: Bench, size: number): Promise<Row> {
  const runs: Record<string, number>[] = []
  for (let i = 0; i < bench.options.reps; i++) runs.push(await backlogOnce(bench, size))
  return { name: `W7 ${size} B, ${bench.options.backlog} queued`, runs, problems: bench.problems.splice(0) }
}

async function backlogOnce(bench: Bench, size: number): Promise<Record<string, number>> {
  const { backlog, prefetch } = bench.options
  const head = await consumeOnce(bench, size, 1, HEAD_MESSAGES)
  const { topic, queues } = await bench.declareQueues(1)
  await sleep(SETTLING_MS)
  const memory = new MemoryWatch(bench)
  const emptyBytes = memory.now()
  const timeoutMs = 60_000 + backlog * MESSAGE_MS_MAX
  const published = await publishBacklog(bench, topic, size, timeoutMs)
  await sleep(SETTLING_MS)
  const fullBytes = memory.now()
  const headBeside = await consumeOnce(bench, size, 1, HEAD_MESSAGES)
  const peakBytes = memory.stop()
  const readyMs = await restart(bench)
  const server = await bench.cluster.clientUrl()
  const consumer = await bench.role('consumer', { server, topic, queues, messages: backlog, prefetch })
  consumer.go()
  const consumed = await consumer.result(timeoutMs)
  if (consumed.duplicates > 0) bench.problem(`${consumed.duplicates} duplicate deliveries`)
  if (consumed.outOfOrder > 0) bench.problem(`${consumed.outOfOrder} deliveries out of order`)
  const left = await bench.messagesIn(queues[0]!)
  if (left > 0) bench.problem(`${queues[0]} still holds ${left} messages`)
  await bench.deleteQueues(queues)
  return {
    'published/s': published.rate,
    'RSS MB': fullBytes / 1e6,
    'peak RSS MB': peakBytes / 1e6,
    'bytes/msg': (fullBytes - emptyBytes) / backlog,
    'W2 alone/s': head.rate,
    'W2 beside/s': headBeside.rate,
    'all killed, ready again ms': readyMs,
    'consumed/s': (backlog / (consumed.endedMs - consumed.startedMs)) * 1000,
  }
}

async function publishBacklog(bench: Bench, topic: string, size: number, timeoutMs: number) {
  const { backlog, window } = bench.options
  const server = await bench.cluster.clientUrl()
  const publisher = await bench.role('publisher', { server, topic, size, window, until: { messages: backlog } })
  publisher.go()
  const result = await publisher.result(timeoutMs)
  if (result.errors > 0) bench.problem(`${result.errors} publishes failed: ${result.lastError}`)
  return result
}

/** `kill -9` of all nodes at once; milliseconds until all are ready again. */
async function restart({ cluster }: Bench): Promise<number> {
  await Promise.all(cluster.urls.map((_, i) => cluster.kill(i)))
  const startedMs = wallMs()
  for (let i = 0; i < cluster.urls.length; i++) cluster.startNode(i)
  await cluster.ready()
  return wallMs() - startedMs
}

/** Memory of the node that has most of it. */
class MemoryWatch {
  readonly #bench: Bench
  readonly #timer: NodeJS.Timeout
  #peakBytes = 0

  constructor(bench: Bench) {
    this.#bench = bench
    this.#timer = setInterval(() => this.now(), SAMPLE_MS)
  }

  now(): number {
    const bytes = Math.max(...this.#bench.cluster.pids.map(residentBytes))
    this.#peakBytes = Math.max(this.#peakBytes, bytes)
    return bytes
  }

  /** The most that was seen. */
  stop(): number {
    clearInterval(this.#timer)
    return this.#peakBytes
  }
}
