/**
 * Sessions and where they are attached: a session is minted by the log, attached to one boot of one node at a time
 * under an epoch that rises with each attachment, and lives on without a socket until its lease is over.
 *
 * A boot that is over voids its attachments in the same entry (`BootState.voidBelow`), however many there are; telling the
 * sessions one by one is work that may go on with later entries, and dates from the entry that began it.
 */
import { limits } from '../../wire/limits.ts'
import type { HeldDeliveries } from '../../wire/session-frames.ts'
import { NODES_MAX, OPENINGS_REMEMBERED_MAX } from './constants.ts'
import { endConsumer, startReturn } from './consumers.ts'
import { grantCredit, stopCredit } from './credit.ts'
import type { Effect } from './effect.ts'
import { forgetHeard, stopListening } from './listening.ts'
import { deleteQueue } from './queues.ts'
import { standingOf } from './resume.ts'
import { normalizeRuns, type Run } from './runs.ts'
import { BootState, inForce, Session, type State } from './state.ts'
import type { Step } from './step.ts'

export type DetachReason = Extract<Effect, { type: 'detached' }>['reason']
/** Why a session was not attached. */
export interface Refusal {
  readonly code: Extract<Effect, { type: 'attachRefused' }>['code']
  readonly message: string
}

const lost: Refusal = { code: 'SessionLost', message: 'the session expired or never existed' }

/** What an attachment is asked for by. */
interface Asker {
  readonly node: string
  readonly bootId: number
  readonly nonce: number
  readonly connection: number
}

/** The same nonce of a boot again: the session that it got first, as long as it is attached by that connection. */
export function openSession(
  step: Step,
  asker: Asker,
  options: { readonly name: string; readonly leaseMs: number; readonly detachGraceMs: number },
): Refusal | undefined {
  const { state } = step
  const boot = bootFor(step, asker.node, asker.bootId)
  if (!(boot instanceof BootState)) return boot
  const opened = boot.openings.get(asker.nonce)
  if (opened !== undefined) return repeatOpening(step, opened, asker)
  if (state.sessions.size >= limits.sessionsMax) {
    return { code: 'LimitExceeded', message: `there are ${limits.sessionsMax} sessions already` }
  }
  const { name, leaseMs, detachGraceMs } = options
  const session = new Session(step.mint(), name, leaseMs, detachGraceMs, asker.connection)
  state.sessions.set(session.id, session)
  rememberOpening(boot, asker.nonce, session.id)
  attachTo(step, session, boot)
  tellAttached(step, session, asker)
  return undefined
}

/** A copy of a command that took effect before. Whoever asked was told then, so a refusal reaches nobody who still waits. */
function repeatOpening(step: Step, opened: number, asker: Asker): Refusal | undefined {
  const session = step.state.sessions.get(opened)
  if (session === undefined) return lost
  const current = inForce(session)
  const isSame =
    asker.connection === session.connection && current?.node === asker.node && current.bootId === asker.bootId
  if (!isSame) return supersededBy(session)
  tellAttached(step, session, asker)
  return undefined
}

function rememberOpening(boot: BootState, nonce: number, session: number): void {
  boot.openings.set(nonce, session)
  if (boot.openings.size <= OPENINGS_REMEMBERED_MAX) return
  for (const oldest of boot.openings.keys()) {
    boot.openings.delete(oldest)
    return
  }
}

/**
 * The same connection number again gets the epoch that it got first, as long as that is in force; a lower one is refused, and so
 * is one whose attachment is over, since only a copy of its command can still be on the way.
 */
export function attachSession(
  step: Step,
  asker: Asker,
  sessionId: number,
  held: readonly HeldDeliveries[],
): Refusal | undefined {
  const { state } = step
  const session = state.sessions.get(sessionId)
  if (session === undefined) return lost
  const current = inForce(session)
  if (current !== undefined && asker.connection === session.connection) {
    if (current.node !== asker.node || current.bootId !== asker.bootId) return supersededBy(session)
    tellAttached(step, session, asker)
    return undefined
  }
  if (asker.connection <= session.connection) return supersededBy(session)
  const boot = bootFor(step, asker.node, asker.bootId)
  if (!(boot instanceof BootState)) return boot
  // A new boot of its own node may have voided the attachment just now; the reason is the boot's then.
  if (session.attached !== undefined) detachSession(step, session, 'moved')
  session.connection = asker.connection
  attachTo(step, session, boot)
  returnAllBut(state, session, held)
  for (const consumer of session.consumers.values()) {
    // Of what the receive got nothing reached its client, who makes another one.
    if (consumer.served && consumer.held?.length === 0) endConsumer(state, consumer)
    else grantCredit(state, consumer)
  }
  tellAttached(step, session, asker)
  return undefined
}

function supersededBy(session: Session): Refusal {
  return { code: 'Precondition', message: `connection ${session.connection} of the session is the latest` }
}

/** Starts the session's lease and grace. `reason` yields to the loss of its boot, from which time counts then. */
export function detachSession(step: Step, session: Session, reason: DetachReason): void {
  const { state } = step
  const { attached } = session
  if (attached === undefined) return
  const isVoid = inForce(session) === undefined
  const sinceMs = isVoid ? attached.boot.voidAtMs : state.timeMs
  attached.boot.sessions.delete(session)
  session.attached = undefined
  for (const consumer of session.consumers.values()) stopCredit(consumer)
  if (session.listeners.size > 0) forgetHeard(state)
  state.timers.set(session.lease, sinceMs + session.leaseMs)
  state.timers.set(session.grace, sinceMs + session.detachGraceMs)
  step.effects.push({ type: 'detached', to: attached.to, reason: isVoid ? 'nodeLost' : reason })
}

/** All open deliveries of a session that stayed away for too long. */
export function endGrace(state: State, session: Session): void {
  state.timers.stop(session.grace)
  returnAllBut(state, session, [])
}

/** Everything of the session goes; its exclusive queues one by one. Returns how much it touched. */
export function closeSession(step: Step, session: Session, reason: DetachReason): number {
  const { state } = step
  const touched = 1 + session.consumers.size + session.listeners.size
  detachSession(step, session, reason)
  state.timers.stop(session.lease)
  state.timers.stop(session.grace)
  state.sessions.delete(session.id)
  state.outcomes -= session.outcomes.size
  session.outcomes.clear()
  for (const consumer of session.consumers.values()) endConsumer(state, consumer)
  for (const listening of session.listeners.values()) stopListening(state, listening)
  if (session.exclusiveQueues.size > 0) state.work.push({ type: 'deleteExclusive', session })
  return touched
}

/** Deletes one exclusive queue of an ended session. False when there is none left. */
export function deleteNextExclusive(state: State, session: Session): boolean {
  for (const queue of session.exclusiveQueues) {
    deleteQueue(state, queue)
    return session.exclusiveQueues.size > 0
  }
  return false
}

/** A node begins a new life, which ends its former one. False when a later one is known, or there are too many nodes. */
export function startBoot(step: Step, node: string, bootId: number): boolean {
  return bootFor(step, node, bootId) instanceof BootState
}

/** The leader lost sight of this life. What is attached to it later is valid: it was alive after all. */
export function loseBoot(step: Step, node: string, bootId: number): void {
  const boot = step.state.boots.get(node)
  if (boot === undefined || boot.bootId !== bootId || boot.lost) return
  boot.lost = true
  voidAttachments(step, boot, step.mint())
}

/** Detaches the next session of a boot whose attachments are void. False when there is none left. */
export function detachNext(step: Step, boot: BootState): boolean {
  for (const session of boot.sessions) {
    if (inForce(session) !== undefined) return false
    detachSession(step, session, 'nodeLost')
    return boot.sessions.size > 0
  }
  return false
}

function voidAttachments(step: Step, boot: BootState, below: number): void {
  boot.voidBelow = below
  boot.voidAtMs = step.state.timeMs
  if (boot.sessions.size === 0) return
  forgetHeard(step.state)
  step.state.work.push({ type: 'detachBoot', boot })
}

/** The node's latest boot, which a higher number makes. */
function bootFor(step: Step, node: string, bootId: number): BootState | Refusal {
  const { boots } = step.state
  const latest = boots.get(node)
  if (latest?.bootId === bootId) return latest
  if (latest !== undefined && bootId < latest.bootId) {
    return { code: 'Precondition', message: `boot ${latest.bootId} of the node is the latest` }
  }
  if (latest === undefined && boots.size >= NODES_MAX) {
    return { code: 'LimitExceeded', message: `${NODES_MAX} nodes are known already` }
  }
  if (latest !== undefined) voidAttachments(step, latest, Number.POSITIVE_INFINITY)
  const boot = new BootState(node, bootId)
  boots.set(node, boot)
  return boot
}

function attachTo(step: Step, session: Session, boot: BootState): void {
  const { state } = step
  const to = { session: session.id, node: boot.node, bootId: boot.bootId, epoch: step.mint() }
  session.attached = { to, boot }
  boot.lost = false
  boot.sessions.add(session)
  state.timers.stop(session.lease)
  state.timers.stop(session.grace)
  if (session.listeners.size > 0) forgetHeard(state)
}

function returnAllBut(state: State, session: Session, held: readonly HeldDeliveries[]): void {
  const heldBy = new Map<number, Run[]>()
  for (const { consumer, runs } of held) {
    const known = heldBy.get(consumer) ?? []
    heldBy.set(consumer, known)
    for (const run of runs) known.push(run)
  }
  for (const consumer of session.consumers.values()) {
    if (!consumer.queue.deleted) startReturn(state, consumer, normalizeRuns(heldBy.get(consumer.id) ?? []))
  }
}

function tellAttached(step: Step, session: Session, asker: Asker): void {
  const { nonce, connection } = asker
  step.effects.push({ type: 'attached', to: inForce(session)!, nonce, connection, ...standingOf(session) })
}
