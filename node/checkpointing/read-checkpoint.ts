/**
 * What a start finds: the state of the checkpoint in force, read back chunk by chunk.
 */
import { invariant } from '../../raft/index.ts'
import type { RecoveredState } from '../group.ts'
import { CheckpointReader } from '../queue/index.ts'
import type { CheckpointStore } from './ports.ts'

/** Undefined when there is no checkpoint. Throws DamagedCheckpointError, or CheckpointFormatError for one of another version. */
export async function readCheckpoint(
  checkpoints: Pick<CheckpointStore, 'current' | 'readChunk'>,
): Promise<RecoveredState | undefined> {
  const { current } = checkpoints
  if (current === undefined) return undefined
  const { chunks, mark } = current
  const reader = new CheckpointReader()
  for (let n = 0; n < chunks; n++) {
    const chunk = await checkpoints.readChunk(mark.index, n)
    invariant(chunk !== undefined, 'nobody replaces a checkpoint while a node starts')
    reader.push(chunk)
  }
  return { mark, restored: reader.finish() }
}
