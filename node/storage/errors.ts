/**
 * What can go wrong with a disk, as errors with stable codes. None of them is ever retried or worked around in the running
 * process: the node stops and says why (traps 21 and 22). `code` is for programs, the message for the operator. A sector of the log that
 * cannot be read is none of them, but damage of what lies there (unreadable.ts).
 */

/**
 * The log holds something that no crash of ours can have left, data that was synced is gone or altered, and this node must not go
 * on without it: nobody else holds it, or it is needed now. When a start throws this, nothing on disk was changed.
 */
export class DamagedLogError extends Error {
  readonly code = 'DamagedLog'
  override readonly name = 'DamagedLogError'
  readonly file: string
  /** Bytes from the start of the file. */
  readonly offset: number

  constructor(file: string, offset: number, what: string) {
    super(
      `${file}, offset ${offset}: ${what}. Data of this node that had been synced is damaged, so it must not go on. ` +
        `Keep the directory as it is and check the disk; removing files from it would lose what the others count on. ` +
        `'meshmq repair' tells what can be done.`,
    )
    this.file = file
    this.offset = offset
  }
}

/**
 * A write, a sync or a read was refused by the operating system, or the log was closed. It stays so until a restart. `NoSpace`: the
 * disk is full, and nothing else is wrong with it.
 */
export class StorageFailedError extends Error {
  readonly code: 'StorageFailed' | 'NoSpace'
  override readonly name = 'StorageFailedError'

  constructor(what: string, options?: ErrorOptions) {
    const isFull = isOutOfSpace(options?.cause)
    super(isFull ? `${what}: no space is left on the disk (ENOSPC)` : what, options)
    this.code = isFull ? 'NoSpace' : 'StorageFailed'
  }
}

/** A refusal of the operating system itself, by its code: EIO, ENOSPC, EACCES. */
export function isSystemError(error: unknown): boolean {
  return error instanceof Error && /^E[A-Z0-9]+$/.test(String((error as NodeJS.ErrnoException).code))
}

/** What the system calls it when a disk, or what one user may take of it, is full. LevelDB passes on the words alone. */
function isOutOfSpace(cause: unknown): boolean {
  const { code, message = '' } = (cause ?? {}) as { readonly code?: string; readonly message?: string }
  if (code === 'ENOSPC' || code === 'EDQUOT') return true
  return code === 'LEVEL_IO_ERROR' && /No space left on device|Disk quota exceeded/.test(message)
}

export type IdentityErrorCode =
  /** Another process holds the data directory. */
  | 'DirectoryInUse'
  /** The directory was initialised by a node of another id. */
  | 'ForeignDirectory'
  /** There is a log, but nothing tells any more whose it is. */
  | 'IdentityMissing'
  /** The identity cannot be read, and there is no log that tells it. */
  | 'IdentityDamaged'
  /** The store cannot be opened. */
  | 'StoreDamaged'
  /** A later version of this program wrote it. */
  | 'UnknownFormat'

/** The data directory is not what this node left behind, or not this node's. */
export class IdentityError extends Error {
  override readonly name = 'IdentityError'
  readonly code: IdentityErrorCode

  constructor(code: IdentityErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** A checkpoint is not what was written. It is of no use any more; the log, or another member, may still tell its state. */
export class DamagedCheckpointError extends Error {
  readonly code = 'DamagedCheckpoint'
  override readonly name = 'DamagedCheckpointError'
}
