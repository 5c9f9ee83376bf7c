/**
 * What a node tells about itself to its HTTP side and to its clients: readings of one moment.
 */
import type { GroupId, Member, PeerStatus, RaftStatus } from '../raft/index.ts'
import type {
  AdminSource,
  MemberProgress,
  MemberStatus,
  MetricsSnapshot,
  NodeStatus,
  QueueMetrics,
  Verdict,
} from './admin/index.ts'
import type { CheckpointingStatus } from './checkpointing/checkpointing.ts'
import type { NodeConfig } from './config.ts'
import type { Gateway } from './gateway/gateway.ts'
import type { Group } from './group.ts'
import { unaddressed } from './membership-keeper.ts'
import type { MeshPort } from './peers/mesh-port.ts'
import type { Boot } from './queue/index.ts'
import type { Room } from './room.ts'
import { packageVersion } from './version.ts'

export interface ReportOptions {
  readonly config: NodeConfig
  readonly boot: Boot
  readonly incarnation: string
  readonly groupId: GroupId
  readonly group: Group
  readonly gateway: Gateway
  readonly mesh: MeshPort
  readonly room: Room
  readonly checkpointing: () => CheckpointingStatus
  /** Files of the log. */
  readonly segments: () => number
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
    const health = this.healthy()
    const reason = health.ok ? this.#whyNotReady() : health.reason
    const warnings = this.#warnings()
    return {
      ok: reason === undefined,
      ...(reason !== undefined && { reason }),
      ...(warnings.length > 0 && { warnings }),
    }
  }

  #whyNotReady(): string | undefined {
    const { checkpointing, group } = this.#options
    if (checkpointing().installing !== undefined) return "the leader's checkpoint is being installed"
    if (group.ready) return undefined
    if (group.membership !== undefined && group.member === 'none') {
      return 'this node is no member of the cluster: it was removed, or not added yet'
    }
    if (group.role.leader === undefined) return 'no leader is known'
    return 'not caught up with the leader yet'
  }

  /** What does not keep this node from serving: clients sent elsewhere would find the same there, or nobody. */
  #warnings(): string[] {
    const { checkpointing, group, room } = this.#options
    const warnings: string[] = []
    const { missingBodiesLong } = checkpointing()
    if (group.driver.status().doubt !== 0) {
      warnings.push(
        'in doubt: this node may have forgotten what it promised, and does not count until the cluster has made sure',
      )
    }
    const strangers = this.#unaddressed()
    if (strangers.length > 0) {
      warnings.push(`no address of ${strangers.join(', ')}: name every member in the --cluster of every node`)
    }
    if (room.disk.isFull) warnings.push('the disk is nearly full: while this node leads, publishes are refused')
    if (room.peers.isShort) {
      warnings.push(
        'the disks of so many members are nearly full that publishes are refused: those with room are no majority',
      )
    }
    if (missingBodiesLong > 0) {
      warnings.push(
        `the bodies of messages in ${missingBodiesLong} log entries are missing, and no peer has given them yet`,
      )
    }
    return warnings
  }

  status({ stateHash = false }: { readonly stateHash?: boolean } = {}): NodeStatus {
    const { boot, checkpointing, config, gateway, group, incarnation, room } = this.#options
    const { disk } = room
    const raft = group.driver.status()
    const clusterId = group.membership?.clusterId
    const { installing, missingBodies } = checkpointing()
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
      firstIndex: raft.firstIndex,
      checkpointIndex: raft.checkpointIndex,
      member: group.member,
      doubt: raft.doubt,
      ...(raft.transferee === undefined ? {} : { transferee: raft.transferee }),
      ...(installing === undefined ? {} : { installing }),
      missingBodies,
      diskFull: disk.isFull,
      ...(disk.freeBytes === undefined ? {} : { diskFreeBytes: disk.freeBytes }),
      ...(stateHash ? { stateHash: group.machine.stateHash() } : {}),
      machineTimeMs: group.machine.timeMs,
      members: [...Object.keys(config.cluster), ...this.#unaddressed()].map((id) => this.#member(id, raft)),
      sessions: gateway.sessions,
      queues: group.machine.queueNames().length,
    }
  }

  /** Members that this node cannot dial. */
  #unaddressed(): string[] {
    const { config, group } = this.#options
    return unaddressed(group.membership, Object.keys(config.cluster))
  }

  #member(id: string, { peers }: RaftStatus): MemberStatus {
    const { boot, config, group, mesh } = this.#options
    const url = Object.hasOwn(config.cluster, id) ? config.cluster[id] : undefined
    const has = (members: readonly Member[] = []) => members.some((member) => member.id === id)
    // A member that comes back with another directory is listed twice for a while; the learner is the one that is there.
    const peer = peers.find((each) => each.id === id && each.incarnation === mesh.identities(id)[0]?.incarnation)
    const { voters, learners } = group.membership ?? {}
    return {
      id,
      ...(url !== undefined && { url }),
      connected: id === boot.node || mesh.connected(id),
      down: id !== boot.node && mesh.down(id),
      role: peer?.role ?? (has(voters) ? 'voter' : has(learners) ? 'learner' : 'none'),
      ...(peer && { progress: progressOf(peer) }),
    }
  }

  metrics(): MetricsSnapshot {
    const { checkpointing, gateway, group, groupId, room, segments } = this.#options
    const { disk } = room
    const { machine } = group
    const raft = group.driver.status()
    const { term, commitIndex, appliedIndex, role, elections, isVoter, firstIndex, checkpointIndex, doubt, peers } =
      raft
    const { bytes, made, installed, missingBodies, repairedBodies } = checkpointing()
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
          isVoter,
          firstIndex,
          checkpointIndex,
          doubt,
          peers: peers.map(({ id, lagEntries }) => ({ id, lagEntries })),
        },
      ],
      storage: {
        segments: segments(),
        checkpointBytes: bytes,
        checkpointsTotal: made,
        installsTotal: installed,
        missingBodies,
        repairedBodiesTotal: repairedBodies,
        diskFreeBytes: disk.freeBytes,
        diskFull: disk.isFull,
      },
      queues: queueMetrics(group),
      totals: machine.totals,
      connections: gateway.connections,
    }
  }
}

function progressOf({ matchIndex, lagEntries, mode, doubt }: PeerStatus): MemberProgress {
  return { matchIndex, lagEntries, mode, doubt }
}

function* queueMetrics({ machine }: Group): Iterable<QueueMetrics> {
  for (const queue of machine.queueNames()) {
    const stats = machine.queueStats(queue)
    if (stats === undefined) continue
    const { ready, unsettled, consumers } = stats
    yield { queue, ready, unsettled, consumers }
  }
}
