/**
 * The segments of one log as files, for the start: read as a whole, overwritten in places. (While the log is in use, the writer and
 * the reader hold files of their own.)
 *
 * Never: decisions about what was read.
 */
import { join } from 'node:path'
import { DamagedLogError } from './errors.ts'
import type { File, Files } from './files.ts'
import {
  decodeSegmentHeader,
  type LogIdentity,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
  segmentSeed,
  segmentSequence,
} from './segment.ts'

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

  /** undefined: the sector holds no whole header. Throws DamagedLogError for the header of something else. */
  async readHeader(sequence: number): Promise<SegmentHeader | undefined> {
    const sector = Buffer.alloc(SEGMENT_HEADER_BYTES)
    await this.#withFile(sequence, (file) => file.read(sector, 0))
    const header = decodeSegmentHeader(sector)
    if (header === undefined) return undefined
    if (header === 'unknownVersion')
      throw this.damage(sequence, 0, 'the segment has a format that this program does not know')
    const { nodeId, incarnation } = header.identity
    if (nodeId !== this.#identity.nodeId || incarnation !== this.#identity.incarnation) {
      throw this.damage(sequence, 0, `the segment belongs to node ${nodeId}, incarnation ${incarnation}`)
    }
    if (header.sequence !== sequence) throw this.damage(sequence, 0, `the file holds segment ${header.sequence}`)
    return header
  }

  /** Its first `bytes` bytes, by default all. Valid until the next read. Throws DamagedLogError if there are fewer. */
  async read(sequence: number, bytes?: number): Promise<Segment> {
    return this.#withFile(sequence, async (file) => {
      const wanted = bytes ?? (await file.size())
      if (this.#memory.length < wanted) this.#memory = Buffer.allocUnsafeSlow(wanted)
      const buffer = this.#memory.subarray(0, wanted)
      const read = await file.read(buffer, 0)
      if (read < wanted) throw this.damage(sequence, read, `the segment has lost its end: it had ${wanted} bytes`)
      return { sequence, bytes: buffer, seed: segmentSeed(this.#identity, sequence) }
    })
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

  damage(sequence: number, offset: number, what: string): DamagedLogError {
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
