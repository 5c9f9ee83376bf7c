/**
 * Makes the node's own checkpoints, and lets the log go that they make needless: when enough of the log was applied since the last one,
 * the machine's state is captured, encoded a chunk a turn while the machine goes on, and written beside the former one, which it
 * replaces in one synced step (paper §7).
 *
 * Invariant 1: one at a time, and none while an install is written. Invariant 2: a checkpoint is never ahead of the log that is
 * synced here, or a crash would leave a node that holds a state without the promises that belong to it. Invariant 3: the log
 * keeps what a peer may still ask for: what followers lack, within a bound in bytes, and all above a mark that is being
 * installed somewhere (trap 28). While the disk is nearly full nothing is kept for those who do not answer.
 */
import { invariant, type RaftStatus } from '../../raft/index.ts'
import { every } from '../clock.ts'
import type {
  CheckpointInfo,
  CheckpointingBasics,
  CheckpointStore,
  CompactionPlan,
  GroupId,
  LiveEntries,
  LogIndex,
  MachineCheckpoint,
  SnapshotMark,
} from './ports.ts'
import { TrailingLog } from './trailing-log.ts'

/** Log that stays behind a checkpoint whoever lacks it, bytes: a peer that was away for a moment needs no install. */
const TRAILING_BYTES = 16 * 1024 * 1024

/**
 * Log above a mark that somebody installs, in terms of what is kept for followers, and bytes at the least: whoever takes longer than that
 * begins once more, with the bodies that it has by then, and the disk stays bounded.
 */
const PINNED_FACTOR_MAX = 4
const PINNED_BYTES_MIN = 64 * 1024 * 1024

/** How often it is looked whether the log is synced through a mark, milliseconds. */
const SYNC_LOOK_MS = 10

/** A checkpoint that is no larger, bytes, is soon written: one is made before a stop, and now and then when little happens. */
const CHEAP_BYTES_MAX = 16 * 1024 * 1024

/** When little happens: messages that were consumed take up the disk until the next checkpoint, and acks are a small log. Milliseconds. */
const QUIET_MS = 60_000

/** While the disk is nearly full, milliseconds: nothing else makes room, since no log comes that would call for a checkpoint. */
const SHORT_OF_ROOM_MS = 5_000

export interface CheckpointerOptions extends CheckpointingBasics {
  readonly group: GroupId
  readonly checkpoints: Pick<CheckpointStore, 'current' | 'begin'>
  /** What the checkpoint that was found at the start refers to; of no meaning when there was none. */
  readonly references: LiveEntries
  readonly machine: { checkpoint(): MachineCheckpoint }
  readonly driver: {
    status(): Pick<RaftStatus, 'appliedIndex' | 'persistedIndex' | 'firstIndex'> & {
      /** What a leader knows of its peers; empty on others. */
      readonly peers: readonly { readonly matchIndex: LogIndex; readonly mode: string }[]
    }
    mark(index: LogIndex): SnapshotMark
    checkpointed(mark: SnapshotMark): void
    compact(throughIndex: LogIndex): void
  }
  readonly compact: (plan: CompactionPlan) => Promise<unknown>
  /** What peers that install now need. */
  readonly pins: { pinned(): LiveEntries[]; logFloor(): LogIndex | undefined }
  /** Log bytes applied since the last checkpoint that call for the next one, at the least. */
  readonly checkpointBytes: number
  /** Log bytes that are kept for followers that lack them, at the most. */
  readonly trailingLogBytesMax: number
  /** Another checkpoint of this node's own is in force. */
  readonly onMade: () => void
}

/** A checkpoint that is durable, and what it refers to: the two change together. */
export interface InForce {
  /** Undefined when there is none yet. */
  readonly mark: SnapshotMark | undefined
  readonly references: LiveEntries
}

export interface CheckpointerStats {
  /** Made by this process. */
  readonly made: number
  /** How long the last one took, milliseconds. */
  readonly lastMs: number
}

export class Checkpointer {
  readonly #options: CheckpointerOptions
  readonly #trailing: TrailingLog
  readonly #pinnedBytesMax: number
  readonly #pinned: TrailingLog
  #inForce: InForce
  /** Log bytes applied since the mark of the last checkpoint. */
  #bytes = 0
  #dueBytes: number
  /** The current checkpoint is damaged: one at the same index is better. */
  #isUseless = false
  #running: Promise<void> | undefined
  /** A compaction that is still to begin; `keepsLog`: the log is left as long as it is. */
  #uncompacted: { readonly keepsLog: boolean } | undefined
  #isCompacting = false
  #isStopped = false
  /** How many want it to hold still: an install under way, a stop (invariant 1). */
  #suspensions = 0
  /** When the last one was begun. */
  #startedMs = Number.NEGATIVE_INFINITY
  /** When it was last told that the disk is nearly full, and when room was last made for that. */
  #shortMs = Number.NEGATIVE_INFINITY
  #roomMs = Number.NEGATIVE_INFINITY
  #endLooks: (() => void) | undefined
  #stats: CheckpointerStats = { made: 0, lastMs: 0 }

  constructor(options: CheckpointerOptions) {
    this.#options = options
    this.#inForce = { mark: options.checkpoints.current?.mark, references: options.references }
    this.#trailing = new TrailingLog(options.trailingLogBytesMax)
    this.#pinnedBytesMax = Math.max(PINNED_BYTES_MIN, PINNED_FACTOR_MAX * options.trailingLogBytesMax)
    this.#pinned = new TrailingLog(this.#pinnedBytesMax)
    this.#dueBytes = this.#nextDue()
  }

  get stats(): CheckpointerStats {
    return this.#stats
  }

  /** Lags behind the store's current one, which is current in memory before it is durable. */
  get inForce(): InForce {
    return this.#inForce
  }

  /** What the checkpoint in force refers to. */
  get references(): LiveEntries {
    return this.#inForce.references
  }

  /** Every applied entry, in order; on the hot path, so it only counts. */
  applied(index: LogIndex, bytes: number): void {
    this.#trailing.applied(index, bytes)
    this.#pinned.applied(index, bytes)
    this.#bytes += bytes
    if (this.#bytes >= this.#dueBytes) this.#start()
  }

  /** Once the node runs. Resumes what a stop or a crash may have ended of the last compaction. */
  start(): void {
    // How much log there is, and who lacks it, is not known yet.
    if (this.#inForce.mark !== undefined) this.#compact({ keepsLog: true })
    this.#endLooks = every(this.#options.clock, QUIET_MS, () => {
      if (this.#bytes > 0 && this.#isCheap) this.#start()
    })
  }

  /** The disk is nearly full: a checkpoint may let much of the log go. To be called again and again while that is so. */
  makeRoom(): void {
    const nowMs = this.#options.clock.now()
    this.#shortMs = nowMs
    if (nowMs - Math.max(this.#startedMs, this.#roomMs) < SHORT_OF_ROOM_MS) return
    this.#roomMs = nowMs
    if (this.#bytes > 0 && this.#suspensions === 0) this.#start()
    // There is nothing new, or it cannot be written now, but what was kept for others goes.
    else if (this.#inForce.mark !== undefined) this.#compact({ keepsLog: false })
  }

  /** The current checkpoint is of no use: a new one is due at once. */
  renew(): void {
    this.#isUseless = true
    this.#dueBytes = this.#nextDue()
    this.#start()
  }

  /** Holds still until the returned function is called. Resolves when nothing is being written any more. */
  async suspend(): Promise<() => void> {
    this.#suspensions++
    await this.#running
    let resumed = false
    return () => {
      if (resumed) return
      resumed = true
      this.#suspensions--
      if (this.#bytes >= this.#dueBytes) this.#start()
    }
  }

  /** For a stop in good order: a last checkpoint, if that is quick, so that the next start has little to apply. */
  async finish(): Promise<void> {
    if (this.#bytes > 0 && this.#isCheap) this.#start()
    await this.#running
    this.stop()
  }

  /** Nothing more is begun; what is under way is abandoned. */
  stop(): void {
    this.#isStopped = true
    this.#suspensions++
    this.#endLooks?.()
  }

  /** An installed checkpoint has become current. */
  adopt(references: LiveEntries): void {
    this.#inForce = { mark: this.#options.checkpoints.current!.mark, references }
    this.#isUseless = false
    this.#bytes = 0
    this.#dueBytes = this.#nextDue()
  }

  /** The adopted checkpoint is in force, and the log begins behind it: nothing else of the former log is needed. */
  installed(): void {
    this.#trailing.clear()
    this.#pinned.clear()
    this.#compact({ keepsLog: false })
  }

  get #isCheap(): boolean {
    return (this.#options.checkpoints.current?.bytes ?? 0) <= CHEAP_BYTES_MAX
  }

  /** The disk is nearly full. */
  get #isShort(): boolean {
    return this.#options.clock.now() - this.#shortMs < SHORT_OF_ROOM_MS
  }

  #nextDue(): number {
    if (this.#isUseless) return 0
    // A large state is not written again before as much log has come as it takes itself: at most half of all writing is this.
    return Math.max(this.#options.checkpointBytes, this.#options.checkpoints.current?.bytes ?? 0)
  }

  #start(): void {
    if (this.#running !== undefined || this.#suspensions > 0) return
    this.#running = this.#turn()
      .then(() => this.#make())
      .catch(this.#options.onFatal)
      .finally(() => {
        this.#running = undefined
      })
  }

  /** Between the entries of one turn the machine and the driver may be one entry apart. */
  #turn(): Promise<void> {
    return new Promise((resolve) => this.#options.clock.defer(resolve))
  }

  async #make(): Promise<void> {
    if (this.#suspensions > 0) return
    const { checkpoints, clock, driver, logger, machine } = this.#options
    const { appliedIndex } = driver.status()
    const currentIndex = checkpoints.current?.mark.index ?? 0
    if (appliedIndex < currentIndex || (appliedIndex === currentIndex && !this.#isUseless)) return
    const startedMs = clock.now()
    this.#startedMs = startedMs
    const mark = driver.mark(appliedIndex)
    const captured = machine.checkpoint()
    this.#bytes = 0
    // What is applied from here on counts for the next one, whatever becomes of this one.
    this.#dueBytes = this.#nextDue()
    const info = await this.#write(mark, captured)
    if (info === undefined) return
    this.#inForce = { mark, references: captured.references() }
    this.#isUseless = false
    this.#dueBytes = this.#nextDue()
    driver.checkpointed(mark)
    const lastMs = clock.now() - startedMs
    this.#stats = { made: this.#stats.made + 1, lastMs }
    logger.info('checkpoint', { index: mark.index, bytes: info.bytes, references: this.references.size, ms: lastMs })
    this.#options.onMade()
    this.#compact({ keepsLog: false })
  }

  /** Undefined when an install wants to be alone: nothing is left of this one then. */
  async #write(mark: SnapshotMark, captured: MachineCheckpoint): Promise<CheckpointInfo | undefined> {
    const writer = this.#options.checkpoints.begin(mark, 'local')
    for (const chunk of captured.chunks()) {
      if (this.#suspensions > 0) break
      await writer.put(chunk)
      // One chunk a turn: encoding one takes a few milliseconds, and everything else waits meanwhile.
      await this.#turn()
    }
    // Invariant 2.
    while (this.#suspensions === 0 && this.#options.driver.status().persistedIndex < mark.index) {
      await new Promise<void>((resolve) => this.#options.clock.setTimer(SYNC_LOOK_MS, resolve))
    }
    if (this.#suspensions === 0) return writer.commit()
    await writer.abandon()
    return undefined
  }

  /** A compaction may take long, since it is paced: only the newest checkpoint's waits for the one that runs. */
  #compact(wanted: { readonly keepsLog: boolean }): void {
    this.#uncompacted = wanted
    if (this.#isCompacting) return
    this.#isCompacting = true
    this.#compactAll()
      .catch((error: unknown) => {
        // A log that is closed compacts no more.
        if (!this.#isStopped) this.#options.onFatal(error)
      })
      .finally(() => {
        this.#isCompacting = false
      })
  }

  async #compactAll(): Promise<void> {
    const { compact, driver, group, pins } = this.#options
    while (this.#uncompacted !== undefined && !this.#isStopped) {
      const { keepsLog } = this.#uncompacted
      this.#uncompacted = undefined
      const { mark, references: live } = this.#inForce
      invariant(mark !== undefined, 'the log is compacted behind a checkpoint')
      const firstIndex = keepsLog ? driver.status().firstIndex : this.#firstIndex(mark)
      if (firstIndex > driver.status().firstIndex) driver.compact(firstIndex - 1)
      await compact({
        group,
        firstIndex,
        checkpointIndex: mark.index,
        live,
        // An install may have ended since: what it brought is pinned no more, and the former checkpoint does not refer to it.
        pinned: () =>
          this.#inForce.references === live ? pins.pinned() : [this.#inForce.references, ...pins.pinned()],
        isSuperseded: () => this.#uncompacted !== undefined,
        isShortOfRoom: this.#isShort,
      })
    }
  }

  /** Invariant 3. */
  #firstIndex(mark: SnapshotMark): LogIndex {
    const { driver, pins, trailingLogBytesMax } = this.#options
    const { appliedIndex, firstIndex, peers, persistedIndex } = driver.status()
    // An installed checkpoint is ahead of the log when that came by itself in the last moment.
    const behind = Math.min(mark.index, appliedIndex, persistedIndex) + 1
    // A peer that gets an install has no claim on the log below it; nor, when room is needed, one that does not answer.
    const claimants = peers.filter(({ mode }) => mode === 'replicate' || (mode === 'probe' && !this.#isShort))
    const claims = claimants.map(({ matchIndex }) => matchIndex + 1)
    const forNobody = this.#isShort ? behind : (this.#trailing.startOf(TRAILING_BYTES) ?? behind)
    const wanted = Math.min(behind, forNobody, ...claims)
    const bytesMax = this.#isShort ? Math.min(TRAILING_BYTES, trailingLogBytesMax) : trailingLogBytesMax
    const capped = Math.max(wanted, this.#trailing.startOf(bytesMax) ?? behind)
    const pinned = Math.max(pins.logFloor() ?? behind, this.#pinned.startOf(this.#pinnedBytesMax) ?? behind)
    return Math.max(firstIndex, Math.min(behind, capped, pinned))
  }
}
