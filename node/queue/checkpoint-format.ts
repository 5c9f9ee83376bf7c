/**
 * The bytes of a checkpoint: chunks of sections, written and read without an object per row.
 *
 *     chunk    u32 checksum of the rest | u32 number of the chunk | piece*
 *     piece    u8 section | u32 rows | the section's head, if it has one | rows
 *
 * The sections follow each other in the order of `Section`; a long one is many pieces, each of which can be read by itself. A number takes
 * one byte when it is small; a text is its length in bytes and its UTF-8. Equal states give equal bytes: every number has one form.
 *
 * Never: a read beyond a chunk, or an allocation that a number in it asks for.
 */
import { viewOf } from '../../wire/frame.ts'

/** Rises with every change of the format. */
export const CHECKPOINT_VERSION = 2

/** Bytes that are no checkpoint of this version, or not a whole one. */
export class CheckpointFormatError extends Error {
  override readonly name = 'CheckpointFormatError'
}

export const Section = {
  machine: 1,
  boots: 2,
  openings: 3,
  sessions: 4,
  attachments: 5,
  outcomes: 6,
  listeners: 7,
  queues: 8,
  bindings: 9,
  consumers: 10,
  held: 11,
  open: 12,
  turns: 13,
  work: 14,
  unassigned: 15,
  returned: 16,
  delayed: 17,
  ready: 18,
  /** The last one: how many chunks there are, this one included, and how many rows before it. */
  end: 19,
} as const
export type Section = (typeof Section)[keyof typeof Section]

const HEADER_BYTES = 8
const PIECE_BYTES = 5
/** A chunk is done when it has so many bytes; no row has more than ROW_BYTES_MAX, and no row above it is written. */
const CHUNK_BYTES = 128 * 1024
const ROW_BYTES_MAX = 32 * 1024
/** A chunk is done, too, after so much work, in units of a row that is only copied: the bound on the time that one takes. */
const CHUNK_WORK = 32 * 1024

/** First bytes of numbers that are not their own first byte. */
const LITERAL_END = 0xf0
const INFINITE = 0xfd
const FLOAT = 0xfe

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Writes pieces into one chunk after the other. */
export class ChunkWriter {
  #bytes = new Uint8Array(CHUNK_BYTES + ROW_BYTES_MAX)
  #view = viewOf(this.#bytes)
  #at = HEADER_BYTES
  #piece = 0
  #work = 0
  #chunks = 0
  #rows = 0

  /** Chunks taken so far. */
  get chunks(): number {
    return this.#chunks
  }

  /** Rows of all pieces so far. */
  get rows(): number {
    return this.#rows
  }

  /** The chunk is to be taken before more is written. */
  get isFull(): boolean {
    return this.#at >= CHUNK_BYTES || this.#work >= CHUNK_WORK
  }

  begin(section: Section): void {
    this.#piece = this.#at
    this.#view.setUint8(this.#at, section)
    this.#at += PIECE_BYTES
    this.#work += PIECE_BYTES
  }

  end(rows: number): void {
    this.#view.setUint32(this.#piece + 1, rows, true)
    this.#rows += rows
  }

  /** What a row costs beside its bytes. */
  count(work: number): void {
    this.#work += work
  }

  /** The chunk; the next one begins empty. */
  take(): Uint8Array {
    this.#view.setUint32(4, this.#chunks++, true)
    this.#view.setUint32(0, checksum(this.#bytes, 4, this.#at), true)
    const chunk = this.#bytes.slice(0, this.#at)
    this.#at = HEADER_BYTES
    this.#work = 0
    return chunk
  }

  /** Any number but NaN; integers from 0 to 2^53 are short, the smaller the shorter. */
  number(value: number): void {
    const at = this.#at
    if (value >>> 0 === value) {
      if (value < LITERAL_END) {
        this.#bytes[at] = value
        this.#at = at + 1
      } else this.#integer(value)
    } else if (Number.isSafeInteger(value) && value > 0) {
      this.#integer(value)
    } else if (value === Number.POSITIVE_INFINITY) {
      this.#bytes[at] = INFINITE
      this.#at = at + 1
    } else {
      this.#bytes[at] = FLOAT
      this.#view.setFloat64(at + 1, value, true)
      this.#at = at + 9
    }
  }

  /** An integer of either sign, short when it is near 0. */
  signed(value: number): void {
    this.number(value < 0 ? -2 * value - 1 : 2 * value)
  }

  text(text: string): void {
    const start = this.#at
    this.number(text.length)
    const bytes = this.#bytes
    let at = this.#at
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code >= 0x80) {
        this.#at = start
        return this.#wideText(text)
      }
      bytes[at++] = code
    }
    this.#at = at
  }

  /** A text of more than ASCII, which names mostly are not. */
  #wideText(text: string): void {
    const bytes = encoder.encode(text)
    this.number(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** As many bytes as it takes, the lowest first, behind their number. */
  #integer(value: number): void {
    const start = this.#at
    let at = start + 1
    for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) this.#bytes[at++] = rest % 256
    this.#bytes[start] = LITERAL_END + (at - start - 1)
    this.#at = at
  }
}

/** Reads the pieces of one chunk. Every read beyond its end is a CheckpointFormatError. */
export class ChunkReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = HEADER_BYTES

  /** Throws unless it is chunk number `number`, unchanged. */
  constructor(chunk: Uint8Array, number: number) {
    this.#bytes = chunk
    this.#view = viewOf(chunk)
    if (chunk.length < HEADER_BYTES) throw new CheckpointFormatError('a chunk is cut short')
    if (this.#view.getUint32(0, true) !== checksum(chunk, 4, chunk.length)) {
      throw new CheckpointFormatError('a chunk has changed since it was written')
    }
    const found = this.#view.getUint32(4, true)
    if (found !== number) throw new CheckpointFormatError(`chunk ${found} came in place of chunk ${number}`)
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  byte(): number {
    this.#need(1)
    return this.#bytes[this.#at++]!
  }

  /** Rows of a piece: each has a byte at least. */
  rows(): number {
    this.#need(4)
    const rows = this.#view.getUint32(this.#at, true)
    this.#at += 4
    this.#need(rows)
    return rows
  }

  number(): number {
    const first = this.byte()
    if (first < LITERAL_END) return first
    if (first === INFINITE) return Number.POSITIVE_INFINITY
    if (first === FLOAT) {
      this.#need(8)
      const value = this.#view.getFloat64(this.#at, true)
      this.#at += 8
      if (Number.isNaN(value)) throw new CheckpointFormatError('a number is none')
      return value
    }
    return this.#integer(first - LITERAL_END)
  }

  signed(): number {
    const value = this.integer()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  /** A number that must be an integer, exact and not negative. */
  integer(): number {
    const value = this.number()
    if (!Number.isSafeInteger(value) || value < 0) throw new CheckpointFormatError(`${value} is no integer from 0 on`)
    return value
  }

  /** An integer of 32 bits. */
  uint32(): number {
    const value = this.integer()
    if (value >>> 0 !== value) throw new CheckpointFormatError(`${value} has more than 32 bits`)
    return value
  }

  flag(): boolean {
    const value = this.byte()
    if (value > 1) throw new CheckpointFormatError(`${value} is neither yes nor no`)
    return value === 1
  }

  text(): string {
    const length = this.integer()
    this.#need(length)
    const start = this.#at
    this.#at += length
    try {
      return decoder.decode(this.#bytes.subarray(start, this.#at))
    } catch {
      throw new CheckpointFormatError('a text is not UTF-8')
    }
  }

  #integer(size: number): number {
    this.#need(size)
    let value = 0
    for (let i = size - 1; i >= 0; i--) value = value * 256 + this.#bytes[this.#at + i]!
    this.#at += size
    return value
  }

  #need(bytes: number): void {
    if (bytes > this.#bytes.length - this.#at) throw new CheckpointFormatError('a chunk ends inside a row')
  }
}

/** FNV-1a over four bytes at a time: finds what rots or was cut, it does not withstand an adversary. */
function checksum(bytes: Uint8Array, start: number, end: number): number {
  const view = viewOf(bytes)
  let hash = 0x811c9dc5 ^ (end - start)
  let at = start
  for (; at + 4 <= end; at += 4) hash = mix(hash, view.getUint32(at, true))
  for (; at < end; at++) hash = mix(hash, bytes[at]!)
  return hash >>> 0
}

/** Multiplying leaves high bits out of the low ones, so they are brought back: each bit of a word counts. */
function mix(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, 0x01000193)
  return product ^ (product >>> 15)
}
