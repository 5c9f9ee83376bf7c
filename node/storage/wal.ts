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
import { type GroupId, invariant } from '../../raft/index.ts'
import { BATCH_HEADER_BYTES } from './batch.ts'
import { type Batch, BatchBuilder, placeBatch, withOpening } from './batch-builder.ts'
import { Compaction, type CompactionPlan, type CompactionResult } from './compaction.ts'
import { DamagedLogError, StorageFailedError } from './errors.ts'
import type { File } from './files.ts'
import { GroupHistory } from './group-history.ts'
import { GroupLog, type SharedLog } from './group-log.ts'
import { GroupState, type PlainRecord } from './group-state.ts'
import { IdleMarker } from './idle-marker.ts'
import { LogReader } from './log-reader.ts'
import { groupKey } from './log-scan.ts'
import type { PendingAppend } from './pending-append.ts'
import { RECORD_HEADER_BYTES, RecordType } from './record.ts'
import type { Recovery } from './recovery.ts'
import type { RecoveryReport } from './recovery-report.ts'
import { segmentName } from './segment.ts'
import type { SegmentCatalog } from './segment-catalog.ts'
import type { SegmentManifest } from './segment-manifest.ts'
import { SegmentSpares, SPARES_MAX } from './segment-spares.ts'
import { recordBytesThatFit, SegmentWriter } from './segment-writer.ts'
import { recoverWith, type WalOptions, walDefaults } from './wal-options.ts'

export type { WalOptions } from './wal-options.ts'

export interface WalStats {
  /** Writes that were synced, markers included, since the log was opened. */
  readonly syncs: number
  readonly records: number
  readonly bytes: number
  /** Segments that the log consists of. */
  readonly segments: number
}

/** One of the groups whose log this is. */
interface Member {
  readonly state: GroupState
  readonly log: GroupLog
}

/** Of records that belong to no group. */
const noGroup: GroupId = { id: 0, incarnation: 0 }

export class Wal implements SharedLog {
  readonly reader: LogReader
  readonly entryBytesMax: number
  /** What was found at the start and not quite as it should be. */
  readonly report: RecoveryReport
  readonly #options: WalOptions
  readonly #catalog: SegmentCatalog
  readonly #spares: SegmentSpares
  readonly #writer: SegmentWriter
  readonly #builder: BatchBuilder
  readonly #members = new Map<string, Member>()
  readonly #marker: IdleMarker
  readonly #stats = { syncs: 0, records: 0, bytes: 0 }
  #running: Promise<void> | undefined
  /** What the batch under way completes. */
  #underWay: readonly PendingAppend[] = []
  #markerWanted = false
  /** The segment that took the last batch which is synced. */
  #syncedSegment: number
  #compaction: Promise<unknown> = Promise.resolve()
  #endPause: (() => void) | undefined
  /** Bytes written at which it ends. */
  #pauseEnd = Number.POSITIVE_INFINITY
  #isEnding = false
  #failure: StorageFailedError | undefined
  #closed: Promise<void> | undefined

  private constructor(options: WalOptions, recovery: Recovery, file: File | undefined) {
    const { files, directory, identity, clock } = options
    const segmentBytes = options.segmentBytes ?? walDefaults.segmentBytes
    const room = recordBytesThatFit(segmentBytes) - Math.floor(segmentBytes * walDefaults.openingShare)
    this.#options = options
    this.report = recovery.report
    this.#catalog = recovery.catalog
    this.#syncedSegment = recovery.end.sequence
    this.entryBytesMax = room - RECORD_HEADER_BYTES
    this.reader = new LogReader(files, directory, identity)
    this.#builder = new BatchBuilder(Math.min(options.batchBytesMax ?? walDefaults.batchBytesMax, room))
    this.#marker = new IdleMarker(clock, options.idleMarkerMs ?? walDefaults.idleMarkerMs, () => {
      if (this.#failure !== undefined || this.#running !== undefined) return false
      void this.#writeMarker()
      return true
    })
    const onFailure = (cause: unknown) => this.#fail(cause)
    this.#spares = new SegmentSpares({ files, directory, segmentBytes })
    const writing = { files, directory, identity, segmentBytes, spares: this.#spares, onFailure }
    this.#writer = new SegmentWriter(writing, recovery.end, file)
    for (const history of recovery.groups.values()) this.#addMember(history, history.stateRecord())
  }

  /**
   * Recovers what is there, or begins a new log. Rejects with DamagedLogError or with what `onDoubt` throws, without having changed
   * anything, or with StorageFailedError.
   */
  static async open(options: WalOptions): Promise<Wal> {
    const refusal: { error?: unknown } = {}
    try {
      const recovery = await recoverWith(options, refusal)
      const { sequence, segmentBytes } = recovery.end
      const file = segmentBytes === 0 ? undefined : await options.files.open(pathOf(options, sequence))
      const wal = new Wal(options, recovery, file)
      await wal.#begin(recovery)
      const failure = wal.#failure
      if (failure !== undefined) {
        await wal.close()
        throw failure
      }
      return wal
    } catch (error) {
      if (error instanceof DamagedLogError || error instanceof StorageFailedError || 'error' in refusal) throw error
      throw new StorageFailedError(`the log in ${options.directory} cannot be opened`, { cause: error })
    }
  }

  /** What has to be in the log before anybody uses it. */
  async #begin({ end, accepted }: Recovery): Promise<void> {
    if (accepted !== undefined) {
      const heads = [...this.#members.values()].map(({ state }) => ({ state, head: state.toRecord() }))
      const noted = accepted.map(({ sequence, offset }) => ({
        state: new GroupState(noGroup),
        head: { type: RecordType.acceptedDamage, term: sequence, index: offset, body: Buffer.alloc(0) },
      }))
      // What is missing stays missing; and what does not meet the log is void from here on.
      await Promise.allSettled([...heads, ...noted].map((record) => this.#submitPlain(record)))
    }
    // A log that was ever opened thus has a segment with a header: its absence is damage from now on.
    if (end.segmentBytes === 0 || this.#writer.awaitsFirstBatch) await this.#writeMarker()
    await Promise.allSettled([...this.#members.values()].map(({ log }) => log.tellCommitted()))
    // The last batch may be one without a successor.
    if (end.segmentBytes > 0) this.#marker.written()
  }

  /** The log of one group; the same object for every call. */
  group(group: GroupId): GroupLog {
    const known = this.#members.get(groupKey(group))
    return (known ?? this.#addMember(new GroupHistory(group, { index: 0, term: 0 }, undefined), undefined)).log
  }

  get stats(): WalStats {
    return { ...this.#stats, segments: this.#catalog.size }
  }

  get segment(): number {
    return this.#writer.end.sequence
  }

  get failure(): StorageFailedError | undefined {
    return this.#failure
  }

  get isEnding(): boolean {
    return this.#isEnding || this.#failure !== undefined
  }

  turn(): Promise<void> {
    return new Promise((resolve) => this.#options.clock.setTimer(0, resolve))
  }

  submit(append: PendingAppend): void {
    this.#builder.add(append)
    this.#start()
  }

  /**
   * Forgets the group's log below the plan's first index and removes the segments that nobody needs then. One at a time: a call waits
   * for those before it. Rejects when the log fails or is closed meanwhile.
   */
  compact(plan: CompactionPlan): Promise<CompactionResult> {
    const { manifest, clock } = this.#options
    const compaction = this.#compaction.then(async () => {
      this.#throwIfFailed()
      invariant(manifest !== undefined, 'a log that is compacted has a manifest')
      const wal = this
      const sparesMax = plan.isShortOfRoom === true ? 0 : SPARES_MAX
      if (sparesMax === 0) await this.#spares.retire([], 0)
      return new Compaction({
        reader: this.reader,
        catalog: this.#catalog,
        logs: [...this.#members.values()].map(({ log }) => log),
        syncedSegment: this.#syncedSegment,
        get isEnding() {
          return wal.isEnding
        },
        get written() {
          return wal.#stats.bytes
        },
        now: () => clock.now(),
        pause: (ms, bytes) => this.#pause(ms, bytes),
        removeFiles: (sequences) => this.#removeFiles(manifest, sequences, sparesMax),
      }).run(this.group(plan.group), plan)
    })
    this.#compaction = compaction.catch((error: unknown) => this.#fail(error))
    return compaction
  }

  /** Writes what is pending, marks it as synced and closes the files. Later appends and reads reject. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#isEnding = true
    this.#endPause?.()
    await this.#compaction
    await this.#running
    this.#marker.stop()
    if (this.#marker.isDue && this.#failure === undefined) await this.#writeMarker()
    this.#failure ??= new StorageFailedError('the log is closed')
    await Promise.all([this.#writer.close(), this.reader.close()])
  }

  // ---- groups

  #addMember(history: GroupHistory, found: PlainRecord | undefined): Member {
    const state = new GroupState(history.group)
    if (found !== undefined) state.applyRecord(found)
    const log = new GroupLog(this, history, state, this.#options.checkpoint?.mark.index ?? 0)
    const member = { state, log }
    this.#members.set(groupKey(history.group), member)
    return member
  }

  get #writtenStates(): GroupState[] {
    return [...this.#members.values()].flatMap(({ state }) => (state.isWritten ? state : []))
  }

  #submitPlain({ state, head }: { state: GroupState; head: PlainRecord }): Promise<void> {
    const plain = { sink: undefined, entries: [], isKept: false, previousTerm: 0, voidsFrom: 0 }
    return new Promise((resolve, reject) => this.submit({ ...plain, state, head, resolve, reject }))
  }

  // ---- writes

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

  async #write(taken: Batch): Promise<void> {
    this.#underWay = taken.parts.map(({ append }) => append)
    const states = this.#writtenStates
    const openingBytes = states.reduce((sum, state) => sum + state.bytes, 0)
    const place = await this.#writer.place(BATCH_HEADER_BYTES + taken.recordBytes, openingBytes)
    const { sequence, seed, offset } = place
    const batch = place.isFirst ? withOpening(taken, states) : taken
    const batchBytes = BATCH_HEADER_BYTES + batch.recordBytes
    const buffers = this.#builder.encode(batch, this.#writer.end.lastBatch + 1, states.length, seed, offset)
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
    if (this.#stats.bytes >= this.#pauseEnd) this.#endPause?.()
    if (sequence !== this.#syncedSegment) this.#catalog.add(sequence, this.#writer.end.segmentBytes)
    this.#syncedSegment = sequence
    placeBatch(batch, sequence, offset)
    for (const { append } of taken.parts) {
      if (append.voidsFrom !== undefined) this.#catalog.guard(sequence, append.voidsFrom)
    }
    if (taken.records > 0) this.#marker.written()
    else this.#marker.marked()
  }

  #settle(batch: Batch): void {
    this.#underWay = []
    for (const { append, completes } of batch.parts) if (completes) append.resolve()
  }

  // ---- compaction

  #pause(ms: number, bytes: number): Promise<void> {
    if (this.#isEnding) return Promise.resolve()
    return new Promise((resolve) => {
      const cancel = this.#options.clock.setTimer(ms, resolve)
      this.#pauseEnd = this.#stats.bytes + bytes
      this.#endPause = () => {
        cancel()
        resolve()
      }
    })
  }

  async #removeFiles(manifest: SegmentManifest, sequences: readonly number[], sparesMax: number): Promise<void> {
    const segments = this.#catalog.remove(sequences)
    // Of what was lost before all that is left, nothing can matter any more: it counts as removed too.
    const first = this.#catalog.first
    const lost: number[] = []
    for (let sequence = manifest.value.removedBelow; sequence < first; sequence++) lost.push(sequence)
    await manifest.remove([...new Set([...lost, ...sequences])])
    for (const sequence of sequences) await this.reader.forget(sequence)
    await this.#spares.retire(segments, sparesMax)
  }

  // ---- failures

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  #fail(cause: unknown): void {
    if (this.#failure !== undefined) return
    const failure = new StorageFailedError(`the log in ${this.#options.directory} cannot be written`, { cause })
    this.#failure = failure
    this.#endPause?.()
    this.#marker.stop()
    for (const append of [...this.#underWay, ...this.#builder.clear()]) append.reject(failure)
    this.#options.onFailure?.(failure)
  }
}

function pathOf({ directory }: WalOptions, sequence: number): string {
  return join(directory, segmentName(sequence))
}
