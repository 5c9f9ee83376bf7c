/**
 * What an error says about the operation that it ended. The SDK's errors carry the answer (`outcome`); a timeout is never taken for a
 * failure, whatever else it says, because a history in which what happened counts as failed proves nothing.
 */
import { MeshError } from '../../client/index.ts'
import type { Completion } from '../history.ts'

/** Throws what is no MeshError: a defect of the SDK or of the workload, which the run must not take for an answer. */
export function completionOf(error: unknown): Completion {
  if (!(error instanceof MeshError)) throw error
  const isDefinite = error.outcome === 'not-applied' && error.code !== 'Timeout'
  return { type: isDefinite ? 'fail' : 'info', error: `${error.code}: ${error.message}` }
}
