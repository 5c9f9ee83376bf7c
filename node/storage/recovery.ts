/**
 * What a start does with the segments that it finds (trap 22: "cut at the first bad record" would turn a flipped bit into
 * lost acknowledgements).
 *
 * Only one batch is ever under way, so a crash can leave exactly one thing unfinished: the batch behind the last synced one. What
 * is decided, and when:
 *
 *  - A bad batch with proof behind it that it had been synced (a whole batch header that says so, or a whole header of the next
 *    segment) is damage: DamagedLogError. So are a missing file, a segment that is shorter than its header says, a header of
 *    another node or incarnation, and a bad header of a segment that proves to have held synced batches.
 *  - A bad batch without such proof is doubtful: torn, or rotten, nobody can tell. It is overwritten with zeros, durably, before
 *    anything else happens, so that it never comes back; the log ends before it.
 *  - A tail of zeros is the end of the log.
 *  - The last whole batch may be whole only in the page cache: the process may have died inside the write. It is written once
 *    more, the same bytes to the same place, and so is synced before anybody acts on it.
 *
 * Nothing on disk is changed before all segments have been found whole. NB: a last batch that was synced and turned into zeros,
 * header included, before a marker followed cannot be told from one that never arrived.
 *
 * Never: repair.
 */
import type { GroupId } from '../../raft/index.ts'
import { ensureDirectory } from './directories.ts'
import type { Files } from './files.ts'
import { GroupHistory } from './group-history.ts'
import { alignToSector, type LogIdentity, SEGMENT_HEADER_BYTES, type SegmentHeader } from './segment.ts'
import { type Segment, SegmentFiles } from './segment-files.ts'
import { endOfContent, findProofOfSync, type WholeBatch, wholeBatchAt } from './segment-scan.ts'
import type { LogEnd } from './segment-writer.ts'

export interface RecoveryOptions {
  readonly files: Files
  readonly directory: string
  readonly identity: LogIdentity
  readonly mustExist?: boolean
}

/** Bytes that were cut off, because nobody can tell whether they had been synced. */
export interface Leftover {
  readonly file: string
  readonly offset: number
  readonly bytes: number
}

export interface Recovery {
  readonly end: LogEnd
  readonly groups: Map<string, GroupHistory>
  readonly doubt: Leftover | undefined
}

export function groupKey(group: GroupId): string {
  return `${group.id}/${group.incarnation}`
}

/** Throws DamagedLogError, or what the file port throws. */
export async function recoverLog(options: RecoveryOptions): Promise<Recovery> {
  const { files, directory, identity, mustExist } = options
  await ensureDirectory(files, directory)
  const recovery = await new LogRecovery(new SegmentFiles(files, directory, identity), mustExist === true).run()
  // Of files that a process made which died before it had synced their entries.
  await files.syncDirectory(directory)
  return recovery
}

/** Where the log ends. */
interface Tail {
  readonly sequence: number
  /** Where the next batch goes. */
  readonly offset: number
  /** The last whole batch, and where it lies: to be written once more. */
  readonly again: Buffer
  readonly againAt: number
}

/** A part of a segment that is to become zeros. */
interface Rest {
  readonly sequence: number
  readonly offset: number
  readonly bytes: number
}

class LogRecovery {
  readonly #segments: SegmentFiles
  readonly #mustExist: boolean
  readonly #groups = new Map<string, GroupHistory>()
  /** Number of the batch that comes next. */
  #nextBatch = 1

  constructor(segments: SegmentFiles, mustExist: boolean) {
    this.#segments = segments
    this.#mustExist = mustExist
  }

  async run(): Promise<Recovery> {
    const highest = await this.#countSegments()
    const headers = await this.#readHeaders(highest)
    const used = headers.length
    for (let sequence = 1; sequence < used; sequence++) await this.#scanFinished(sequence, headers)
    const rests: Rest[] = []
    const tail = used === 0 ? undefined : await this.#scanLast(used, headers, rests)
    // Without a whole header: prepared, or the first batch was under way.
    for (let sequence = used + 1; sequence <= highest; sequence++) {
      this.#judgeRest(await this.#segments.read(sequence), 0, rests)
    }
    // From here on the log is known to be whole, and the disk is changed.
    if (tail !== undefined) await this.#segments.write(tail.sequence, tail.again, tail.againAt)
    for (const rest of rests) await this.#segments.wipe(rest.sequence, rest.offset, rest.bytes)
    const segmentBytes = headers.at(-1)?.segmentBytes ?? 0
    return {
      end: { sequence: used, offset: tail?.offset ?? 0, segmentBytes, lastBatch: this.#nextBatch - 1, highest },
      groups: this.#groups,
      doubt: rests[0] && {
        file: this.#segments.path(rests[0].sequence),
        offset: rests[0].offset,
        bytes: rests[0].bytes,
      },
    }
  }

  /** The files are 1, 2, 3 … without a gap, or some are gone: each is made and synced before the next. */
  async #countSegments(): Promise<number> {
    const found = await this.#segments.list()
    const missing = found.findIndex((sequence, i) => sequence !== i + 1)
    if (missing >= 0) throw this.#segments.damage(missing + 1, 0, 'the segment is missing')
    if (found.length === 0 && this.#mustExist) throw this.#segments.damage(1, 0, 'the log is missing')
    return found.length
  }

  /** The headers of the segments in use: all up to the last one that is whole. */
  async #readHeaders(highest: number): Promise<SegmentHeader[]> {
    const headers: (SegmentHeader | undefined)[] = []
    for (let sequence = 1; sequence <= highest; sequence++) headers.push(await this.#segments.readHeader(sequence))
    const used = headers.findLastIndex((header) => header !== undefined) + 1
    const whole = headers.slice(0, used).map((header, i) => {
      if (header !== undefined) return header
      throw this.#segments.damage(i + 1, 0, 'the header is bad, but the log goes on in a later segment')
    })
    const bad = (what: string) => this.#segments.damage(used + 1, 0, what)
    if (used === 0 && this.#mustExist) throw bad('the header is bad, but the log was in use')
    if (used > 0 && highest === used) throw bad('the segment is missing')
    // Files are made two ahead of the segment in use, and only after its first batch was synced.
    if (highest > used + 2) throw bad('the header is bad, but files were made that come after its first batch')
    return whole
  }

  /** The next segment's header vouches for every batch of this one. */
  async #scanFinished(sequence: number, headers: readonly SegmentHeader[]): Promise<void> {
    const next = headers[sequence] as SegmentHeader
    const { end } = await this.#scan(sequence, headers)
    if (end !== next.previousEnd || this.#nextBatch !== next.firstBatch) {
      const what = `batch ${this.#nextBatch} is bad, and the next segment proves that it was synced`
      throw this.#segments.damage(sequence, end, what)
    }
  }

  async #scanLast(sequence: number, headers: readonly SegmentHeader[], rests: Rest[]): Promise<Tail> {
    const { segment, end, last } = await this.#scan(sequence, headers)
    this.#judgeRest(segment, end, rests)
    // A segment's first batch went to disk together with the header.
    const againAt = last === undefined || last.offset === SEGMENT_HEADER_BYTES ? 0 : last.offset
    // A copy, for the memory of the segment is used again.
    const again = Buffer.from(segment.bytes.subarray(againAt, last?.end ?? SEGMENT_HEADER_BYTES))
    return { sequence, offset: end, again, againAt }
  }

  /** Takes all whole batches from the segment's start on; `end` is where the next one would be. */
  async #scan(
    sequence: number,
    headers: readonly SegmentHeader[],
  ): Promise<{ segment: Segment; end: number; last: WholeBatch | undefined }> {
    const { firstBatch, segmentBytes } = headers[sequence - 1] as SegmentHeader
    if (firstBatch !== this.#nextBatch) throw this.#segments.damage(sequence, 0, `it begins with batch ${firstBatch}`)
    const segment = await this.#segments.read(sequence, segmentBytes)
    let end = SEGMENT_HEADER_BYTES
    let last: WholeBatch | undefined
    for (;;) {
      const batch = wholeBatchAt(segment.bytes, end, this.#nextBatch, segment.seed)
      if (batch === undefined) return { segment, end, last }
      this.#take(batch, sequence)
      last = batch
      end = alignToSector(batch.end)
    }
  }

  /** What follows the last whole batch: damage, which throws; doubt, which is added to `rests`; or zeros. */
  #judgeRest({ sequence, bytes, seed }: Segment, offset: number, rests: Rest[]): void {
    const proof = findProofOfSync(bytes, offset, this.#nextBatch, seed)
    if (proof !== undefined) {
      const what = `batch ${this.#nextBatch} is bad, and batch ${proof.number} at offset ${proof.offset} proves that it was synced`
      throw this.#segments.damage(sequence, offset, what)
    }
    const end = endOfContent(bytes, offset)
    if (end > offset) rests.push({ sequence, offset, bytes: end - offset })
  }

  #take(batch: WholeBatch, sequence: number): void {
    for (const record of batch.records) {
      const { group } = record.header
      const key = groupKey(group)
      let history = this.#groups.get(key)
      if (history === undefined) {
        history = new GroupHistory(group)
        this.#groups.set(key, history)
      }
      const problem = history.accept(record, sequence)
      if (problem !== undefined) throw this.#segments.damage(sequence, record.offset, problem)
    }
    this.#nextBatch++
  }
}
