/**
 * What a session remembers of its sequenced messages and commands until its client has seen it: rejections and results. Whatever is
 * not kept was a plain success.
 *
 * A session keeps at most limits.outcomesPerSessionMax, and few when all of them together keep limits.outcomesMax. Beyond that nothing is forgotten; instead nothing more that may need an
 * outcome is judged: to its sender it is a gap, to be sent again once `seen` has made room. Any frame carries `seen`, an empty
 * settle frame too.
 */
import type { ErrorCode } from '../../wire/errors.ts'
import { limits } from '../../wire/limits.ts'
import type { OutcomeNotice } from '../../wire/session-frames.ts'
import { OUTCOMES_RESERVED } from './constants.ts'
import type { Attachment } from './effect.ts'
import type { Session, State } from './state.ts'
import type { Step } from './step.ts'

/** Why something was not done: deterministic, like all that is applied. */
export interface Rejection {
  readonly code: ErrorCode
  readonly message: string
}

export function isSequence(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1
}

/** The client knows all outcomes up to `seen`: they are forgotten. */
export function forgetSeen(state: State, session: Session, seen: number): void {
  if (!isSequence(seen) || seen <= session.seen) return
  session.seen = Math.min(seen, session.lastSequence)
  for (const sequence of session.outcomes.keys()) {
    if (sequence > session.seen) break
    session.outcomes.delete(sequence)
    state.outcomes--
  }
}

/** Each session has room for a few, whatever the others keep: no client can stop another one. */
export function hasRoom(state: State, session: Session): boolean {
  const isFull = state.outcomes >= limits.outcomesMax
  return session.outcomes.size < (isFull ? OUTCOMES_RESERVED : limits.outcomesPerSessionMax)
}

/** Keeps the outcome of the sequence just judged, and tells it. */
export function keep(step: Step, session: Session, to: Attachment, outcome: OutcomeNotice): void {
  session.outcomes.set(outcome.sequence, outcome)
  step.state.outcomes++
  tell(step, to, outcome)
}

export function tell(step: Step, to: Attachment, outcome: OutcomeNotice): void {
  step.effects.push({ type: 'outcome', to, outcome })
}

/** A frame that cannot be judged. It has no effect, so its sequence is still free; 0 stands for none that makes sense. */
export function refuseFrame(step: Step, to: Attachment, sequence: number, message: string): void {
  tell(step, to, { sequence: isSequence(sequence) ? sequence : 0, code: 'Protocol', message })
}
