/** W1 and W5: one publisher into one durable queue, with many publishes in flight or one at a time. */
import type { Bench, Row } from './workload.ts'

export async function publishWorkload(bench: Bench, name: 'W1' | 'W5', size: number): Promise<Row> {
  const { reps, seconds } = bench.options
  const window = name === 'W5' ? 1 : bench.options.window
  const runs: Record<string, number>[] = []
  for (let i = 0; i < reps; i++) {
    const { topic, queues } = await bench.declareQueues(1)
    const server = await bench.cluster.clientUrl()
    const publisher = await bench.role('publisher', { server, topic, size, window, until: { seconds } })
    const measured = await bench.measure(() => {
      publisher.go()
      return publisher.result((seconds + 60) * 1000)
    })
    const { acked, errors, lastError, rate, latency, cpuSeconds } = measured.result
    if (errors > 0) bench.problem(`${errors} publishes failed: ${lastError}`)
    const stored = await bench.messagesIn(queues[0]!)
    if (stored !== acked) bench.problem(`${acked} publishes were confirmed, the queue holds ${stored}`)
    await bench.deleteQueues(queues)
    runs.push({
      'msgs/s': rate,
      'p50 ms': latency.p50Ms,
      'p99 ms': latency.p99Ms,
      'max ms': latency.maxMs,
      'node CPU s/M': (measured.nodeCpuSeconds / acked) * 1e6,
      'client CPU s/M': (cpuSeconds / acked) * 1e6,
      busy: measured.busy,
      'flushes/msg': measured.flushes / acked,
    })
  }
  return { name: `${name} ${size} B, ${window} in flight`, runs, problems: bench.problems.splice(0) }
}
