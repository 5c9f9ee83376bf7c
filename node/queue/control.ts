/**
 * Applies control frames: one sequenced command of a client. Each is judged once, under its sequence, and always has an outcome:
 * a rejection, a result, or plain success, which alone is not kept.
 */
import { logHeader } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import { patternProblem, queueNameProblem } from '../../wire/names.ts'
import type { OutcomeNotice } from '../../wire/session-frames.ts'
import { type Fields, readFields, type Value } from './command-reader.ts'
import { endConsumer, startConsumer } from './consumers.ts'
import type { Attachment } from './effect.ts'
import { startListening, stopListening } from './listening.ts'
import { forgetSeen, hasRoom, isSequence, keep, type Rejection, refuseFrame, tell } from './outcomes.ts'
import { bind, createQueue, deleteQueue, unbind } from './queues.ts'
import { closeSession } from './sessions.ts'
import type { Queue, Session } from './state.ts'
import type { Step } from './step.ts'

/** Nothing: plain success. */
type Verdict = Rejection | { readonly result: NonNullable<OutcomeNotice['result']> } | undefined
type Command = (step: Step, session: Session, fields: Fields) => Verdict

export function applyControl(
  step: Step,
  session: Session,
  to: Attachment,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  length: number,
): void {
  const sequence = logHeader.sequence(view, at)
  const fields = readFields(bytes, view, at, length)
  if (fields === undefined || !isSequence(sequence)) {
    refuseFrame(step, to, sequence, 'a control frame that does not decode')
    return
  }
  forgetSeen(step.state, session, logHeader.seen(view, at))
  const expected = session.lastSequence + 1
  if (sequence < expected) {
    // What was kept, or plain success. Told even when the client has seen more: the sender's node waits for an effect of each frame.
    tell(step, to, session.outcomes.get(sequence) ?? { sequence })
    return
  }
  if (sequence > expected || !hasRoom(step.state, session)) {
    step.effects.push({ type: 'gap', to, expected })
    return
  }
  session.lastSequence = sequence
  const command = typeof fields.type === 'string' ? commands.get(fields.type) : undefined
  const verdict = command === undefined ? invalid('no such command') : command(step, session, fields)
  if (verdict === undefined) tell(step, to, { sequence })
  else keep(step, session, to, { sequence, ...verdict })
  if (command === closeCommand) closeSession(step, session, 'closed')
}

/** Its work is done after its outcome is told, because the attachment ends with it. */
const closeCommand: Command = () => undefined

const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['declareQueue', declareQueue],
  ['deleteQueue', onQueue(removeQueue)],
  ['bind', onQueue(addBinding)],
  ['unbind', onQueue(removeBinding)],
  ['consume', onQueue(consume)],
  ['receive', onQueue(receive)],
  ['cancel', cancel],
  ['listen', listen],
  ['unlisten', unlisten],
  ['closeSession', closeCommand],
])

function declareQueue(step: Step, session: Session, fields: Fields): Verdict {
  const { queue: name, durable = true, exclusive = false } = fields
  if (typeof name !== 'string') return invalid('the queue name is not a string')
  if (typeof durable !== 'boolean' || typeof exclusive !== 'boolean') return invalid('a setting is not a boolean')
  const problem = queueNameProblem(name)
  if (problem !== undefined) return invalid(problem)
  const owner = exclusive ? session : undefined
  const existing = step.state.queues.get(name)
  if (existing === undefined) {
    if (step.state.queues.size >= limits.queuesMax) return limitExceeded(`there are ${limits.queuesMax} queues already`)
    if (exclusive && session.exclusiveQueues.size >= limits.exclusiveQueuesPerSessionMax) {
      return limitExceeded(`the session has ${limits.exclusiveQueuesPerSessionMax} exclusive queues already`)
    }
    createQueue(step, name, durable, owner)
    return undefined
  }
  if (existing.owner !== undefined && existing.owner !== session) return notYours(existing)
  if (existing.durable === durable && existing.owner === owner) return undefined
  return { code: 'Precondition', message: `the queue '${name}' exists with other settings` }
}

function removeQueue(step: Step, queue: Queue): Verdict {
  deleteQueue(step.state, queue)
  return undefined
}

function addBinding(step: Step, queue: Queue, _session: Session, fields: Fields): Verdict {
  const { pattern } = fields
  if (typeof pattern !== 'string') return invalid('the pattern is not a string')
  const problem = patternProblem(pattern)
  if (problem !== undefined) return invalid(problem)
  const full = bind(step.state, queue, pattern)
  return full === undefined ? undefined : limitExceeded(full)
}

function removeBinding(step: Step, queue: Queue, _session: Session, fields: Fields): Verdict {
  if (typeof fields.pattern !== 'string') return invalid('the pattern is not a string')
  unbind(step.state, queue, fields.pattern)
  return undefined
}

function consume(step: Step, queue: Queue, session: Session, fields: Fields): Verdict {
  const { prefetch } = fields
  if (!isIn(prefetch, limits.prefetchMax)) return invalid(`prefetch is not from 1 to ${limits.prefetchMax}`)
  return startedConsumer(step, queue, session, fields, prefetch)
}

function receive(step: Step, queue: Queue, session: Session, fields: Fields): Verdict {
  const { max, waitMs } = fields
  if (!isIn(max, limits.receiveMessagesMax)) return invalid(`max is not from 1 to ${limits.receiveMessagesMax}`)
  if (waitMs !== 0 && !isIn(waitMs, limits.delayMsMax)) return invalid(`waitMs is not from 0 to ${limits.delayMsMax}`)
  return startedConsumer(step, queue, session, fields, max, waitMs)
}

function startedConsumer(
  step: Step,
  queue: Queue,
  session: Session,
  { visibilityTimeoutMs }: Fields,
  prefetch: number,
  waitMs?: number,
): Verdict {
  if (!isIn(visibilityTimeoutMs, limits.delayMsMax)) {
    return invalid(`visibilityTimeoutMs is not from 1 to ${limits.delayMsMax}`)
  }
  if (session.consumers.size >= limits.consumersPerSessionMax) {
    return limitExceeded(`the session has ${limits.consumersPerSessionMax} consumers already`)
  }
  if (step.state.consumers.size >= limits.consumersMax) {
    return limitExceeded(`there are ${limits.consumersMax} consumers already`)
  }
  return { result: { consumer: startConsumer(step, session, queue, prefetch, visibilityTimeoutMs, waitMs).id } }
}

function cancel(step: Step, session: Session, fields: Fields): Verdict {
  const consumer = typeof fields.consumer === 'number' ? session.consumers.get(fields.consumer) : undefined
  if (consumer === undefined || consumer.queue.deleted) {
    return { code: 'NotFound', message: 'the session has no such consumer' }
  }
  endConsumer(step.state, consumer)
  return undefined
}

function listen(step: Step, session: Session, fields: Fields): Verdict {
  const { pattern } = fields
  if (typeof pattern !== 'string') return invalid('the pattern is not a string')
  const problem = patternProblem(pattern)
  if (problem !== undefined) return invalid(problem)
  const listening = startListening(step, session, pattern)
  return typeof listening === 'string' ? limitExceeded(listening) : { result: { listener: listening.id } }
}

function unlisten(step: Step, session: Session, fields: Fields): Verdict {
  const listening = typeof fields.listener === 'number' ? session.listeners.get(fields.listener) : undefined
  if (listening === undefined) return { code: 'NotFound', message: 'the session has no such listener' }
  stopListening(step.state, listening)
  return undefined
}

/** A command on a queue that must exist and must not be exclusive to somebody else. */
function onQueue(command: (step: Step, queue: Queue, session: Session, fields: Fields) => Verdict): Command {
  return (step, session, fields) => {
    if (typeof fields.queue !== 'string') return invalid('the queue name is not a string')
    const queue = step.state.queues.get(fields.queue)
    if (queue === undefined) return noSuchQueue(fields.queue)
    if (queue.owner !== undefined && queue.owner !== session) return notYours(queue)
    return command(step, queue, session, fields)
  }
}

function isIn(value: Value, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= max
}

/** Names a queue only after its name was judged: outcomes are kept, and must not hold whatever a frame can. */
function noSuchQueue(name: string): Rejection {
  const problem = queueNameProblem(name)
  return problem === undefined ? { code: 'NotFound', message: `there is no queue '${name}'` } : invalid(problem)
}

function invalid(message: string): Rejection {
  return { code: 'Validation', message }
}

function limitExceeded(message: string): Rejection {
  return { code: 'LimitExceeded', message }
}

function notYours(queue: Queue): Rejection {
  return { code: 'Precondition', message: `the queue '${queue.name}' is exclusive to another session` }
}
