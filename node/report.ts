/**
 * What a node tells about itself to its HTTP side and to its clients: readings of one moment.
 */
import type { GroupId } from '../raft/index.ts'
import type { AdminSource, MetricsSnapshot, NodeStatus, QueueMetrics, Verdict } from './admin/index.ts'
import type { NodeConfig } from './config.ts'
import type { Gateway } from './gateway/gateway.ts'
import type { Group } from './group.ts'
import type { MeshPort } from './peers/mesh-port.ts'
import type { Boot } from './queue/index.ts'
import { packageVersion } from './version.ts'

export interface ReportOptions {
  readonly config: NodeConfig
  readonly boot: Boot
  readonly incarnation: string
  readonly groupId: GroupId
  readonly group: Group
  readonly gateway: Gateway
  readonly mesh: MeshPort
  /** Why the node has stopped itself, if it has. */
  readonly failure: () => Error | undefined
}

export class NodeReport implements AdminSource {
  readonly #options: ReportOptions
  readonly #version = packageVersion()

  constructor(options: ReportOptions) {
    this.#options = options
  }

  healthy(): Verdict {
    const failure = this.#options.failure()
    return failure === undefined ? { ok: true } : { ok: false, reason: failure.message }
  }

  ready(): Verdict {
    const { group } = this.#options
    const health = this.healthy()
    if (!health.ok || group.ready) return health
    if (group.role.leader === undefined) return { ok: false, reason: 'no leader is known' }
    return { ok: false, reason: 'not caught up with the leader yet' }
  }

  status({ stateHash = false }: { readonly stateHash?: boolean } = {}): NodeStatus {
    const { boot, config, gateway, group, incarnation, mesh } = this.#options
    const raft = group.driver.status()
    const clusterId = raft.membership?.clusterId
    return {
      node: boot.node,
      version: this.#version,
      clusterName: config.clusterName,
      ...(clusterId === undefined ? {} : { clusterId }),
      incarnation,
      bootId: boot.bootId,
      role: raft.role,
      term: raft.term,
      ...(raft.leader === undefined ? {} : { leader: raft.leader }),
      commitIndex: raft.commitIndex,
      appliedIndex: raft.appliedIndex,
      lastIndex: raft.lastIndex,
      ...(stateHash ? { stateHash: group.machine.stateHash() } : {}),
      machineTimeMs: group.machine.timeMs,
      members: Object.entries(config.cluster).map(([id, url]) => ({
        id,
        url,
        connected: id === boot.node || mesh.connected(id),
        down: id !== boot.node && mesh.down(id),
      })),
      sessions: gateway.sessions,
      queues: group.machine.queueNames().length,
    }
  }

  metrics(): MetricsSnapshot {
    const { gateway, group, groupId } = this.#options
    const { machine } = group
    const { term, commitIndex, appliedIndex, role, elections } = group.driver.status()
    return {
      raft: [
        {
          group: groupId.id,
          incarnation: groupId.incarnation,
          term,
          commitIndex,
          appliedIndex,
          isLeader: role === 'leader',
          electionsTotal: elections,
        },
      ],
      queues: queueMetrics(group),
      totals: machine.totals,
      connections: gateway.connections,
    }
  }
}

function* queueMetrics({ machine }: Group): Iterable<QueueMetrics> {
  for (const queue of machine.queueNames()) {
    const stats = machine.queueStats(queue)
    if (stats === undefined) continue
    const { ready, unsettled, consumers } = stats
    yield { queue, ready, unsettled, consumers }
  }
}
