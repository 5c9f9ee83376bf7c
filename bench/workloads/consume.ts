/**
 * W2 and W3: a publisher, and a consumer process that acknowledges every message, from one queue or from five that are
 * bound to the same topic. Timed from the first publish to the last confirmed acknowledgement.
 */
import type { Bench, Row } from './workload.ts'

/** Messages of the first, uncounted run; its rate sets the number for the others. */
const CALIBRATION_MESSAGES = 10_000
const MESSAGES_MIN = 2_000
const MESSAGES_MAX = 2_000_000

export async function consumeWorkload(bench: Bench, name: 'W2' | 'W3', size: number): Promise<Row> {
  const { reps, seconds, window } = bench.options
  const queueCount = name === 'W3' ? 5 : 1
  let { rate } = await consumeOnce(bench, size, queueCount, CALIBRATION_MESSAGES)
  const runs: Record<string, number>[] = []
  for (let i = 0; i < reps; i++) {
    const messages = Math.max(MESSAGES_MIN, Math.min(MESSAGES_MAX, Math.round(rate * seconds)))
    const run = await consumeOnce(bench, size, queueCount, messages)
    rate = run.rate
    runs.push(run.figures)
  }
  return { name: `${name} ${size} B, ${window} in flight`, runs, problems: bench.problems.splice(0) }
}

/** One run: so many messages through so many queues of their own. */
export async function consumeOnce(bench: Bench, size: number, queueCount: number, messages: number) {
  const { window, prefetch, seconds } = bench.options
  const { topic, queues } = await bench.declareQueues(queueCount)
  const server = await bench.cluster.clientUrl()
  const consumer = await bench.role('consumer', { server, topic, queues, messages, prefetch })
  const publisher = await bench.role('publisher', { server, topic, size, window, until: { messages } })
  const timeoutMs = (seconds + 90) * 1000
  const measured = await bench.measure(() => {
    consumer.go()
    publisher.go()
    return Promise.all([publisher.result(timeoutMs), consumer.result(timeoutMs)])
  })
  const [published, consumed] = measured.result
  if (published.errors > 0) bench.problem(`${published.errors} publishes failed: ${published.lastError}`)
  if (consumed.duplicates > 0) bench.problem(`${consumed.duplicates} duplicate deliveries`)
  if (consumed.outOfOrder > 0) bench.problem(`${consumed.outOfOrder} deliveries out of order`)
  for (const queue of queues) {
    const left = await bench.messagesIn(queue)
    if (left > 0) bench.problem(`${queue} still holds ${left} messages`)
  }
  await bench.deleteQueues(queues)
  const deliveries = messages * queueCount
  const elapsedSeconds = (consumed.endedMs - published.startedMs) / 1000
  const figures: Record<string, number> = {
    [queueCount === 1 ? 'msgs/s' : 'deliveries/s']: deliveries / elapsedSeconds,
    'published/s': published.rate,
    messages,
    'publish p50 ms': published.latency.p50Ms,
    'publish p99 ms': published.latency.p99Ms,
    'node CPU s/M': (measured.nodeCpuSeconds / deliveries) * 1e6,
    'client CPU s/M': ((published.cpuSeconds + consumed.cpuSeconds) / deliveries) * 1e6,
    busy: measured.busy,
    'flushes/msg': measured.flushes / messages,
  }
  return { rate: messages / elapsedSeconds, figures }
}
