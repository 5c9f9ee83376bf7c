/**
 * Opens all that a node keeps on disk, in the one order that is safe: the identity first, since it holds the lock and names the log;
 * then the log; and only when both are there, the note that both belong together.
 */
import { join } from 'node:path'
import { ensureDirectory } from './directories.ts'
import type { StorageFailedError } from './errors.ts'
import type { Files } from './files.ts'
import { Identity, type IdentityOptions } from './identity.ts'
import { segmentSequence } from './segment.ts'
import { Wal, type WalOptions } from './wal.ts'

export interface StorageOptions extends Pick<IdentityOptions, 'nodeId' | 'mintIncarnation' | 'wallNow'> {
  readonly files: Files
  /** The node's data directory; made if it is missing. */
  readonly dataDir: string
  readonly clock: WalOptions['clock']
  readonly segmentBytes?: number
  readonly onSync?: (durationMs: number, bytes: number) => void
  readonly onFailure?: (error: StorageFailedError) => void
}

export interface NodeStorage {
  readonly identity: Identity
  readonly wal: Wal
  /** Of this start; higher than those of all starts before it. */
  readonly bootId: number
  close(): Promise<void>
}

/** Throws DamagedLogError, IdentityError or StorageFailedError; each says what is wrong with which file. */
export async function openStorage(options: StorageOptions): Promise<NodeStorage> {
  const { files, dataDir, nodeId, mintIncarnation, wallNow, ...walOptions } = options
  const logDirectory = join(dataDir, 'wal')
  const logExists = await hasSegments(files, logDirectory)
  const directory = join(dataDir, 'identity')
  const identity = await Identity.open({ files, directory, nodeId, logExists, mintIncarnation, wallNow })
  let wal: Wal | undefined
  const close = async (): Promise<void> => {
    await wal?.close()
    // Last, for the lock: nobody else may open the log before it is closed.
    await identity.close()
  }
  try {
    const { incarnation, logBegun } = identity
    const own = { nodeId, incarnation }
    wal = await Wal.open({ ...walOptions, files, directory: logDirectory, identity: own, mustExist: logBegun })
    await identity.markLogBegun()
    return { identity, wal, bootId: await identity.nextBootId(), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function hasSegments(files: Files, logDirectory: string): Promise<boolean> {
  await ensureDirectory(files, logDirectory)
  return (await files.list(logDirectory)).some((name) => segmentSequence(name) !== undefined)
}
