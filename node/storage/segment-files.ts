/**
 * The segments of one log as files, for the start: read as a whole, overwritten in places, removed. (While the log is in use, the writer and
 * the reader hold files of their own.)
 *
 * Never: decisions about what was read.
 */
import { join } from 'node:path'
import { DamagedLogError } from './errors.ts'
import type { File, Files } from './files.ts'
import {
  decodeSegmentHeader,
  isSpareName,
  type LogIdentity,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
  segmentSeed,
  segmentSequence,
} from './segment.ts'
import { readAround } from './unreadable.ts'

const CHUNK_BYTES = 256 * 1024
const zeros = Buffer.alloc(CHUNK_BYTES)

export interface Segment {
  readonly sequence: number
  readonly bytes: Buffer
  /** Of its checksums. */
  readonly seed: number
}

export class SegmentFiles {
  readonly #files: Files
  readonly #directory: string
  readonly #identity: LogIdentity
  /** Segments are looked at one after the other, in the same memory. */
  #memory = Buffer.alloc(0)

  constructor(files: Files, directory: string, identity: LogIdentity) {
    this.#files = files
    this.#directory = directory
    this.#identity = identity
  }

  /** The sequences of the files that are there, rising. */
  async list(): Promise<number[]> {
    const names = await this.#files.list(this.#directory)
    return names.flatMap((name) => segmentSequence(name) ?? [])
  }

  /**
   * undefined: the sector holds no whole header, or that of another segment, or cannot be read. Throws DamagedLogError for the
   * header of another node or of an unknown format: whatever that is, it is not ours to go on with.
   */
  async readHeader(sequence: number): Promise<SegmentHeader | undefined> {
    const sector = Buffer.alloc(SEGMENT_HEADER_BYTES)
    const read = await this.#withFile(sequence, (file) => readAround(file, sector, 0))
    const header = decodeSegmentHeader(sector.subarray(0, read))
    if (header === undefined) return undefined
    if (header === 'unknownVersion')
      throw this.refusal(sequence, 0, 'the segment has a format that this program does not know')
    const { nodeId, incarnation } = header.identity
    if (nodeId !== this.#identity.nodeId || incarnation !== this.#identity.incarnation) {
      throw this.refusal(sequence, 0, `the segment belongs to node ${nodeId}, incarnation ${incarnation}`)
    }
    return header.sequence === sequence ? header : undefined
  }

  /** All of it, but for places that cannot be read, which look damaged. Valid until the next read. */
  async read(sequence: number): Promise<Segment> {
    return this.#withFile(sequence, async (file) => {
      const size = await file.size()
      if (this.#memory.length < size) this.#memory = Buffer.allocUnsafeSlow(size)
      const read = await readAround(file, this.#memory.subarray(0, size), 0)
      return { sequence, bytes: this.#memory.subarray(0, read), seed: segmentSeed(this.#identity, sequence) }
    })
  }

  /** Makes an empty file. */
  async create(sequence: number): Promise<void> {
    const file = await this.#files.open(this.path(sequence), { create: true })
    await file.close()
  }

  async remove(sequence: number): Promise<void> {
    await this.#files.remove(this.path(sequence))
  }

  /** What was to become segments is not needed to begin with. */
  async removeSpares(): Promise<void> {
    for (const name of await this.#files.list(this.#directory)) {
      if (isSpareName(name)) await this.#files.remove(join(this.#directory, name))
    }
  }

  async syncDirectory(): Promise<void> {
    await this.#files.syncDirectory(this.#directory)
  }

  async write(sequence: number, bytes: Buffer, offset: number): Promise<void> {
    await this.#withFile(sequence, (file) => file.writeDurable([bytes], offset))
  }

  /** Overwrites with zeros. */
  async wipe(sequence: number, offset: number, bytes: number): Promise<void> {
    for (let done = 0; done < bytes; done += CHUNK_BYTES) {
      await this.write(sequence, zeros.subarray(0, Math.min(CHUNK_BYTES, bytes - done)), offset + done)
    }
  }

  path(sequence: number): string {
    return join(this.#directory, segmentName(sequence))
  }

  refusal(sequence: number, offset: number, what: string): DamagedLogError {
    return new DamagedLogError(this.path(sequence), offset, what)
  }

  async #withFile<T>(sequence: number, use: (file: File) => Promise<T>): Promise<T> {
    const file = await this.#files.open(this.path(sequence))
    try {
      return await use(file)
    } finally {
      await file.close()
    }
  }
}
