/**
 * Applies node frames: what nodes ask about sessions and time (command.ts). One that does not decode has no effect, unless it can
 * be told who asked for an attachment.
 */
import { limits } from '../../wire/limits.ts'
import type { HeldDeliveries } from '../../wire/session-frames.ts'
import { type Fields, isFields, readFields, type Value } from './command-reader.ts'
import { isSequence } from './outcomes.ts'
import type { Run } from './runs.ts'
import { attachSession, detachSession, loseBoot, openSession, type Refusal, startBoot } from './sessions.ts'
import { inForce } from './state.ts'
import type { Step } from './step.ts'

export function applyNodeCommand(step: Step, bytes: Uint8Array, view: DataView, at: number, length: number): void {
  const fields = readFields(bytes, view, at, length)
  switch (fields?.type) {
    case 'openSession':
      return askForAttachment(step, fields, open)
    case 'attach':
      return askForAttachment(step, fields, attach)
    case 'detach':
      return detach(step, fields)
    case 'nodeStarted':
      return nodeStarted(step, fields)
    case 'nodeLost':
      if (isBoot(fields)) loseBoot(step, fields.node, fields.bootId)
      return
    default:
      // `advance` says nothing but its stamp, and that has been heard.
      return
  }
}

type BootFields = Fields & { readonly node: string; readonly bootId: number }
type AskerFields = BootFields & { readonly nonce: number; readonly connection: number }

function askForAttachment(step: Step, fields: Fields, ask: (step: Step, asker: AskerFields) => Refusal | undefined) {
  if (!isBoot(fields) || !isNumber(fields.nonce)) return
  const { node, bootId, nonce } = fields
  const refusal = isAsker(fields) ? ask(step, fields) : invalid('the connection is not a number')
  if (refusal !== undefined) step.effects.push({ type: 'attachRefused', node, bootId, nonce, ...refusal })
}

function open(step: Step, asker: AskerFields): Refusal | undefined {
  const { name, leaseMs, detachGraceMs } = asker
  if (typeof name !== 'string' || name.length > limits.nameBytesMax) {
    return invalid(`the name is longer than ${limits.nameBytesMax} characters`)
  }
  if (!isDelay(leaseMs) || !isDelay(detachGraceMs)) {
    return invalid(`lease and grace are not from 0 to ${limits.delayMsMax} milliseconds`)
  }
  return openSession(step, asker, { name, leaseMs, detachGraceMs })
}

function attach(step: Step, asker: AskerFields): Refusal | undefined {
  const held = heldDeliveries(asker.held)
  if (!isNumber(asker.session) || held === undefined) return invalid('the session or the held deliveries make no sense')
  return attachSession(step, asker, asker.session, held)
}

function detach(step: Step, fields: Fields): void {
  const session = isNumber(fields.session) ? step.state.sessions.get(fields.session) : undefined
  if (session === undefined || inForce(session)?.epoch !== fields.epoch) return
  detachSession(step, session, 'socketClosed')
}

function nodeStarted(step: Step, fields: Fields): void {
  if (!isBoot(fields)) return
  const { node, bootId } = fields
  if (!startBoot(step, node, bootId)) step.effects.push({ type: 'bootRefused', node, bootId })
}

function heldDeliveries(value: Value): HeldDeliveries[] | undefined {
  if (!Array.isArray(value)) return undefined
  const held: HeldDeliveries[] = []
  for (const item of value as readonly Value[]) {
    if (!isFields(item) || !isNumber(item.consumer) || !Array.isArray(item.runs)) return undefined
    if (!item.runs.every(isRun)) return undefined
    held.push({ consumer: item.consumer, runs: item.runs })
  }
  return held
}

function isRun(value: Value): value is Run {
  return Array.isArray(value) && value.length === 2 && isSequence(value[0]) && isNumber(value[1])
}

function isBoot(fields: Fields): fields is BootFields {
  return isName(fields.node) && isNumber(fields.bootId)
}

function isAsker(fields: BootFields): fields is AskerFields {
  return isNumber(fields.nonce) && isNumber(fields.connection)
}

function isName(value: Value): value is string {
  return typeof value === 'string' && value !== '' && value.length <= limits.nameBytesMax
}

/** An integer that is exact and not negative. */
function isNumber(value: Value): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isDelay(value: Value): value is number {
  return isNumber(value) && value <= limits.delayMsMax
}

function invalid(message: string): Refusal {
  return { code: 'Validation', message }
}
