/**
 * Reads all segments of a log, in order, and finds out what they hold, what is damaged and where the log ends. The rules are in
 * recovery.ts.
 *
 * One segment is in memory at a time. Nothing on disk is changed.
 */
import type { GroupId } from '../../raft/index.ts'
import type { PlacedRecord } from './batch.ts'
import { type EntryId, GroupHistory, type Hole } from './group-history.ts'
import { RecordType } from './record.ts'
import { alignToSector, SEGMENT_HEADER_BYTES, type SegmentHeader } from './segment.ts'
import { SegmentCatalog } from './segment-catalog.ts'
import type { Segment, SegmentFiles } from './segment-files.ts'
import { endOfRemoved, isRemoved, lastRemoved, type RemovedSegments } from './segment-manifest.ts'
import { endOfContent, type FoundBatch, walkBatches } from './segment-scan.ts'
import type { LogEnd } from './segment-writer.ts'

/** A file for a segment that is not there yet, and one more, are made before the segment is used. */
const FILES_AHEAD = 2

/** A place in the log. */
export interface Place {
  readonly sequence: number
  readonly offset: number
}

export interface PlacedDamage extends Place {
  readonly what: string
}

/** A part of a segment that is to become zeros. */
export interface Rest extends Place {
  readonly bytes: number
}

/** Bytes that are to be written once more, to their own place. */
export interface Again extends Place {
  readonly data: Buffer
}

export interface ScanOptions {
  readonly removed: RemovedSegments
  readonly checkpoint: { readonly group: GroupId; readonly mark: EntryId } | undefined
  /** The log was opened before. */
  readonly mustExist: boolean
}

export function groupKey(group: GroupId): string {
  return `${group.id}/${group.incarnation}`
}

export class LogScan {
  readonly groups = new Map<string, GroupHistory>()
  readonly catalog = new SegmentCatalog()
  /** Files of segments that were removed on purpose. */
  readonly leftovers: number[] = []
  /** Files that are missing ahead of the segment in use. */
  readonly absent: number[] = []
  readonly rests: Rest[] = []
  again: Again | undefined
  /** Groups of which nothing is left. */
  isGroupLost = false
  readonly #segments: SegmentFiles
  readonly #options: ScanOptions
  readonly #damages: PlacedDamage[] = []
  /** `sequence:offset` of damages that an earlier start has told, and in which segment it did. */
  readonly #accepted = new Map<string, number>()
  readonly #headers = new Map<number, SegmentHeader>()
  /** Files that count, rising. */
  #present: number[] = []
  /** The last segment that was in use; whether its file is there or not. */
  #used = 0
  #highest = 0
  #lastBatch = 0
  /** Number of the batch that comes next, where that is certain. */
  #expected: number | undefined
  /** What a group may have lost of which nothing was seen yet. */
  #before: Hole | undefined
  #end: Omit<LogEnd, 'lastBatch' | 'highest'> = { sequence: 0, offset: 0, segmentBytes: 0 }

  constructor(segments: SegmentFiles, options: ScanOptions) {
    this.#segments = segments
    this.#options = options
  }

  get end(): LogEnd {
    return { ...this.#end, lastBatch: this.#lastBatch, highest: Math.max(this.#highest, this.#end.sequence) }
  }

  /** The log was in use before this start. */
  get wasUsed(): boolean {
    return this.#options.mustExist || this.catalog.size > 0
  }

  get damages(): readonly PlacedDamage[] {
    return this.#damages
  }

  /** Those that no earlier start has told. */
  get newDamages(): PlacedDamage[] {
    return this.#damages.filter((damage) => this.#acceptedIn(damage) === undefined)
  }

  async run(): Promise<void> {
    await this.#findFiles()
    const { removedBelow } = this.#options.removed
    if (removedBelow > 1) this.#hole('removed')
    let next = removedBelow
    for (const sequence of this.#present) {
      this.#passMissing(next, sequence)
      next = sequence + 1
      if (sequence <= this.#used) await this.#scanSegment(sequence)
      else await this.#judgeUnused(sequence)
    }
    if (this.#present.length === 0 && this.#options.mustExist) this.#damage(next, 0, 'the log is missing')
    else if (this.catalog.size > 0 && this.#highest === this.#used) this.#missSuccessor(this.#used + 1)
    if (this.catalog.size === 0 && this.#options.mustExist && this.#damages.length === 0) {
      this.#damage(this.#present[0] as number, 0, 'the header is bad, but the log was in use')
    }
    for (const damage of this.#damages) this.catalog.distrust(damage.sequence, this.#acceptedIn(damage) ?? this.#used)
  }

  #acceptedIn({ sequence, offset }: Place): number | undefined {
    return this.#accepted.get(`${sequence}:${offset}`)
  }

  /** Something is bad or gone that had been synced. */
  #damage(sequence: number, offset: number, what: string, hole = true): void {
    this.#damages.push({ sequence, offset, what })
    if (hole) this.#hole('damaged')
  }

  addDamage(sequence: number, what: string): void {
    this.#damage(sequence, 0, what, false)
  }

  #hole(hole: Hole): void {
    if (this.#before !== 'damaged') this.#before = hole
    this.#expected = undefined
    for (const history of this.groups.values()) history.onHole(hole)
  }

  /** The file behind the one in use is made before that takes its first batch. */
  #missSuccessor(sequence: number): void {
    // An earlier start may have told of it and ended before it made the file anew.
    const isTold = this.#acceptedIn({ sequence, offset: 0 }) !== undefined
    if (!isTold) this.#damage(sequence, 0, 'the segment is missing')
  }

  // ---- files

  async #findFiles(): Promise<void> {
    const { removed } = this.#options
    for (const sequence of await this.#segments.list()) {
      if (isRemoved(removed, sequence)) this.leftovers.push(sequence)
      else this.#present.push(sequence)
    }
    for (const sequence of this.#present) {
      const header = await this.#segments.readHeader(sequence)
      if (header !== undefined) this.#headers.set(sequence, header)
    }
    const listed = lastRemoved(removed)
    this.#highest = Math.max(listed, this.#present.at(-1) ?? 0)
    // A file is made only after the first batch of the segment two before it was synced.
    const proven = this.#present.length === 0 ? listed : Math.max(listed, this.#highest - FILES_AHEAD)
    this.#used = proven
    for (const sequence of this.#headers.keys()) this.#used = Math.max(this.#used, sequence)
    for (const sequence of this.#present) {
      if (sequence > this.#used && (await this.#provesUse(sequence))) this.#used = sequence
    }
    this.#end = { sequence: this.#used, offset: 0, segmentBytes: 0 }
  }

  /** A second batch proves that the first one and the header had been synced. */
  async #provesUse(sequence: number): Promise<boolean> {
    const { bytes, seed } = await this.#segments.read(sequence)
    const batches = walkBatches(bytes, seed)
    const first = batches.next()
    return first.done !== true && (first.value.skippedFrom !== undefined || batches.next().done !== true)
  }

  /** Nothing from `from` on is there, and `to` is; so no range of removed ones goes beyond it. */
  #passMissing(from: number, to: number): void {
    let sequence = from
    while (sequence < to) {
      const kept = endOfRemoved(this.#options.removed, sequence)
      if (kept > sequence) {
        this.#hole('removed')
        sequence = kept
        continue
      }
      if (sequence <= this.#used) this.#damage(sequence, 0, 'the segment is missing')
      else this.absent.push(sequence)
      sequence++
    }
  }

  // ---- one segment

  async #scanSegment(sequence: number): Promise<void> {
    const header = this.#headers.get(sequence)
    const segment = await this.#segments.read(sequence)
    const { bytes } = segment
    this.catalog.add(sequence, bytes.length)
    if (header === undefined) this.#damage(sequence, 0, 'the header of the segment is bad', false)
    this.#expected = header?.firstBatch ?? this.#expected
    if (sequence === this.#used) this.#scanLast(segment, header)
    else this.#scanFinished(segment, header)
    // Nothing tells how much there should be.
    if (header === undefined && !this.#headers.has(sequence + 1)) this.#hole('damaged')
    if (header !== undefined && bytes.length < header.segmentBytes) {
      this.#damage(sequence, bytes.length, `the segment has lost its end: it had ${header.segmentBytes} bytes`)
    }
  }

  /** All of it had been synced before the next segment was used, whose header tells where it ended. */
  #scanFinished({ sequence, bytes, seed }: Segment, header: SegmentHeader | undefined): void {
    const next = this.#headers.get(sequence + 1)
    const view = next === undefined ? bytes : bytes.subarray(0, next.previousEnd)
    let end = SEGMENT_HEADER_BYTES
    for (const batch of walkBatches(view, seed)) {
      this.#take(batch, sequence)
      end = alignToSector(batch.end)
    }
    const isAllThere = next === undefined ? endOfContent(bytes, end) === end : end === next.previousEnd
    const isLastThere = next === undefined || this.#expected === undefined || this.#expected === next.firstBatch
    const isCut = header !== undefined && bytes.length < header.segmentBytes
    if (!(isAllThere && isLastThere) && !isCut) this.#damage(sequence, end, this.#badBatch)
  }

  /** Its last batch may be torn, or whole in the page cache alone. */
  #scanLast(segment: Segment, header: SegmentHeader | undefined): void {
    const { sequence, bytes, seed } = segment
    let last: FoundBatch | undefined
    for (const batch of walkBatches(bytes, seed)) {
      if (last !== undefined) this.#take(last, sequence)
      last = batch
    }
    const isProven = last === undefined || last.offset === SEGMENT_HEADER_BYTES ? this.#isFirstBatchSynced : false
    const isTorn = last !== undefined && !last.isWhole && !isProven
    if (isTorn && last?.skippedFrom !== undefined) this.#damage(sequence, last.skippedFrom, this.#badBatch)
    if (last !== undefined && !isTorn) this.#take(last, sequence)
    if (last === undefined && isProven) this.#damage(sequence, SEGMENT_HEADER_BYTES, 'the first batch is bad')
    const end = endOf(last, isTorn)
    this.#judgeRest(segment, end)
    if (last === undefined || last.isWhole) this.#writeAgain(segment, last)
    // What is left of a damaged segment is not written to.
    const isSound = header !== undefined && bytes.length >= header.segmentBytes
    this.#end = { sequence, offset: end, segmentBytes: isSound ? header.segmentBytes : end }
    this.#lastBatch = Math.max(this.#lastBatch, (header?.firstBatch ?? 1) - 1)
  }

  /** The file two ahead was made after it. */
  get #isFirstBatchSynced(): boolean {
    return this.#highest >= this.#used + FILES_AHEAD
  }

  #writeAgain({ sequence, bytes }: Segment, last: FoundBatch | undefined): void {
    // A segment's first batch went to disk together with the header.
    const offset = last === undefined || last.offset === SEGMENT_HEADER_BYTES ? 0 : last.offset
    // A copy, for the memory of the segment is used again.
    const data = Buffer.from(bytes.subarray(offset, last?.end ?? SEGMENT_HEADER_BYTES))
    this.again = { sequence, offset, data }
  }

  /** Prepared, or its first batch was under way. */
  async #judgeUnused(sequence: number): Promise<void> {
    this.#judgeRest(await this.#segments.read(sequence), 0)
  }

  #judgeRest({ sequence, bytes }: Segment, offset: number): void {
    const end = endOfContent(bytes, offset)
    if (end > offset) this.rests.push({ sequence, offset, bytes: end - offset })
  }

  // ---- one batch

  get #badBatch(): string {
    return this.#expected === undefined ? 'batches are bad' : `batch ${this.#expected} is bad`
  }

  #take(batch: FoundBatch, sequence: number): void {
    const { header, offset, records, brokenAt, skippedFrom } = batch
    const isExpected = this.#expected === undefined || this.#expected === header.number
    if (skippedFrom !== undefined || !isExpected) this.#damage(sequence, skippedFrom ?? offset, this.#badBatch)
    for (const record of records) this.#takeRecord(record, sequence)
    this.#expected = header.number + 1
    this.#lastBatch = header.number
    if (brokenAt !== undefined) {
      this.#damage(sequence, brokenAt, `a record of batch ${header.number} is bad`)
      this.#expected = header.number + 1
    }
    this.isGroupLost = header.groups > this.groups.size
    // From here on a group that was not seen yet is a new one.
    if (!this.isGroupLost && brokenAt === undefined) this.#before = undefined
  }

  #takeRecord(record: PlacedRecord, sequence: number): void {
    const { header, offset, body } = record
    if (header.type === RecordType.acceptedDamage) {
      this.#accepted.set(`${header.term}:${header.index}`, sequence)
      this.catalog.guard(sequence, 0)
      return
    }
    const history = this.#historyOf(header.group)
    const problem = history.accept(record, sequence)
    if (problem !== undefined) throw this.#segments.refusal(sequence, offset, problem)
    const voidsFrom = history.takeVoidsFrom()
    if (voidsFrom !== undefined) this.catalog.guard(sequence, voidsFrom)
    if (body !== undefined) return
    this.#damage(sequence, offset, `the body of a record fails its checksum (index ${header.index})`, false)
  }

  #historyOf(group: GroupId): GroupHistory {
    const key = groupKey(group)
    let history = this.groups.get(key)
    if (history === undefined) {
      const { checkpoint } = this.#options
      const isOurs = checkpoint !== undefined && groupKey(checkpoint.group) === key
      history = new GroupHistory(group, isOurs ? checkpoint.mark : { index: 0, term: 0 }, this.#before)
      this.groups.set(key, history)
    }
    return history
  }
}

function endOf(last: FoundBatch | undefined, isTorn: boolean): number {
  if (last === undefined) return SEGMENT_HEADER_BYTES
  return isTorn ? last.offset : alignToSector(last.end)
}
