/** Applies publish frames: the hot path. Cost is per frame and per run of messages of one topic, but for two stores a message. */
import { logHeader } from '../../wire/frame.ts'
import { type PublishFrame, readPublishFrame } from '../../wire/publish-frame.ts'
import { mark } from './credit.ts'
import type { Attachment } from './effect.ts'
import { messagePosition } from './entry.ts'
import { forgetSeen, hasRoom, isSequence, keep, refuseFrame, tell } from './outcomes.ts'
import { route } from './queues.ts'
import type { Queue, Session, State } from './state.ts'
import type { Step } from './step.ts'

/** Each message is judged by itself: a repeat is skipped, a bad topic refused, the rest put into all their queues. */
export function applyPublish(
  step: Step,
  session: Session,
  to: Attachment,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  length: number,
): void {
  const frame = readPublishFrame(bytes, view, at, length)
  const first = logHeader.sequence(view, at)
  if (frame === undefined || !isSequence(first) || !isSequence(first + frame.count - 1)) {
    refuseFrame(step, to, first, 'a publish frame that does not decode')
    return
  }
  forgetSeen(session, logHeader.seen(view, at))
  const expected = session.lastSequence + 1
  if (first > expected) {
    step.effects.push({ type: 'gap', to, expected })
    return
  }
  const repeats = Math.min(expected - first, frame.count)
  repeatOutcomes(step, session, to, first, repeats)
  const judged = publishFrom(step, session, to, view, frame, repeats)
  step.effects.push({ type: 'confirm', to, upTo: session.lastSequence })
  if (judged < frame.count) step.effects.push({ type: 'gap', to, expected: session.lastSequence + 1 })
}

/** Tells again what became of messages that were judged before. */
function repeatOutcomes(step: Step, session: Session, to: Attachment, first: number, count: number): void {
  if (session.outcomes.size === 0) return
  for (let sequence = first; sequence < first + count; sequence++) {
    const outcome = session.outcomes.get(sequence)
    if (outcome !== undefined) tell(step, to, outcome)
  }
}

/** Judges the messages from number `from` on. Returns the number of the first one not judged. */
function publishFrom(
  step: Step,
  session: Session,
  to: Attachment,
  view: DataView,
  frame: PublishFrame,
  from: number,
): number {
  const { count, topics, topicColumn } = frame
  const routes: (readonly Queue[] | string | undefined)[] = new Array(topics.length)
  for (let i = from; i < count; ) {
    const topic = view.getUint16(topicColumn + 2 * i, true)
    let end = i + 1
    while (end < count && view.getUint16(topicColumn + 2 * end, true) === topic) end++
    routes[topic] ??= route(step.state, topics[topic]!)
    const queues = routes[topic]
    if (typeof queues === 'string') {
      for (; i < end; i++) {
        if (!hasRoom(session)) return i
        keep(step, session, to, { sequence: ++session.lastSequence, code: 'Validation', message: queues })
      }
    } else {
      put(step.state, queues, step.index, messagePosition(step.frame, i), end - i)
      session.lastSequence += end - i
      i = end
    }
  }
  return count
}

/** Fan-out: the run of messages goes to all queues in the same entry, hence to all or none. */
function put(state: State, queues: readonly Queue[], index: number, position: number, count: number): void {
  state.totals.published += count
  if (queues.length === 0) state.totals.unroutable += count
  state.totals.routedCopies += count * queues.length
  for (const queue of queues) {
    queue.ready.pushRun(index, position, count)
    queue.published += count
    mark(state, queue)
  }
}
