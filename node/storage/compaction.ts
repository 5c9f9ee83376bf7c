/**
 * Makes room: removes the segments in which nothing is needed any more, and rewrites those in which little is.
 *
 * Needed are the log from its first entry on, and the kept entries. A segment is rewritten by writing what is needed of it as kept
 * entries at the end of the log, through the ordinary path of appends; so a crash at any point leaves one copy or two, never
 * none. It is done in small pieces, so that no append waits long behind one, and at a pace of its own (compaction-pace.ts). That sets
 * nothing free that became needless meanwhile: so the sparsest segments are the first, and it ends soon when another plan waits,
 * which goes on with what is left.
 *
 * The order in which a segment goes: nothing points to it, reads that still might have ended, the manifest says so, then the file, which
 * goes or becomes a spare (segment-spares.ts). What a crash leaves of files that the manifest lists, the next start removes.
 *
 * Never: decides what is live.
 */
import type { GroupId, LogIndex } from '../../raft/index.ts'
import { CompactionPace, type PacedLog } from './compaction-pace.ts'
import type { GroupLog } from './group-log.ts'
import type { LiveEntries, SegmentUse } from './held-entries.ts'
import { PlacementBuilder } from './log-index.ts'
import type { LogReader } from './log-reader.ts'
import { RECORD_HEADER_BYTES } from './record.ts'
import type { SegmentCatalog } from './segment-catalog.ts'

/** A segment is rewritten when less than this share of its bytes is needed. */
const SPARSE_SHARE = 0.4
/** Segments whose kept entries are looked for in one pass over all: their indexes are in memory then. */
const VICTIMS_MAX = 64
/** Of that pass in one turn: about a millisecond. */
const ROWS_PER_TURN = 32 * 1024

export interface CompactionPlan {
  readonly group: GroupId
  /** The log begins here from now on; at most one behind the checkpoint. */
  readonly firstIndex: LogIndex
  /** The newest checkpoint, firstIndex - 1 by default: entries up to it that rot are missing, those above end the node. */
  readonly checkpointIndex?: LogIndex
  /** What is needed of what lies below. Taken as it is when compact() is called, and must not change until it has ended. */
  readonly live: LiveEntries
  /** What others need: installs that are given or taken. Asked when this plan's turn has come. */
  readonly pinned?: () => readonly LiveEntries[]
  /** A newer plan waits: no more is rewritten for this one. */
  readonly isSuperseded?: () => boolean
  /** The disk is nearly full: every file that is not needed is given back. */
  readonly isShortOfRoom?: boolean
}

export interface CompactionResult {
  /** Segments that were let go of; their files are gone or spares. */
  readonly removed: number
  /** How many of them were rewritten before. */
  readonly rewritten: number
  /** Of those. */
  readonly bytesFreed: number
  /** Of records that had to be written again. */
  readonly bytesCopied: number
}

/** What a compaction needs of the log. */
export interface CompactedLog extends PacedLog {
  readonly reader: LogReader
  readonly catalog: SegmentCatalog
  readonly logs: Iterable<GroupLog>
  /** The segment that took the last batch which is synced. */
  readonly syncedSegment: number
  readonly isEnding: boolean
  now(): number
  /** Removes files, whose absence is noted durably before. */
  removeFiles(sequences: readonly number[]): Promise<void>
}

/** The kept entries of one group that lie in each of some segments. */
interface Found {
  readonly log: GroupLog
  readonly segments: ReadonlyMap<number, LogIndex[]>
}

export class Compaction {
  readonly #log: CompactedLog
  readonly #pace: CompactionPace
  #removed = 0
  #rewritten = 0
  #bytesFreed = 0
  #bytesCopied = 0

  constructor(log: CompactedLog) {
    this.#log = log
    this.#pace = new CompactionPace(log)
  }

  async run(target: GroupLog, plan: CompactionPlan): Promise<CompactionResult> {
    const { firstIndex, checkpointIndex = firstIndex - 1 } = plan
    // Younger segments are not looked at: whatever comes meanwhile lies there.
    const end = this.#log.syncedSegment
    const live = [plan.live, ...(plan.pinned?.() ?? [])]
    await target.compact(firstIndex, checkpointIndex, { live, keepFrom: end })
    await this.#removeUnused(end)
    const isOver = () => this.#log.isEnding || (plan.isSuperseded?.() === true && this.#pace.mayEnd())
    const tried = new Set<number>()
    while (!isOver()) {
      const victims = (await this.#sparse(end)).filter((sequence) => !tried.has(sequence)).slice(0, VICTIMS_MAX)
      if (victims.length === 0) break
      for (const sequence of victims) tried.add(sequence)
      await this.#rewrite(victims, await this.#find(victims), end, isOver)
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

  /** The segments that are worth to be rewritten, the sparsest first. */
  async #sparse(end: number): Promise<number[]> {
    const { catalog } = this.#log
    const uses = await this.#use()
    const shares = new Map<number, number>()
    for (const { sequence, bytes } of catalog.before(end)) {
      const { log, kept } = uses.get(sequence) ?? { log: 0, kept: 0 }
      if (log === 0 && (kept < bytes * SPARSE_SHARE || catalog.isSuspect(sequence))) shares.set(sequence, kept / bytes)
    }
    const shareOf = (sequence: number): number => shares.get(sequence) as number
    // One that guards others would stay, rewritten or not.
    const going = catalog.removable(new Set(shares.keys())).filter((sequence) => shareOf(sequence) > 0)
    return going.sort((a, b) => shareOf(a) - shareOf(b))
  }

  async #find(victims: readonly number[]): Promise<Found[]> {
    const all: Found[] = []
    for (const log of this.#log.logs) {
      const segments = new Map(victims.map((sequence): [number, LogIndex[]] => [sequence, []]))
      let from: LogIndex | undefined = log.held.findKept(segments, 0, ROWS_PER_TURN)
      while (from !== undefined) {
        await this.#log.pause(0, 0)
        from = log.held.findKept(segments, from, ROWS_PER_TURN)
      }
      all.push({ log, segments })
    }
    return all
  }

  /** One piece after the other, and removes the segments that it has come through. */
  async #rewrite(
    victims: readonly number[],
    found: readonly Found[],
    end: number,
    isOver: () => boolean,
  ): Promise<void> {
    const rows = keptIn(victims, found)
    for (let piece = nextPiece(rows, this.#pace.pieceBytes); !isOver(); ) {
      const startedAt = this.#log.now()
      await Promise.all([...piece.places].map(([log, placement]) => log.rewrite(placement)))
      this.#bytesCopied += piece.bytes
      this.#rewritten += piece.segments
      if (piece.segments > 0) await this.#removeUnused(end)
      if (piece.isLast) return
      await this.#pace.copied(piece.bytes, this.#log.now() - startedAt)
      piece = nextPiece(rows, this.#pace.pieceBytes)
    }
  }
}

/** A kept entry that lay in that segment when they were looked for. */
interface Row {
  readonly log: GroupLog
  readonly sequence: number
  readonly index: LogIndex
}

/** Segment by segment; undefined behind each of them. */
function* keptIn(victims: readonly number[], found: readonly Found[]): Generator<Row | undefined, undefined> {
  for (const sequence of victims) {
    for (const { log, segments } of found) {
      for (const index of segments.get(sequence) as LogIndex[]) yield { log, sequence, index }
    }
    yield undefined
  }
}

/** What is written at a time. */
interface Piece {
  readonly places: ReadonlyMap<GroupLog, PlacementBuilder>
  /** Of its records. */
  readonly bytes: number
  /** Segments of which nothing follows. */
  readonly segments: number
  readonly isLast: boolean
}

/** Its places are those of now: what was mended since it was looked for, or brought once more, lies elsewhere. */
function nextPiece(rows: Iterator<Row | undefined>, bytesMin: number): Piece {
  const places = new Map<GroupLog, PlacementBuilder>()
  let bytes = 0
  let segments = 0
  while (bytes < bytesMin) {
    const { value: row, done } = rows.next()
    if (done) return { places, bytes, segments, isLast: true }
    if (row === undefined) {
      segments++
      continue
    }
    const place = row.log.held.keptPlace(row.index)
    if (place?.sequence !== row.sequence) continue
    bytes += RECORD_HEADER_BYTES + place.bodyBytes
    const placement = places.get(row.log) ?? new PlacementBuilder()
    if (placement.indexes.length === 0) places.set(row.log, placement)
    placement.add(row.index, row.sequence, place.offset, place.bodyBytes)
  }
  return { places, bytes, segments, isLast: false }
}
