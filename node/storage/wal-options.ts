/**
 * What a log is opened with, and how its recovery is asked for with that.
 */
import type { Clock, GroupId, LogIndex, Term } from '../../raft/index.ts'
import { DamagedLogError, type StorageFailedError } from './errors.ts'
import type { Files } from './files.ts'
import { type Recovery, recoverLog } from './recovery.ts'
import type { RecoveryReport } from './recovery-report.ts'
import type { LogIdentity } from './segment.ts'
import { nothingRemoved, type SegmentManifest } from './segment-manifest.ts'

export const walDefaults = {
  segmentBytes: 32 * 1024 * 1024,
  /** Of a segment, left free by entries for the states of the groups at its start: tens of bytes each. */
  openingShare: 1 / 16,
  /** One batch. Larger ones would make those behind them wait without saving syncs that count. */
  batchBytesMax: 8 * 1024 * 1024,
  idleMarkerMs: 50,
}

export interface WalOptions {
  readonly files: Files
  /** Folder of the segments; made if it is missing. Nothing else may be kept in it. */
  readonly directory: string
  readonly identity: LogIdentity
  readonly clock: Pick<Clock, 'now' | 'setTimer'>
  /** The log was opened before: if it is gone, that is damage. */
  readonly mustExist?: boolean
  /** The newest checkpoint: what lies at or below it may be lost without harm. */
  readonly checkpoint?: {
    readonly group: GroupId
    readonly mark: { readonly index: LogIndex; readonly term: Term }
  }
  /** Which segments were removed on purpose. Without one nothing is ever removed. */
  readonly manifest?: SegmentManifest
  /**
   * Something is damaged or torn. Awaited before anything on disk is changed; what it throws ends the start. Without it damage, but
   * not a torn end, ends the start with DamagedLogError.
   */
  readonly onDoubt?: (report: RecoveryReport) => Promise<void>
  readonly segmentBytes?: number
  readonly batchBytesMax?: number
  /** So long after its last batch a quiet log writes a marker, which tells a later recovery that this batch was synced. */
  readonly idleMarkerMs?: number
  /** After every sync: how long write and sync took, and how many bytes they wrote. */
  readonly onSync?: (durationMs: number, bytes: number) => void
  /** The disk failed; the node must stop. Called once, also when nobody waits for a write. */
  readonly onFailure?: (error: StorageFailedError) => void
}

/** What `onDoubt` throws is thrown as it is; `refusal` then holds it. */
export function recoverWith(options: WalOptions, refusal: { error?: unknown }): Promise<Recovery> {
  const { files, directory, identity, checkpoint, mustExist = false, manifest, onDoubt = refuseDamage } = options
  return recoverLog({
    files,
    directory,
    identity,
    checkpoint,
    mustExist,
    removed: manifest?.value ?? nothingRemoved,
    onDoubt: async (report) => {
      try {
        await onDoubt(report)
      } catch (error) {
        refusal.error = error
        throw error
      }
    },
  })
}

async function refuseDamage({ damages }: RecoveryReport): Promise<void> {
  const first = damages[0]
  if (first !== undefined) throw new DamagedLogError(first.file, first.offset, first.what)
}
