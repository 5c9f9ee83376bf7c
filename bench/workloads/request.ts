/** W4: request-reply of 128 B, one at a time and 64 in flight, with the responder on the same node and on another. */
import type { Bench, Row } from './workload.ts'

const SIZE = 128

export async function requestWorkload(bench: Bench, inFlight: number, where: 'same node' | 'two nodes'): Promise<Row> {
  const { reps, seconds } = bench.options
  const { urls } = bench.cluster
  const runs: Record<string, number>[] = []
  for (let i = 0; i < reps; i++) {
    const topic = `bench.request${i}`
    const responder = await bench.role('responder', { server: urls[where === 'same node' ? 0 : 1]!, topic })
    const requester = await bench.role('requester', { server: urls[0]!, topic, size: SIZE, inFlight, seconds })
    const measured = await bench.measure(async () => {
      responder.go()
      requester.go()
      const asked = await requester.result((seconds + 60) * 1000)
      responder.stop()
      return { asked, answered: await responder.result(10_000) }
    })
    const { asked, answered } = measured.result
    runs.push({
      'requests/s': asked.rate,
      'p50 ms': asked.latency.p50Ms,
      'p99 ms': asked.latency.p99Ms,
      'node CPU s/M': (measured.nodeCpuSeconds / asked.requests) * 1e6,
      'client CPU s/M': ((asked.cpuSeconds + answered.cpuSeconds) / asked.requests) * 1e6,
      busy: measured.busy,
    })
  }
  return { name: `W4 ${SIZE} B, ${inFlight} in flight, ${where}`, runs, problems: bench.problems.splice(0) }
}
