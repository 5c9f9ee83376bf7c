/**
 * Applies publish frames: the hot path. Cost is per frame and per run of messages of one topic, and what runs cost together is bounded for
 * each entry: a frame that would go beyond is judged as far as the bound, the rest is a gap to its sender, who sends it again.
 */
import { logHeader } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import { type PublishFrame, readPublishFrame } from '../../wire/publish-frame.ts'
import { readRefusedPublishFrame } from '../../wire/refused-publish-frame.ts'
import { mark } from './credit.ts'
import type { Attachment } from './effect.ts'
import { messagePosition } from './entry.ts'
import { forgetSeen, hasRoom, isSequence, keep, type Rejection, refuseFrame, tell } from './outcomes.ts'
import { route } from './queues.ts'
import { type Queue, queuedCopies, type Route, type Session, type State } from './state.ts'
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
  judgeFrame(step, session, to, view, at, frame?.count, (from) => publishFrom(step, session, to, view, frame!, from))
}

/** What the leader made of a publish frame for which there is no room on the disks: every message of it gets the code. */
export function applyRefusedPublish(
  step: Step,
  session: Session,
  to: Attachment,
  view: DataView,
  at: number,
  length: number,
): void {
  const frame = readRefusedPublishFrame(view, at, length)
  judgeFrame(step, session, to, view, at, frame?.count, (from) => {
    const { count, code } = frame!
    return refuse(step, session, to, from, count, { code, message: 'the cluster has no room on its disks' })
  })
}

/**
 * Tells again what became of the messages that were judged before, lets the rest be judged and confirms what was. `judge` says
 * which message it did not reach. `count` is undefined for a frame that does not decode.
 */
function judgeFrame(
  step: Step,
  session: Session,
  to: Attachment,
  view: DataView,
  at: number,
  count: number | undefined,
  judge: (from: number) => number,
): void {
  const first = logHeader.sequence(view, at)
  if (count === undefined || !isSequence(first) || !isSequence(first + count - 1)) {
    refuseFrame(step, to, first, 'a publish frame that does not decode')
    return
  }
  forgetSeen(step.state, session, logHeader.seen(view, at))
  const expected = session.lastSequence + 1
  if (first > expected) {
    step.effects.push({ type: 'gap', to, expected })
    return
  }
  const repeats = Math.min(expected - first, count)
  repeatOutcomes(step, session, to, first, repeats)
  const judged = judge(repeats)
  step.effects.push({ type: 'confirm', to, upTo: session.lastSequence })
  if (judged < count) step.effects.push({ type: 'gap', to, expected: session.lastSequence + 1 })
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
  const { state } = step
  const { count, topics, topicColumn } = frame
  const routes: (Route | string | undefined)[] = new Array(topics.length)
  for (let i = from; i < count; ) {
    if (step.routing <= 0) return i
    const topic = view.getUint16(topicColumn + 2 * i, true)
    let end = i + 1
    while (end < count && view.getUint16(topicColumn + 2 * end, true) === topic) end++
    let way = routes[topic]
    if (way === undefined) {
      way = route(state, topics[topic]!)
      routes[topic] = way
      // Whether it was remembered or found is not the same everywhere, so that it costs the same.
      if (typeof way !== 'string') step.routing -= way.cost
    }
    if (typeof way === 'string') {
      i = refuse(step, session, to, i, end, { code: 'Validation', message: way })
    } else {
      const { queues } = way
      const taken = Math.min(end - i, roomIn(state, queues))
      if (taken > 0) put(state, queues, step.index, messagePosition(step.frame, i), taken)
      step.routing -= queues.length
      session.lastSequence += taken
      i += taken
      if (i < end) i = refuse(step, session, to, i, end, queueFull(queues))
    }
    if (i < end) return i
  }
  return count
}

/** Refuses messages `from` to `end` as far as there is room for their outcomes. Returns the number of the first one not refused. */
function refuse(step: Step, session: Session, to: Attachment, from: number, end: number, rejection: Rejection): number {
  for (let i = from; i < end; i++) {
    if (!hasRoom(step.state, session)) return i
    keep(step, session, to, { sequence: ++session.lastSequence, ...rejection })
  }
  return end
}

/** How many messages more all of these queues can take. */
function roomIn(state: State, queues: readonly Queue[]): number {
  if (queues.length === 0) return limits.frameMessagesMax
  let room = Math.floor((limits.queuedMessagesMax - queuedCopies(state)) / queues.length)
  for (const queue of queues) room = Math.min(room, limits.queueMessagesMax - queue.length)
  return room
}

function queueFull(queues: readonly Queue[]): Rejection {
  const full = queues.find((queue) => queue.length >= limits.queueMessagesMax)
  const which =
    full === undefined
      ? `the queues hold ${limits.queuedMessagesMax}`
      : `the queue '${full.name}' holds ${limits.queueMessagesMax}`
  return { code: 'QueueFull', message: `${which} messages already` }
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
