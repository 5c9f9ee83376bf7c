/**
 * One thing happens to the clients of a healed cluster, or to the node that serves one of them, and they must notice only what they have to.
 */
import { MeshError } from '../../../wire/errors.ts'
import { Violation } from '../../sim/violation.ts'
import { spareQueues } from '../actors.ts'
import { anyFollower, cutOff, type Finale, type Stage } from './stage.ts'

/** All clients die at once, then leadership moves: what they had must end with their leases, though nobody asks for anything any more. */
export const leavesNobody: Finale = async (stage) => {
  const { leader, run, trace, workload } = stage
  const attached = () => attachedSessions(stage)
  const sessions = attached()
  trace.note('abandon', '', sessions.length)
  workload.killAll()
  await run(detachedWithinMs, () => attached().length === 0)
  if (attached().length > 0) throw new Violation('a closed socket detaches its session', attached().join(' '))
  await handOver(stage)
  const left = () => sessions.filter((id) => leader()?.group.machine.session(id) !== undefined)
  await run(
    forgottenWithinMs,
    () => leader() !== undefined && left().length === 0 && exclusiveQueues(stage).length === 0,
  )
  if (left().length > 0) throw new Violation('a session ends with its lease', left().join(' '))
  const queues = exclusiveQueues(stage)
  if (queues.length > 0) throw new Violation('an exclusive queue ends with its session', queues.join(' '))
}

/** Of a detached session, which here is three seconds long, and a leader may have to be elected. */
const forgottenWithinMs = 8_000
const detachedWithinMs = 3_000

/** Sessions that the leader believes to be attached somewhere. */
function attachedSessions({ leader, nodes }: Stage): number[] {
  const { machine } = leader()?.group ?? {}
  return nodes.flatMap(({ id }) => [...(machine?.sessionsOf(id) ?? [])].map(({ session }) => session))
}

/** Queues that nobody has declared as durable. */
function exclusiveQueues({ leader, scene }: Stage): readonly string[] {
  const durable = [...scene.ledger.queues, ...spareQueues]
  return (leader()?.group.machine.queueNames() ?? []).filter((name) => !durable.includes(name))
}

async function handOver({ leader, run }: Stage): Promise<void> {
  const former = leader()
  let isOver = false
  const over = () => {
    isOver = true
  }
  const failed = (error: unknown) => {
    if (!(error instanceof MeshError)) throw error
    over()
  }
  former?.operations.run({ what: 'transfer', to: undefined, timeoutMs: 2_000 }).then(over, failed)
  await run(3_000, () => isOver && leader() !== undefined)
}

/** All sockets of clients break while consumers hold messages: within the grace of detached sessions nothing is handed out again. */
export const breaksSockets: Finale = async (stage) => {
  const { conclude, network, run, scene, trace, workload } = stage
  const { redeliveries, unknown, refused } = scene.ledger
  scene.holdMs = 400
  const stop = workload.startPulse('holding', { everyMs: 60, bodyBytes: 8 })
  await run(700)
  trace.note('break', 'clients')
  for (const machine of workload.machines) for (const node of network.partners(machine)) network.break(machine, node)
  await run(1_200)
  stop()
  scene.holdMs = 0
  await conclude()
  const again = scene.ledger.redeliveries - redeliveries
  if (again > 0) throw new Violation('what is still held is not handed out again', `${again} messages`)
  const failed = scene.ledger.unknown + scene.ledger.refused - unknown - refused
  if (failed > 0) throw new Violation('a broken socket fails no publish', `${failed} of them`)
}

/** Whoever holds messages dies, and others come in their place: they are given those messages when the grace is over, long before any other time. */
export const killsTakers: Finale = async ({ conclude, run, scene, trace, workload }) => {
  scene.holdMs = 400
  const stop = workload.startPulse('bereaving', { everyMs: 60, bodyBytes: 8 })
  await run(700)
  trace.note('crash', 'takers')
  workload.crashTakers(50)
  stop()
  scene.holdMs = 0
  await conclude()
}

/**
 * A follower hears nothing for so long that it must be given a checkpoint, with a client attached whose publishes got through: what was
 * judged meanwhile will never be applied there, and the client is to be told all the same.
 */
export const leapsOver: Finale = async (stage) => {
  const { conclude, leader, network, run, scene, trace, workload } = stage
  const follower = anyFollower(stage)
  const { acked } = scene.ledger
  const stopPinned = workload.startPulse('pinned', { everyMs: 30, bodyBytes: 8, servers: [follower.id] })
  await run(servedWithinMs, () => scene.ledger.acked >= acked + 3)
  const mend = cutOff(stage, follower, 'in')
  await run(80)
  stopPinned()
  await run(80)
  // Whatever waits for the way back is lost; nobody can connect until it is mended.
  for (const { id } of stage.nodes) if (id !== follower.id) network.break(id, follower.id)
  const known = follower.core?.group.driver.status().lastIndex ?? 0
  const stopBulk = workload.startPulse('bulk', { everyMs: 15, bodyBytes: 1_000 })
  await run(2_500, () => (leader()?.group.driver.status().firstIndex ?? 0) > known + 1)
  stopBulk()
  trace.note('leap', follower.id, known)
  mend()
  const target = leader()?.group.driver.status().commitIndex ?? 0
  await run(servedWithinMs, () => (follower.core?.group.driver.status().appliedIndex ?? 0) >= target)
  await run(answeredWithinMs, () => scene.pending.openOf('pinned') === 0)
  if (scene.pending.openOf('pinned') > 0) {
    throw new Violation('an install silences nobody', `${follower.id}: ${scene.pending.describe()}`)
  }
  await conclude()
}

const servedWithinMs = 10_000
/** From the moment that the node has caught up until its client has every answer. */
const answeredWithinMs = 2_000
