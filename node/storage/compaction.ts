/**
 * Makes room: removes the segments in which nothing is needed any more, and rewrites those in which little is.
 *
 * Needed are the log from its first entry on, and the kept entries. A segment is rewritten by writing what is needed of it as kept
 * entries at the end of the log, through the ordinary path of appends; so a crash at any point leaves one copy or two, never
 * none. It is done in small pieces with pauses that are a multiple of what each has taken, so that appends find the disk free
 * most of the time.
 *
 * The order in which a segment goes: nothing points to it, reads that still might have ended, the manifest says so, then the file. What
 * a crash leaves of files that the manifest lists, the next start removes.
 *
 * Never: decides what is live.
 */
import type { GroupId, LogIndex } from '../../raft/index.ts'
import type { GroupLog } from './group-log.ts'
import type { LiveEntries, SegmentUse } from './held-entries.ts'
import { PlacementBuilder } from './log-index.ts'
import type { LogReader } from './log-reader.ts'
import type { SegmentCatalog } from './segment-catalog.ts'

/** Read and written at a time. */
const PIECE_BYTES = 256 * 1024
/** A pause takes as many times as long as the piece before it. */
const PAUSE_SHARE = 4
const PAUSE_MS_MAX = 500
/** A segment is rewritten when less than this share of its bytes is needed. */
const SPARSE_SHARE = 0.5

export interface CompactionPlan {
  readonly group: GroupId
  /** The log begins here from now on; at most one behind the checkpoint. */
  readonly firstIndex: LogIndex
  /** The newest checkpoint, firstIndex - 1 by default: entries up to it that rot are missing, those above end the node. */
  readonly checkpointIndex?: LogIndex
  /** What is needed of what lies below. Taken as it is when compact() is called, and must not change until it has ended. */
  readonly live: LiveEntries
  /** What others need: installs that are given or taken. */
  readonly pinned?: readonly LiveEntries[]
}

export interface CompactionResult {
  /** Segments that are gone. */
  readonly removed: number
  /** Of these, how many were rewritten before. */
  readonly rewritten: number
  /** Of the files that are gone. */
  readonly bytesFreed: number
  /** That had to be written again. */
  readonly bytesCopied: number
}

/** What a compaction needs of the log. */
export interface CompactedLog {
  readonly reader: LogReader
  readonly catalog: SegmentCatalog
  readonly logs: Iterable<GroupLog>
  /** The segment that took the last batch which is synced. */
  readonly syncedSegment: number
  readonly isEnding: boolean
  now(): number
  /** Resolves after so many milliseconds, or when the log is being closed. */
  pause(ms: number): Promise<void>
  /** Removes files, whose absence is noted durably before. */
  removeFiles(sequences: readonly number[]): Promise<void>
}

export class Compaction {
  readonly #log: CompactedLog
  #removed = 0
  #rewritten = 0
  #bytesFreed = 0
  #bytesCopied = 0

  constructor(log: CompactedLog) {
    this.#log = log
  }

  async run(target: GroupLog, plan: CompactionPlan): Promise<CompactionResult> {
    const { firstIndex, checkpointIndex = firstIndex - 1, live, pinned = [] } = plan
    // Younger segments are not looked at: whatever comes meanwhile lies there.
    const end = this.#log.syncedSegment
    await target.compact(firstIndex, checkpointIndex, [live, ...pinned], end)
    await this.#removeUnused(end)
    const uses = await this.#use()
    for (const { sequence, bytes } of this.#log.catalog.before(end)) {
      if (this.#log.isEnding) break
      const use = uses.get(sequence)
      const isSparse = use !== undefined && (use.kept < bytes * SPARSE_SHARE || this.#log.catalog.isSuspect(sequence))
      if (!isSparse || use.log > 0) continue
      // One that guards others would stay, rewritten or not.
      if (this.#log.catalog.removable(new Set([sequence])).length === 0) continue
      if (await this.#rewrite(sequence)) this.#rewritten++
      await this.#removeUnused(end)
    }
    return {
      removed: this.#removed,
      rewritten: this.#rewritten,
      bytesFreed: this.#bytesFreed,
      bytesCopied: this.#bytesCopied,
    }
  }

  async #use(): Promise<Map<number, SegmentUse>> {
    const logs = [...this.#log.logs]
    // What an append under way replaces is needed until that one is synced.
    for (let busy = logs[0]; busy !== undefined; busy = logs.find((log) => log.isVoiding)) {
      await busy.append({ entries: [] })
    }
    const use = new Map<number, SegmentUse>()
    for (const log of logs) log.held.addUse(use)
    return use
  }

  async #removeUnused(end: number): Promise<void> {
    const { catalog, reader } = this.#log
    const use = await this.#use()
    const old = catalog.before(end)
    const sequences = catalog.removable(new Set(old.flatMap(({ sequence }) => (use.has(sequence) ? [] : sequence))))
    if (sequences.length === 0) return
    await reader.passed()
    await this.#log.removeFiles(sequences)
    for (const { sequence, bytes } of old) {
      if (!sequences.includes(sequence)) continue
      this.#removed++
      this.#bytesFreed += bytes
    }
  }

  /** Returns whether nothing is needed of the segment any more. */
  async #rewrite(sequence: number): Promise<boolean> {
    for (const log of this.#log.logs) {
      const placement = log.held.keptIn(sequence)
      for (let from = 0; from < placement.indexes.length; ) {
        if (this.#log.isEnding) return false
        const piece = pieceOf(placement, from)
        const startedAt = this.#log.now()
        await log.rewrite(piece)
        this.#bytesCopied += piece.bodyBytes.reduce((sum, bytes) => sum + bytes, 0)
        from += piece.indexes.length
        await this.#log.pause(Math.min(PAUSE_MS_MAX, PAUSE_SHARE * (this.#log.now() - startedAt)))
      }
    }
    return true
  }
}

function pieceOf(placement: PlacementBuilder, from: number): PlacementBuilder {
  const piece = new PlacementBuilder()
  let bytes = 0
  for (let i = from; i < placement.indexes.length; i++) {
    bytes += placement.bodyBytes[i] as number
    if (bytes > PIECE_BYTES && i > from) break
    const [index, sequence] = [placement.indexes[i] as number, placement.sequences[i] as number]
    piece.add(index, sequence, placement.offsets[i] as number, placement.bodyBytes[i] as number)
  }
  return piece
}
