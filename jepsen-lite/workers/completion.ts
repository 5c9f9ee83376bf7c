/**
 * What an error says about the operation that it ended. The SDK's errors carry the answer (`outcome`); a timeout is never taken for a
 * failure, whatever else it says, because a history in which what happened counts as failed proves nothing.
 */
import { MeshError } from '../../client/index.ts'
import type { Completion, Json } from '../history.ts'

/** Throws what is no MeshError: a defect of the SDK or of the workload, which the run must not take for an answer. */
export function completionOf(error: unknown): Completion {
  if (!(error instanceof MeshError)) throw error
  const isDefinite = error.outcome === 'not-applied' && error.code !== 'Timeout'
  return { type: isDefinite ? 'fail' : 'info', error: `${error.code}: ${error.message}` }
}

/** What became of one message of an operation that publishes several: its `id`, and `type` as of an operation. */
export interface MessageOutcome {
  readonly [key: string]: Json
  readonly type: Completion['type']
}

/** An operation that published these, told with each. Info when nobody knows what became of one; fail when none is stored. */
export function completionOfBurst(messages: readonly MessageOutcome[]): Completion {
  const value = { messages }
  const unknown = messages.find(({ type }) => type === 'info')
  if (unknown !== undefined) return { type: 'info', value, error: String(unknown.error) }
  const refused = messages.find(({ type }) => type === 'fail')
  if (refused === undefined || messages.some(({ type }) => type === 'ok')) return { type: 'ok', value }
  return { type: 'fail', value, error: String(refused.error) }
}
