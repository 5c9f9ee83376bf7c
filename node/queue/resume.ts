/**
 * What a node's sessions must be told again when its machine did not get where it is by applying: a checkpoint was installed, and the effects
 * of the entries that it stands for were never performed here.
 */
import type { Effect } from './effect.ts'
import { holdsRun } from './runs.ts'
import { type Consumer, inForce, type Session, type State } from './state.ts'

/** Rows of one deliver effect. */
const ROWS_MAX = 1024

/** For each session attached to this boot, in order of epochs: what it has been judged so far, then its open deliveries. */
export function* resumeEffects(state: State, node: string, bootId: number): IterableIterator<Effect> {
  const boot = state.boots.get(node)
  if (boot === undefined || boot.bootId !== bootId) return
  for (const session of boot.sessions) {
    if (inForce(session) === undefined) continue
    yield resumed(session)
    yield* owedEffects(session)
  }
}

/** What the session has been given and has not settled, if it is attached. */
export function* owedEffects(session: Session): IterableIterator<Effect> {
  if (inForce(session) === undefined) return
  for (const consumer of consumersOf(session)) {
    yield* openDeliveries(session, consumer)
    if (consumer.served) yield received(session, consumer)
  }
}

function resumed(session: Session): Effect {
  return { type: 'resumed', to: inForce(session)!, ...standingOf(session) }
}

/** What a session has been judged so far, and which consumers it has: what a client must know that comes to a node. */
export function standingOf(session: Session) {
  return {
    lastSequence: session.lastSequence,
    outcomes: [...session.outcomes.values()],
    consumers: consumersOf(session).map(({ id }) => id),
  }
}

function consumersOf(session: Session): Consumer[] {
  return [...session.consumers.values()].filter(({ queue }) => !queue.deleted)
}

/** What of it is settled was told to the client before, or is not open in its eyes either. */
function received(session: Session, { id, nextDelivery }: Consumer): Effect {
  return { type: 'received', to: inForce(session)!, consumer: id, count: nextDelivery - 1 }
}

/** As deliver effects, whose rows have numbers without a gap. What is about to return is no longer open. */
function* openDeliveries(session: Session, { id, open, held }: Consumer): IterableIterator<Effect> {
  let indexes: number[] = []
  let positions: number[] = []
  let attempts: number[] = []
  let first = 0
  const batch = (): Effect => {
    const rows = { firstDelivery: first, indexes, positions, attempts }
    indexes = []
    positions = []
    attempts = []
    return { type: 'deliver', to: inForce(session)!, consumer: id, ...rows }
  }
  for (let row = open.startRow; row < open.endRow; row++) {
    const delivery = open.deliveryAt(row)
    if (!open.isOpen(row) || (held !== undefined && !holdsRun(held, delivery))) continue
    if (indexes.length > 0 && (delivery !== first + indexes.length || indexes.length === ROWS_MAX)) yield batch()
    if (indexes.length === 0) first = delivery
    indexes.push(open.indexAt(row))
    positions.push(open.positionAt(row))
    attempts.push(open.attemptAt(row))
  }
  if (indexes.length > 0) yield batch()
}
