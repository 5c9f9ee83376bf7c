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
import { join } from 'node:path'
import type { GroupId } from '../../raft/index.ts'
import { ensureDirectory } from './directories.ts'
import { DamagedLogError } from './errors.ts'
import type { File, Files } from './files.ts'
import { GroupHistory } from './group-history.ts'
import {
  alignToSector,
  decodeSegmentHeader,
  type LogIdentity,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
  segmentSeed,
  segmentSequence,
} from './segment.ts'
import { endOfContent, findProofOfSync, type WholeBatch, wholeBatchAt } from './segment-scan.ts'
import type { LogEnd } from './segment-writer.ts'

export interface RecoveryOptions {
  readonly files: Files
  readonly directory: string
  readonly identity: LogIdentity
  readonly mustExist?: boolean
}

/** A batch that was cut off, because nobody can tell whether it had been synced. */
export interface Leftover {
  readonly file: string
  readonly offset: number
  readonly bytes: number
}

/** The segment in which the log ends. */
interface LastSegment {
  readonly path: string
  /** Where the next batch goes. */
  readonly end: number
  /** Of its last whole batch, and where it lies: to be written once more. */
  readonly again: Buffer
  readonly againAt: number
  readonly leftover: Leftover | undefined
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
  return new LogRecovery(options).run()
}

interface Segment {
  readonly path: string
  readonly bytes: Buffer
  readonly seed: number
}

const CHUNK_BYTES = 256 * 1024
const zeros = Buffer.alloc(CHUNK_BYTES)

class LogRecovery {
  readonly #options: RecoveryOptions
  readonly #groups = new Map<string, GroupHistory>()
  #nextBatch = 1
  /** For segments that are looked at once. */
  #scratch = Buffer.alloc(0)

  constructor(options: RecoveryOptions) {
    this.#options = options
  }

  async run(): Promise<Recovery> {
    const { files, directory } = this.#options
    await ensureDirectory(files, directory)
    const highest = await this.#countSegments()
    const headers = await this.#readHeaders(highest)
    const used = headers.length
    for (let sequence = 1; sequence < used; sequence++) await this.#scanFinished(sequence, headers)
    const last = used === 0 ? undefined : await this.#scanLast(used, headers)
    const leftovers: Leftover[] = last?.leftover === undefined ? [] : [last.leftover]
    for (let sequence = used + 1; sequence <= highest; sequence++) leftovers.push(...(await this.#scanUnused(sequence)))
    // From here on the log is known to be whole, and the disk is changed.
    if (last !== undefined) await this.#write(last.path, last.again, last.againAt)
    for (const leftover of leftovers) await this.#wipe(leftover)
    if (highest > 0) await files.syncDirectory(directory)
    const end = { sequence: used, offset: last?.end ?? 0, segmentBytes: headers.at(-1)?.segmentBytes ?? 0 }
    return { end: { ...end, lastBatch: this.#nextBatch - 1, highest }, groups: this.#groups, doubt: leftovers[0] }
  }

  /** The files are 1, 2, 3 … without a gap, or some are gone: each is made and synced before the next. */
  async #countSegments(): Promise<number> {
    const { files, directory, mustExist } = this.#options
    const found = (await files.list(directory)).flatMap((name) => segmentSequence(name) ?? [])
    const missing = found.findIndex((sequence, i) => sequence !== i + 1)
    if (missing >= 0) throw this.#damage(missing + 1, 0, 'the segment is missing')
    if (found.length === 0 && mustExist === true) throw this.#damage(1, 0, 'the log is missing')
    return found.length
  }

  /** The headers of the segments in use: all up to the last one that is whole. */
  async #readHeaders(highest: number): Promise<SegmentHeader[]> {
    const headers: (SegmentHeader | undefined)[] = []
    for (let sequence = 1; sequence <= highest; sequence++) headers.push(await this.#readHeader(sequence))
    const used = headers.findLastIndex((header) => header !== undefined) + 1
    const whole = headers.slice(0, used).map((header, i) => {
      if (header === undefined)
        throw this.#damage(i + 1, 0, 'the header is bad, but the log goes on in a later segment')
      return header
    })
    if (used === 0 && this.#options.mustExist === true)
      throw this.#damage(1, 0, 'the header is bad, but the log was in use')
    if (used > 0 && highest === used) throw this.#damage(used + 1, 0, 'the segment is missing')
    if (highest > used + 2) throw this.#damage(used + 1, 0, 'the header is bad, but later segments were made')
    return whole
  }

  async #readHeader(sequence: number): Promise<SegmentHeader | undefined> {
    const sector = Buffer.alloc(SEGMENT_HEADER_BYTES)
    await this.#withFile(sequence, (file) => file.read(sector, 0))
    const header = decodeSegmentHeader(sector)
    if (header === undefined) return undefined
    if (header === 'unknownVersion')
      throw this.#damage(sequence, 0, 'the segment has a format that this program does not know')
    const { nodeId, incarnation } = header.identity
    const own = this.#options.identity
    if (nodeId !== own.nodeId || incarnation !== own.incarnation) {
      throw this.#damage(sequence, 0, `the segment belongs to node ${nodeId}, incarnation ${incarnation}`)
    }
    if (header.sequence !== sequence) throw this.#damage(sequence, 0, `the file holds segment ${header.sequence}`)
    return header
  }

  /** The next segment's header vouches for every batch of this one. */
  async #scanFinished(sequence: number, headers: readonly SegmentHeader[]): Promise<void> {
    const { firstBatch, segmentBytes } = headers[sequence - 1] as SegmentHeader
    const next = headers[sequence] as SegmentHeader
    const segment = await this.#readSegment(sequence, segmentBytes)
    if (firstBatch !== this.#nextBatch) throw this.#damage(sequence, 0, `it begins with batch ${firstBatch}`)
    let offset = SEGMENT_HEADER_BYTES
    for (
      let batch = this.#take(segment, sequence, offset);
      batch !== undefined;
      batch = this.#take(segment, sequence, offset)
    ) {
      offset = alignToSector(batch.end)
    }
    if (offset !== next.previousEnd || this.#nextBatch !== next.firstBatch) {
      throw this.#damage(
        sequence,
        offset,
        `batch ${this.#nextBatch} is bad, and the next segment proves that it was synced`,
      )
    }
  }

  async #scanLast(sequence: number, headers: readonly SegmentHeader[]): Promise<LastSegment> {
    const { firstBatch, segmentBytes } = headers[sequence - 1] as SegmentHeader
    const segment = await this.#readSegment(sequence, segmentBytes)
    if (firstBatch !== this.#nextBatch) throw this.#damage(sequence, 0, `it begins with batch ${firstBatch}`)
    let againAt = 0
    let end = SEGMENT_HEADER_BYTES
    let offset = SEGMENT_HEADER_BYTES
    for (
      let batch = this.#take(segment, sequence, offset);
      batch !== undefined;
      batch = this.#take(segment, sequence, offset)
    ) {
      // The first batch went to disk together with the header.
      againAt = batch.offset === SEGMENT_HEADER_BYTES ? 0 : batch.offset
      end = batch.end
      offset = alignToSector(end)
    }
    const leftover = this.#judgeRest(sequence, segment, offset)
    // A copy: the scratch buffer is used again.
    return {
      path: segment.path,
      end: offset,
      againAt,
      again: Buffer.from(segment.bytes.subarray(againAt, end)),
      leftover,
    }
  }

  /** A segment without a whole header: prepared, or its first batch was under way. */
  async #scanUnused(sequence: number): Promise<Leftover[]> {
    const size = await this.#withFile(sequence, (file) => file.size())
    const segment = await this.#readSegment(sequence, size)
    const leftover = this.#judgeRest(sequence, segment, 0)
    return leftover === undefined ? [] : [leftover]
  }

  /** What follows the last whole batch: damage, which throws; doubt, which is returned; or zeros. */
  #judgeRest(sequence: number, segment: Segment, offset: number): Leftover | undefined {
    const proof = findProofOfSync(segment.bytes, offset, this.#nextBatch, segment.seed)
    if (proof !== undefined) {
      const what = `batch ${this.#nextBatch} is bad, and batch ${proof.number} at offset ${proof.offset} proves that it was synced`
      throw this.#damage(sequence, offset, what)
    }
    const end = endOfContent(segment.bytes, offset)
    return end === offset ? undefined : { file: segment.path, offset, bytes: end - offset }
  }

  /** Takes the next batch into the groups' histories, if it is whole. */
  #take(segment: Segment, sequence: number, offset: number): WholeBatch | undefined {
    const batch = wholeBatchAt(segment.bytes, offset, this.#nextBatch, segment.seed)
    if (batch === undefined) return undefined
    for (const record of batch.records) {
      const { group } = record.header
      const key = groupKey(group)
      let history = this.#groups.get(key)
      if (history === undefined) {
        history = new GroupHistory(group)
        this.#groups.set(key, history)
      }
      const problem = history.accept(record, sequence)
      if (problem !== undefined) throw this.#damage(sequence, record.offset, problem)
    }
    this.#nextBatch++
    return batch
  }

  async #readSegment(sequence: number, bytes: number): Promise<Segment> {
    if (this.#scratch.length < bytes) this.#scratch = Buffer.allocUnsafeSlow(bytes)
    const buffer = this.#scratch.subarray(0, bytes)
    const read = await this.#withFile(sequence, (file) => file.read(buffer, 0))
    if (read < bytes) throw this.#damage(sequence, read, `the segment has lost its end: it had ${bytes} bytes`)
    return { path: this.#path(sequence), bytes: buffer, seed: segmentSeed(this.#options.identity, sequence) }
  }

  async #wipe({ file: path, offset, bytes }: Leftover): Promise<void> {
    for (let done = 0; done < bytes; done += CHUNK_BYTES) {
      await this.#write(path, zeros.subarray(0, Math.min(CHUNK_BYTES, bytes - done)), offset + done)
    }
  }

  async #write(path: string, bytes: Buffer, position: number): Promise<void> {
    const file = await this.#options.files.open(path)
    try {
      await file.writeDurable([bytes], position)
    } finally {
      await file.close()
    }
  }

  async #withFile<T>(sequence: number, use: (file: File) => Promise<T>): Promise<T> {
    const file = await this.#options.files.open(this.#path(sequence))
    try {
      return await use(file)
    } finally {
      await file.close()
    }
  }

  #path(sequence: number): string {
    return join(this.#options.directory, segmentName(sequence))
  }

  #damage(sequence: number, offset: number, what: string): DamagedLogError {
    return new DamagedLogError(this.#path(sequence), offset, what)
  }
}
