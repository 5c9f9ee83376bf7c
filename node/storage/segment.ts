/**
 * One file of the write-ahead log: its name, its header and the seed that ties every checksum in it to this file.
 *
 *     0      header, alone in the first sector
 *     512    batch | padding to the next sector | batch | … | zeros, written ahead of use, up to `segmentBytes`
 *
 * Batches start at sectors of their own, so that no write touches a sector in which synced bytes lie: a torn sector can only
 * hold unsynced ones. The header goes to disk in one write with the first batch and tells where the log ended in the segment
 * before, which thereby is known to be synced as a whole.
 *
 * Never: I/O.
 */
import { crc32 } from 'node:zlib'
import type { Incarnation, NodeId } from '../../raft/index.ts'
import { invariant } from '../../raft/index.ts'
import { readUint64, writeUint64 } from './uint64.ts'

/** What a disk writes whole or not at all; the smallest that is in use. */
export const SECTOR_BYTES = 512
export const SEGMENT_HEADER_BYTES = SECTOR_BYTES
const VERSION = 2
const MAGIC = Buffer.from('meshmqWL')
const STRINGS_AT = 52
const STRING_BYTES_MAX = 200

/** Whose log it is; repeated in every segment, so that a file that was copied from elsewhere is noticed. */
export interface LogIdentity {
  readonly nodeId: NodeId
  readonly incarnation: Incarnation
}

export interface SegmentHeader {
  /** Counts from 1 without gaps; also the file's name. */
  readonly sequence: number
  /** Number of the first batch in this segment; all before it are synced. */
  readonly firstBatch: number
  /** Offset at which the log ended in the segment before; 0 in the first segment. */
  readonly previousEnd: number
  /** The file's size, reached before the header is written: a shorter file has lost bytes. */
  readonly segmentBytes: number
  readonly identity: LogIdentity
}

export function segmentName(sequence: number): string {
  return `${String(sequence).padStart(16, '0')}.wal`
}

/** Of a file that was this segment, and is to become another one. */
export function spareName(sequence: number): string {
  return `${String(sequence).padStart(16, '0')}.spare`
}

export function isSpareName(name: string): boolean {
  return /^\d{16}\.spare$/.test(name)
}

/** undefined: not a segment's name. */
export function segmentSequence(name: string): number | undefined {
  return /^\d{16}\.wal$/.test(name) ? Number(name.slice(0, 16)) : undefined
}

export function alignToSector(offset: number): number {
  return Math.ceil(offset / SECTOR_BYTES) * SECTOR_BYTES
}

/**
 * What the checksums of a segment start from. Bytes that were written for another segment, node or incarnation fail every
 * check here, wherever they come from: a recycled file, a copy, a sector that the disk put in the wrong place.
 */
export function segmentSeed(identity: LogIdentity, sequence: number): number {
  return crc32(`${sequence}\0${identity.nodeId}\0${identity.incarnation}`)
}

/** The same for one place in the segment: what was written at another offset fails too. */
export function placeSeed(seed: number, offset: number): number {
  return (seed ^ offset) >>> 0
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES)
  const nodeId = Buffer.from(header.identity.nodeId)
  const incarnation = Buffer.from(header.identity.incarnation)
  invariant(
    nodeId.length <= STRING_BYTES_MAX && incarnation.length <= STRING_BYTES_MAX,
    'an identity of bounded length',
  )
  MAGIC.copy(bytes, 4)
  bytes.writeUInt32LE(VERSION, 12)
  writeUint64(bytes, 16, header.sequence)
  writeUint64(bytes, 24, header.firstBatch)
  writeUint64(bytes, 32, header.previousEnd)
  writeUint64(bytes, 40, header.segmentBytes)
  bytes.writeUInt16LE(nodeId.length, 48)
  bytes.writeUInt16LE(incarnation.length, 50)
  nodeId.copy(bytes, STRINGS_AT)
  incarnation.copy(bytes, STRINGS_AT + nodeId.length)
  bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0)
  return bytes
}

/** undefined: not a whole header. 'unknownVersion': whole, but of a format that this program does not know. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | 'unknownVersion' | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES) return undefined
  const sector = bytes.subarray(0, SEGMENT_HEADER_BYTES)
  if (!sector.subarray(4, 12).equals(MAGIC) || sector.readUInt32LE(0) !== crc32(sector.subarray(4))) return undefined
  if (sector.readUInt32LE(12) !== VERSION) return 'unknownVersion'
  const incarnationAt = STRINGS_AT + sector.readUInt16LE(48)
  return {
    sequence: readUint64(sector, 16),
    firstBatch: readUint64(sector, 24),
    previousEnd: readUint64(sector, 32),
    segmentBytes: readUint64(sector, 40),
    identity: {
      nodeId: sector.toString('utf8', STRINGS_AT, incarnationAt),
      incarnation: sector.toString('utf8', incarnationAt, incarnationAt + sector.readUInt16LE(50)),
    },
  }
}
