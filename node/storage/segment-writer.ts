/**
 * The end of the log: which segment it is in, at which offset, and how a batch gets there durably.
 *
 * One write at a time; its promise resolves when the batch is synced. A new segment's header goes to disk in one write with the
 * segment's first batch. After a failed write this object must not be used any more (trap 21); wal.ts sees to it.
 */
import { invariant } from '../../raft/index.ts'
import { BATCH_HEADER_BYTES } from './batch.ts'
import type { File, Files } from './files.ts'
import { alignToSector, encodeSegmentHeader, type LogIdentity, SEGMENT_HEADER_BYTES, segmentSeed } from './segment.ts'
import { SegmentPreparation } from './segment-preparation.ts'
import type { SegmentSpares } from './segment-spares.ts'

export interface SegmentWriterOptions {
  readonly files: Files
  readonly directory: string
  readonly identity: LogIdentity
  /** Size of new segments. */
  readonly segmentBytes: number
  readonly spares: SegmentSpares
  /** A background preparation failed. */
  readonly onFailure: (cause: unknown) => void
}

/** Where the log ends. */
export interface LogEnd {
  /** The segment in use; 0 before there is one. */
  readonly sequence: number
  /** A sector's start, behind the last batch. */
  readonly offset: number
  /** Size of that segment. */
  readonly segmentBytes: number
  readonly lastBatch: number
  /** Highest segment whose file exists. */
  readonly highest: number
}

/** Where the next batch goes, as its checksums need to know it. */
export interface Place {
  readonly sequence: number
  readonly seed: number
  readonly offset: number
  /** It is the segment's first batch, and has to begin with the state of every group. */
  readonly isFirst: boolean
}

/** Bytes that one batch's records may take so that it fits into an empty segment. */
export function recordBytesThatFit(segmentBytes: number): number {
  return segmentBytes - SEGMENT_HEADER_BYTES - BATCH_HEADER_BYTES
}

export class SegmentWriter {
  readonly #options: SegmentWriterOptions
  #file: File | undefined
  #end: LogEnd
  #seed: number
  /** Of a segment that has no batch yet. */
  #unwrittenHeader: Buffer | undefined
  /**
   * Invariant: absent only until a segment's first batch is synced, lest segments pile up that were never used, and because the file
   * that is made with it proves to recovery that this batch was.
   */
  #next: SegmentPreparation | undefined

  /** `file`: the segment in use, opened. */
  constructor(options: SegmentWriterOptions, end: LogEnd, file: File | undefined) {
    this.#options = options
    this.#end = end
    this.#file = file
    this.#seed = segmentSeed(options.identity, end.sequence)
    if (!this.awaitsFirstBatch) this.#next = this.#prepareNext()
  }

  /** The segment in use has its header, but no batch: a crash tore it. The next batch, which must fit into it, is its first. */
  get awaitsFirstBatch(): boolean {
    return this.#unwrittenHeader === undefined && this.#isFirst && this.#end.segmentBytes > this.#end.offset
  }

  get end(): LogEnd {
    return this.#end
  }

  /**
   * Finds the place for a batch of this size; moves on to the next segment when it does not fit into this one. A segment's first
   * batch becomes larger by `openingBytes`.
   */
  async place(batchBytes: number, openingBytes: number): Promise<Place> {
    const fits = () => {
      const bytes = this.#isFirst ? batchBytes + openingBytes : batchBytes
      return this.#end.offset + bytes <= this.#end.segmentBytes
    }
    if (this.#end.sequence === 0 || !fits()) await this.#rotate()
    invariant(fits(), 'a batch fits into an empty segment')
    return { sequence: this.#end.sequence, seed: this.#seed, offset: this.#end.offset, isFirst: this.#isFirst }
  }

  get #isFirst(): boolean {
    return this.#end.offset === SEGMENT_HEADER_BYTES
  }

  /** Writes the batch at the place that `place` gave for it. */
  async write(buffers: readonly Uint8Array[], batchBytes: number): Promise<void> {
    const { offset, lastBatch } = this.#end
    const header = this.#unwrittenHeader
    if (header === undefined) await this.#file!.writeDurable(buffers, offset)
    else await this.#file!.writeDurable([header, ...buffers], 0)
    this.#unwrittenHeader = undefined
    this.#next ??= this.#prepareNext()
    const end = alignToSector(offset + batchBytes)
    this.#end = { ...this.#end, offset: end, lastBatch: lastBatch + 1 }
    // Twice the log's own pace, so that the next segment is ready when this one is half full.
    this.#next?.allow(2 * end)
  }

  async close(): Promise<void> {
    await this.#next?.abandon()
    await this.#file?.close()
  }

  async #rotate(): Promise<void> {
    const { sequence, offset, lastBatch, highest } = this.#end
    const { identity, segmentBytes } = this.#options
    invariant(this.#next !== undefined, 'a segment is left only after its first batch')
    const file = await this.#next.hurry()
    this.#next = undefined
    await this.#file?.close()
    this.#file = file
    this.#end = {
      sequence: sequence + 1,
      offset: SEGMENT_HEADER_BYTES,
      segmentBytes,
      lastBatch,
      highest: Math.max(highest, sequence + 2),
    }
    this.#seed = segmentSeed(identity, sequence + 1)
    this.#unwrittenHeader = encodeSegmentHeader({
      sequence: sequence + 1,
      firstBatch: lastBatch + 1,
      previousEnd: sequence === 0 ? 0 : offset,
      segmentBytes,
      identity,
    })
  }

  #prepareNext(): SegmentPreparation {
    const { files, directory, segmentBytes, spares, onFailure } = this.#options
    const { sequence, highest } = this.#end
    const next = new SegmentPreparation({ files, directory, segmentBytes, spares, sequence: sequence + 1, highest })
    next.ready.catch(onFailure)
    return next
  }
}
