/**
 * Reads entries back from the segments: records that lie near each other come with one disk read, and every byte that is given
 * out has passed its checksum. A sector that the disk does not give back costs the records that lie on it, and no others.
 *
 * Reads are few at a time, so that the log's syncs never queue behind them in the thread pool.
 */
import { join } from 'node:path'
import { type Entry, type GroupId, invariant, type LogIndex } from '../../raft/index.ts'
import { DamagedLogError, StorageFailedError } from './errors.ts'
import type { File, Files } from './files.ts'
import type { Placement, RecordPlace } from './log-index.ts'
import { decodeRecordHeader, isEntryType, RECORD_HEADER_BYTES, verifiedBody } from './record.ts'
import { type LogIdentity, placeSeed, segmentName, segmentSeed } from './segment.ts'
import { Slots } from './slots.ts'
import { readAround } from './unreadable.ts'

/** Of the thread pool's 4 threads. */
const READS_MAX = 2
/** Bytes of other records between two of ours that are read along rather than skipped by a second read. */
const GAP_BYTES_MAX = 64 * 1024
/** One disk read, unless a single record is larger. */
const SPAN_BYTES_MAX = 4 * 1024 * 1024
/** Files held open for reading. */
const OPEN_FILES_MAX = 32

/** Told of an entry that is not as it was written, where it was read. */
export type OnRotten = (index: LogIndex, place: RecordPlace, error: DamagedLogError) => void

/** Records `from` (inclusive) to `to` (exclusive) of a placement, all in one segment, and the bytes around them. */
interface Span {
  readonly sequence: number
  readonly offset: number
  readonly bytes: number
  readonly from: number
  readonly to: number
}

interface OpenSegment {
  readonly file: Promise<File>
  reads: number
}

export class LogReader {
  readonly #files: Files
  readonly #directory: string
  readonly #identity: LogIdentity
  readonly #slots = new Slots(READS_MAX)
  readonly #underWay = new Set<Promise<void>>()
  /** In order of last use. */
  readonly #open = new Map<number, OpenSegment>()

  constructor(files: Files, directory: string, identity: LogIdentity) {
    this.#files = files
    this.#directory = directory
    this.#identity = identity
  }

  /**
   * The entries at these places, as views of what was read, without those that are damaged, of which `onRotten` is told; it may
   * throw. Rejects with StorageFailedError when the disk refuses more than a few sectors.
   */
  read(group: GroupId, placement: Placement, onRotten: OnRotten): Promise<Entry[]> {
    const read = this.#slots.run(async () => {
      const entries: Entry[] = []
      for (let from = 0; from < placement.indexes.length; ) {
        const span = nextSpan(placement, from)
        const bytes = await this.#readSpan(span)
        for (let i = span.from; i < span.to; i++) this.#decode(group, placement, i, span, bytes, entries, onRotten)
        from = span.to
      }
      return entries
    })
    const done = read.then(
      () => void this.#underWay.delete(done),
      () => void this.#underWay.delete(done),
    )
    this.#underWay.add(done)
    return read
  }

  /** Resolves when every read that has begun by now has ended: nobody needs the places any more that those were given. */
  async passed(): Promise<void> {
    await Promise.all(this.#underWay)
  }

  /** Closes the segment's file, which is about to be removed. No read of it may be under way, or come. */
  async forget(sequence: number): Promise<void> {
    const segment = this.#open.get(sequence)
    if (segment === undefined) return
    this.#open.delete(sequence)
    await (await segment.file).close()
  }

  /** Waits for the reads under way: the number of a descriptor that is closed too early may already mean another file. */
  async close(): Promise<void> {
    await this.#slots.idle()
    const open = [...this.#open.values()]
    this.#open.clear()
    // A file that could not be opened has told so to whoever wanted to read it.
    await Promise.allSettled(open.map(async ({ file }) => (await file).close()))
  }

  async #readSpan(span: Span): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(span.bytes)
    const segment = this.#use(span.sequence)
    let read: number
    try {
      read = await readAround(await segment.file, buffer, span.offset)
    } catch (cause) {
      throw new StorageFailedError(`${this.#path(span)} cannot be read`, { cause })
    } finally {
      segment.reads--
    }
    await this.#closeUnused()
    // Records behind the end of a file that has become shorter fail their checks.
    return buffer.subarray(0, read)
  }

  #use(sequence: number): OpenSegment {
    const segment = this.#open.get(sequence) ?? {
      file: this.#files.open(join(this.#directory, segmentName(sequence))),
      reads: 0,
    }
    segment.reads++
    this.#open.delete(sequence)
    this.#open.set(sequence, segment)
    return segment
  }

  async #closeUnused(): Promise<void> {
    for (const [sequence, segment] of this.#open) {
      if (this.#open.size <= OPEN_FILES_MAX) return
      if (segment.reads > 0) continue
      this.#open.delete(sequence)
      await (await segment.file).close()
    }
  }

  #decode(
    group: GroupId,
    placement: Placement,
    i: number,
    span: Span,
    bytes: Buffer,
    entries: Entry[],
    onRotten: OnRotten,
  ): void {
    const index = placement.indexes[i] as LogIndex
    const offset = placement.offsets[i] as number
    const seed = placeSeed(segmentSeed(this.#identity, span.sequence), offset)
    const header = decodeRecordHeader(bytes, offset - span.offset, seed)
    const data = header && verifiedBody(bytes, offset - span.offset, header)
    if (header === undefined || data === undefined) {
      const part = header === undefined ? 'header' : 'body'
      const what = `the ${part} of entry ${index} fails its checksum`
      onRotten(index, { sequence: span.sequence, offset }, new DamagedLogError(this.#path(span), offset, what))
      return
    }
    const { type, term } = header
    const isIt =
      header.index === index && header.group.id === group.id && header.group.incarnation === group.incarnation
    invariant(isIt && isEntryType(type), 'the index of the log points at the entry that it names')
    entries.push({ index, term, type, data })
  }

  #path({ sequence }: Span): string {
    return join(this.#directory, segmentName(sequence))
  }
}

function nextSpan(placement: Placement, from: number): Span {
  const sequence = placement.sequences[from] as number
  const offset = placement.offsets[from] as number
  let end = offset
  let to = from
  for (; to < placement.indexes.length; to++) {
    const start = placement.offsets[to] as number
    const recordEnd = start + RECORD_HEADER_BYTES + (placement.bodyBytes[to] as number)
    const isNear = start >= end && start - end <= GAP_BYTES_MAX
    const joins = placement.sequences[to] === sequence && isNear && recordEnd - offset <= SPAN_BYTES_MAX
    if (to > from && !joins) break
    end = recordEnd
  }
  return { sequence, offset, bytes: end - offset, from, to }
}
