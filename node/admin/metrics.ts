/**
 * The node's metrics in Prometheus' text format. What the node counts itself is read at each scrape into a registry of its
 * own, so that a queue that is gone leaves no series behind; only the sync histogram and the watch of the event loop live from scrape to scrape.
 *
 * Never: process-wide state (two nodes may share a process), more than QUEUE_SERIES_MAX series a metric.
 */
import { performance } from 'node:perf_hooks'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { LoopStall } from './loop-stall.ts'
import type { MetricsSnapshot, QueueMetrics, RaftMetrics, StorageMetrics } from './source.ts'

/** Queues with series of their own: those with most messages. The sums below cover all of them. */
export const QUEUE_SERIES_MAX = 1_000

/** From a fast NVMe drive to one that is ailing, seconds. */
const syncBuckets = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

export class NodeMetrics {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE
  readonly #registry = new Registry()
  readonly #syncs = new Histogram({
    name: 'meshmq_wal_sync_duration_seconds',
    help: 'Time of one durable write of the log',
    buckets: syncBuckets,
    registers: [this.#registry],
  })

  readonly #stall = new LoopStall()

  /** Watches the event loop from here on, until `stop`. */
  start(): void {
    this.#stall.start()
  }

  stop(): void {
    this.#stall.stop()
  }

  observeSync(seconds: number): void {
    this.#syncs.observe(seconds)
  }

  /** The text of one scrape. */
  async render(snapshot: MetricsSnapshot): Promise<string> {
    const taken = takeSnapshot(snapshot)
    const help = 'Longest time that the event loop stood still since the last scrape'
    addGauge(taken, 'meshmq_event_loop_stall_max_seconds', help, await this.#stall.takeMaxSeconds())
    return (await taken.metrics()) + (await this.#registry.metrics())
  }
}

function takeSnapshot(snapshot: MetricsSnapshot): Registry {
  const registry = new Registry()
  addRaft(registry, snapshot.raft)
  addStorage(registry, snapshot.storage)
  addQueues(registry, snapshot.queues)
  const { totals } = snapshot
  const counter = (name: string, help: string, value: number) =>
    addCounter(registry, `meshmq_${name}_total`, help, value)
  counter('messages_published', 'Messages that the cluster accepted', totals.published)
  counter('messages_routed', 'Copies of messages that went into queues', totals.routedCopies)
  counter('messages_unroutable', 'Messages published where no queue was bound', totals.unroutable)
  counter('messages_delivered', 'Deliveries to consumers, repeated ones included', totals.delivered)
  counter('messages_redelivered', 'Deliveries beyond the first of a message', totals.redelivered)
  counter('messages_acknowledged', 'Deliveries settled as accepted', totals.acked)
  counter('messages_released', 'Deliveries returned to their queues by a nack', totals.released)
  counter('messages_rejected', 'Deliveries settled as never to be repeated', totals.rejected)
  addGauge(registry, 'meshmq_connections', "Clients' sockets on this node", snapshot.connections)
  addProcess(registry)
  return registry
}

function addRaft(registry: Registry, groups: readonly RaftMetrics[]): void {
  const gauge = (name: string, help: string, value: (group: RaftMetrics) => number) => {
    const series = new Gauge({ name, help, labelNames: ['group', 'incarnation'], registers: [registry] })
    for (const group of groups) series.set(raftLabels(group), value(group))
  }
  gauge('meshmq_raft_term', "Raft's current term", (group) => group.term)
  gauge('meshmq_raft_commit_index', 'Last log index known to be committed', (group) => group.commitIndex)
  gauge('meshmq_raft_applied_index', 'Last log index applied to the state', (group) => group.appliedIndex)
  gauge('meshmq_raft_is_leader', '1 on the leader', (group) => Number(group.isLeader))
  gauge('meshmq_raft_is_voter', '1 while this node counts in elections and commits', (group) => Number(group.isVoter))
  gauge('meshmq_raft_first_index', 'First log index that is still held', (group) => group.firstIndex)
  gauge('meshmq_raft_checkpoint_index', 'Log index of the newest checkpoint', (group) => group.checkpointIndex)
  gauge('meshmq_raft_in_doubt', '1 while this node may have forgotten promises and does not count', (group) =>
    Number(group.doubt !== 0),
  )
  const lag = new Gauge({
    name: 'meshmq_raft_peer_lag_entries',
    help: "Entries of the leader's log that a peer is not known to hold; on the leader alone",
    labelNames: ['group', 'incarnation', 'peer'],
    registers: [registry],
  })
  for (const group of groups) {
    for (const { id, lagEntries } of group.peers) lag.set({ ...raftLabels(group), peer: id }, lagEntries)
  }
  const elections = new Counter({
    name: 'meshmq_raft_elections_total',
    help: 'Elections that this node started',
    labelNames: ['group', 'incarnation'],
    registers: [registry],
  })
  for (const group of groups) elections.inc(raftLabels(group), group.electionsTotal)
}

function addStorage(registry: Registry, storage: StorageMetrics): void {
  const { diskFreeBytes } = storage
  addGauge(registry, 'meshmq_wal_segments', 'Files of the log', storage.segments)
  addGauge(registry, 'meshmq_checkpoint_bytes', 'Size of the newest checkpoint', storage.checkpointBytes)
  addCounter(registry, 'meshmq_checkpoints_total', 'Checkpoints that this node made', storage.checkpointsTotal)
  addCounter(registry, 'meshmq_installs_total', "Leaders' checkpoints that this node installed", storage.installsTotal)
  addGauge(registry, 'meshmq_bodies_missing', 'Entries whose messages this node lacks', storage.missingBodies)
  const repaired = 'Entries that this node lacked and has from a peer again'
  addCounter(registry, 'meshmq_bodies_repaired_total', repaired, storage.repairedBodiesTotal)
  addGauge(registry, 'meshmq_disk_full', '1 while publishes are refused for want of space', Number(storage.diskFull))
  if (diskFreeBytes !== undefined) addGauge(registry, 'meshmq_disk_free_bytes', 'Free space of the disk', diskFreeBytes)
}

function raftLabels({ group, incarnation }: RaftMetrics): { group: string; incarnation: string } {
  return { group: String(group), incarnation: String(incarnation) }
}

function addQueues(registry: Registry, queues: Iterable<QueueMetrics>): void {
  const { deepest, count, ready, unsettled } = surveyQueues(queues)
  const gauge = (name: string, help: string, value: (queue: QueueMetrics) => number) => {
    const series = new Gauge({ name, help, labelNames: ['queue'], registers: [registry] })
    for (const stats of deepest) series.set({ queue: stats.queue }, value(stats))
  }
  gauge('meshmq_queue_messages_ready', 'Messages that wait for a consumer', (queue) => queue.ready)
  gauge('meshmq_queue_messages_unsettled', 'Messages delivered and not yet settled', (queue) => queue.unsettled)
  gauge('meshmq_queue_consumers', 'Consumers of the queue', (queue) => queue.consumers)
  addGauge(registry, 'meshmq_queues', 'Queues of the cluster', count)
  addGauge(
    registry,
    'meshmq_queues_without_series',
    'Queues beyond the number that get own series',
    count - deepest.length,
  )
  addGauge(registry, 'meshmq_messages_ready', 'Messages that wait for a consumer, in all queues', ready)
  addGauge(registry, 'meshmq_messages_unsettled', 'Messages delivered and not yet settled, in all queues', unsettled)
}

/** Keeps the deepest queues while it reads: at most twice as many as it will show, however many there are. */
function surveyQueues(queues: Iterable<QueueMetrics>) {
  const deepest: QueueMetrics[] = []
  const cut = () => {
    deepest.sort((a, b) => b.ready + b.unsettled - a.ready - a.unsettled || (a.queue < b.queue ? -1 : 1))
    deepest.length = Math.min(deepest.length, QUEUE_SERIES_MAX)
  }
  let count = 0
  let ready = 0
  let unsettled = 0
  for (const queue of queues) {
    count += 1
    ready += queue.ready
    unsettled += queue.unsettled
    if (deepest.push(queue) === 2 * QUEUE_SERIES_MAX) cut()
  }
  cut()
  return { deepest, count, ready, unsettled }
}

/**
 * The process's own figures under prom-client's usual names. Its default collectors are not used: each set of them leaves
 * observers behind that nothing ends, one set for every node that was embedded and stopped.
 */
function addProcess(registry: Registry): void {
  const cpu = process.cpuUsage()
  const memory = process.memoryUsage()
  const loop = performance.eventLoopUtilization()
  addCounter(registry, 'process_cpu_user_seconds_total', 'CPU time in user mode', cpu.user / 1e6)
  addCounter(registry, 'process_cpu_system_seconds_total', 'CPU time in system mode', cpu.system / 1e6)
  addGauge(registry, 'process_start_time_seconds', 'Start of the process, Unix time', performance.timeOrigin / 1e3)
  addGauge(registry, 'process_resident_memory_bytes', 'Resident memory', memory.rss)
  addGauge(registry, 'nodejs_heap_size_total_bytes', 'Size of the JavaScript heap', memory.heapTotal)
  addGauge(registry, 'nodejs_heap_size_used_bytes', 'Used part of the JavaScript heap', memory.heapUsed)
  addGauge(registry, 'nodejs_external_memory_bytes', 'Memory outside the heap, buffers included', memory.external)
  addCounter(registry, 'nodejs_eventloop_active_seconds_total', 'Time the event loop was busy', loop.active / 1e3)
  addCounter(registry, 'nodejs_eventloop_idle_seconds_total', 'Time the event loop waited', loop.idle / 1e3)
}

function addGauge(registry: Registry, name: string, help: string, value: number): void {
  new Gauge({ name, help, registers: [registry] }).set(value)
}

function addCounter(registry: Registry, name: string, help: string, value: number): void {
  new Counter({ name, help, registers: [registry] }).inc(value)
}
