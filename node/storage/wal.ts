/**
 * The write-ahead log: one per node, shared by all its Raft groups. Its segments are also the message store.
 *
 * Group commit: while one batch is being written, everything that arrives becomes the next, so that one write and one sync serve
 * all groups. One batch is under way at a time; hence batch n + 1 exists only if batch n is synced, on which recovery builds.
 *
 * Fail-stop: after a failed write every pending and later call rejects and nothing is written again, because the kernel may
 * count pages as clean that never reached the disk (trap 21). The way back is a restart.
 *
 * Never: clocks of its own, knowledge of what entries mean, retries, a bound on what waits: that is the callers', since Raft caps
 * the bytes that are not yet committed.
 */
import { join } from 'node:path'
import type { Clock, GroupId, LogStorage } from '../../raft/index.ts'
import { BATCH_HEADER_BYTES } from './batch.ts'
import { type Batch, BatchBuilder, placeEntries } from './batch-builder.ts'
import { DamagedLogError, StorageFailedError } from './errors.ts'
import type { File, Files } from './files.ts'
import { GroupHistory } from './group-history.ts'
import { GroupLog, type SharedLog } from './group-log.ts'
import { LogReader } from './log-reader.ts'
import type { PendingAppend } from './pending-append.ts'
import { RECORD_HEADER_BYTES } from './record.ts'
import { groupKey, type Leftover, type Recovery, recoverLog } from './recovery.ts'
import { type LogIdentity, segmentName } from './segment.ts'
import { recordBytesThatFit, SegmentWriter } from './segment-writer.ts'

const walDefaults = {
  segmentBytes: 32 * 1024 * 1024,
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
  /** The log was opened before: if it is gone, refuse instead of beginning a new one. */
  readonly mustExist?: boolean
  readonly segmentBytes?: number
  readonly batchBytesMax?: number
  /** So long after its last batch a quiet log writes a marker, which tells a later recovery that this batch was synced. */
  readonly idleMarkerMs?: number
  /** After every sync: how long write and sync took, and how many bytes they wrote. */
  readonly onSync?: (durationMs: number, bytes: number) => void
  /** The disk failed; the node must stop. Called once, also when nobody waits for a write. */
  readonly onFailure?: (error: StorageFailedError) => void
}

export interface WalStats {
  /** Writes that were synced, markers included, since the log was opened. */
  readonly syncs: number
  readonly records: number
  readonly bytes: number
  /** Segments in use. */
  readonly segments: number
}

export class Wal implements SharedLog {
  readonly reader: LogReader
  readonly entryBytesMax: number
  /** What was found at the start and not quite as it should be, for the node's log. */
  readonly doubt: Leftover | undefined
  readonly #options: WalOptions
  readonly #histories: Map<string, GroupHistory>
  readonly #writer: SegmentWriter
  readonly #builder: BatchBuilder
  readonly #groups = new Map<string, GroupLog>()
  readonly #stats = { syncs: 0, records: 0, bytes: 0 }
  #running: Promise<void> | undefined
  /** What the batch under way completes. */
  #underWay: readonly PendingAppend[] = []
  #failure: StorageFailedError | undefined
  #closed: Promise<void> | undefined
  /** The last batch on disk has no successor yet. */
  #markerDue = false
  #markerWanted = false
  #cancelMarkerTimer: (() => void) | undefined
  /** A batch was written since the marker's timer was set. */
  #busy = false

  private constructor(options: WalOptions, recovery: Recovery, file: File | undefined) {
    const { files, directory, identity } = options
    const segmentBytes = options.segmentBytes ?? walDefaults.segmentBytes
    const room = recordBytesThatFit(segmentBytes)
    this.#options = options
    this.doubt = recovery.doubt
    this.#histories = recovery.groups
    this.entryBytesMax = room - RECORD_HEADER_BYTES
    this.reader = new LogReader(files, directory, identity)
    this.#builder = new BatchBuilder(Math.min(options.batchBytesMax ?? walDefaults.batchBytesMax, room))
    const onFailure = (cause: unknown) => this.#fail(cause)
    this.#writer = new SegmentWriter({ files, directory, identity, segmentBytes, onFailure }, recovery.end, file)
  }

  /**
   * Recovers what is there, or begins a new log. Throws DamagedLogError without having changed anything, or
   * StorageFailedError.
   */
  static async open(options: WalOptions): Promise<Wal> {
    try {
      const recovery = await recoverLog(options)
      const { sequence } = recovery.end
      const file = sequence === 0 ? undefined : await options.files.open(join(options.directory, segmentName(sequence)))
      const wal = new Wal(options, recovery, file)
      // A log that was ever opened thus has a first segment with a header: its absence is damage from now on.
      if (sequence === 0) await wal.#writeMarker()
      const failure = wal.#failure
      if (failure !== undefined) {
        await wal.close()
        throw failure
      }
      return wal
    } catch (error) {
      if (error instanceof DamagedLogError || error instanceof StorageFailedError) throw error
      throw new StorageFailedError(`the log in ${options.directory} cannot be opened`, { cause: error })
    }
  }

  /** The log of one group; the same object for every call. */
  group(group: GroupId): LogStorage {
    const key = groupKey(group)
    const known = this.#groups.get(key)
    if (known !== undefined) return known
    const log = new GroupLog(this, this.#histories.get(key) ?? new GroupHistory(group))
    this.#histories.delete(key)
    this.#groups.set(key, log)
    return log
  }

  get stats(): WalStats {
    return { ...this.#stats, segments: this.#writer.end.sequence }
  }

  get failure(): StorageFailedError | undefined {
    return this.#failure
  }

  submit(append: PendingAppend): void {
    this.#builder.add(append)
    this.#start()
  }

  /** Writes what is pending, marks it as synced and closes the files. Later appends and reads reject. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.#running
    this.#cancelMarkerTimer?.()
    if (this.#markerDue && this.#failure === undefined) await this.#writeMarker()
    this.#failure ??= new StorageFailedError('the log is closed')
    await Promise.all([this.#writer.close(), this.reader.close()])
  }

  #writeMarker(): Promise<void> {
    this.#markerWanted = true
    return this.#start()
  }

  #start(): Promise<void> {
    this.#running ??= this.#run()
    return this.#running
  }

  async #run(): Promise<void> {
    try {
      // What the other groups append in this turn of the event loop's microtasks comes along.
      await undefined
      while (!this.#builder.isEmpty || this.#markerWanted) {
        const batch = this.#builder.take()
        const marks = batch.records === 0 && this.#markerWanted
        this.#markerWanted = false
        // Appends without records wait only for those before them, which are synced here.
        if (batch.records > 0 || marks) await this.#write(batch)
        this.#settle(batch)
      }
    } catch (error) {
      this.#fail(error)
    }
    // In the same turn as the loop's last look, so that no append falls between the two.
    this.#running = undefined
  }

  async #write(batch: Batch): Promise<void> {
    this.#underWay = batch.parts.map(({ append }) => append)
    const batchBytes = BATCH_HEADER_BYTES + batch.recordBytes
    const { sequence, seed, offset } = await this.#writer.place(batchBytes)
    const buffers = this.#builder.encode(batch, this.#writer.end.lastBatch + 1, seed, offset)
    const { clock, onSync } = this.#options
    this.#throwIfFailed()
    const startedAt = clock.now()
    await this.#writer.write(buffers, batchBytes)
    // The next segment's zeros may have failed meanwhile: from then on nothing is promised.
    this.#throwIfFailed()
    onSync?.(clock.now() - startedAt, batchBytes)
    this.#stats.syncs++
    this.#stats.records += batch.records
    this.#stats.bytes += batchBytes
    placeEntries(batch, sequence, offset)
    this.#markerDue = batch.records > 0
    this.#busy = true
    if (this.#markerDue) this.#armMarkerTimer()
  }

  #settle(batch: Batch): void {
    this.#underWay = []
    for (const { append, completes } of batch.parts) if (completes) append.resolve()
  }

  /** One timer at a time, and none is cancelled while the log is busy: it looks again instead. */
  #armMarkerTimer(): void {
    if (this.#cancelMarkerTimer !== undefined) return
    this.#busy = false
    const { clock, idleMarkerMs } = this.#options
    this.#cancelMarkerTimer = clock.setTimer(idleMarkerMs ?? walDefaults.idleMarkerMs, () => {
      this.#cancelMarkerTimer = undefined
      if (this.#failure !== undefined || !this.#markerDue) return
      if (this.#busy || this.#running !== undefined) this.#armMarkerTimer()
      else void this.#writeMarker()
    })
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  #fail(cause: unknown): void {
    if (this.#failure !== undefined) return
    const failure = new StorageFailedError(`the log in ${this.#options.directory} cannot be written`, { cause })
    this.#failure = failure
    this.#cancelMarkerTimer?.()
    for (const append of [...this.#underWay, ...this.#builder.clear()]) append.reject(failure)
    this.#options.onFailure?.(failure)
  }
}
