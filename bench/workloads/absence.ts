/**
 * W8: a follower is killed, misses messages beyond what the log of the others still holds, and comes back while clients go on.
 * How long until it has caught up, and what the others' clients notice of it.
 */
import { nodeId } from '../cluster.ts'
import { sleep, wallMs } from '../figures.ts'
import { MESSAGE_MS_MAX } from './backlog.ts'
import type { Bench, Row } from './workload.ts'

/** How long clients publish on while the node comes back, seconds. */
const MEANWHILE_SECONDS = 10
const CATCH_UP_TIMEOUT_MS = 120_000
const LOOK_MS = 20

export async function absenceWorkload(bench: Bench, size: number): Promise<Row> {
  const runs: Record<string, number>[] = []
  for (let i = 0; i < bench.options.reps; i++) runs.push(await absenceOnce(bench, size))
  return { name: `W8 ${size} B, ${bench.options.backlog} missed`, runs, problems: bench.problems.splice(0) }
}

async function absenceOnce(bench: Bench, size: number): Promise<Record<string, number>> {
  const { cluster, options } = bench
  const { topic, queues } = await bench.declareQueues(1)
  const victim = ((await cluster.leader()) + 2) % cluster.urls.length
  const server = await cluster.clientUrl()
  await cluster.kill(victim)
  const missed = await bench.role('publisher', {
    server,
    topic,
    size,
    window: options.window,
    until: { messages: options.backlog },
  })
  missed.go()
  const { errors } = await missed.result(60_000 + options.backlog * MESSAGE_MS_MAX)
  if (errors > 0) bench.problem(`${errors} publishes failed while ${nodeId(victim)} was away`)
  const until = { seconds: MEANWHILE_SECONDS }
  const publisher = await bench.role('publisher', { server, topic, size, window: 1, until })
  publisher.go()
  const startedMs = wallMs()
  const wanted = (await cluster.status(await cluster.leader()))!.commitIndex
  cluster.startNode(victim)
  const installed = await caughtUp(bench, victim, wanted)
  const caughtUpMs = wallMs() - startedMs
  const meanwhile = await publisher.result((MEANWHILE_SECONDS + 60) * 1000)
  if (meanwhile.errors > 0) bench.problem(`${meanwhile.errors} publishes failed while ${nodeId(victim)} came back`)
  await compareStates(bench)
  await bench.deleteQueues(queues)
  return {
    'caught up ms': caughtUpMs,
    installed: Number(installed),
    'one at a time meanwhile: msgs/s': meanwhile.rate,
    'p50 ms': meanwhile.latency.p50Ms,
    'p99 ms': meanwhile.latency.p99Ms,
    'max ms': meanwhile.latency.maxMs,
  }
}

/** Resolves once the node has applied `index`. True: by an installed checkpoint, since the log of the others begins later. */
async function caughtUp({ cluster }: Bench, node: number, index: number): Promise<boolean> {
  const deadline = performance.now() + CATCH_UP_TIMEOUT_MS
  let installed = false
  while (performance.now() < deadline) {
    const status = await cluster.status(node)
    installed ||= status?.installing !== undefined
    if (status !== undefined && status.appliedIndex >= index) return installed
    await sleep(LOOK_MS)
  }
  throw new Error(`${nodeId(node)} has not caught up after ${CATCH_UP_TIMEOUT_MS} ms`)
}

/** All replicas hold the same state once they have applied the same entries. */
async function compareStates(bench: Bench): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const states = await Promise.all(bench.cluster.urls.map((_, i) => bench.cluster.status(i, { stateHash: true })))
    if (new Set(states.map((state) => state?.appliedIndex)).size === 1) {
      if (new Set(states.map((state) => state?.stateHash)).size > 1) bench.problem('replicas differ in state')
      return
    }
    await sleep(LOOK_MS)
  }
  bench.problem('replicas did not come to rest')
}
