/**
 * The record: an entry or a hard state of one group, as 48 bytes of header and a body.
 *
 *     0  u32 checksum of the header    16 u32 group id              32 u64 term
 *     4  u32 checksum of the body      20 u32 0                     40 u64 index (of a hard state: commit)
 *     8  u32 body length               24 u64 group incarnation     48 body (of a hard state: the vote)
 *     12 u8 type, u8 × 3 0
 *
 * The header has a checksum of its own, so that a damaged length is never taken for the end of the log (trap 23); it starts
 * from the record's place (segment.ts) and covers the body's checksum, which thereby is tied to the place too. The body's
 * checksum itself knows no place: it is the same on every node, so that peers can tell a body by index and checksum.
 * Group and group incarnation are in every record, so that a group made anew never reads its namesake's (trap 27).
 *
 * Never: I/O, the order of records.
 */
import { crc32 } from 'node:zlib'
import { EntryType, type GroupId } from '../../raft/index.ts'
import { readUint64, writeUint64 } from './uint64.ts'

export const RECORD_HEADER_BYTES = 48

/** Entries keep their own numbers. On disk: never renumber. */
export const RecordType = { ...EntryType, hardState: 16 } as const
export type RecordType = (typeof RecordType)[keyof typeof RecordType]

const knownTypes: ReadonlySet<number> = new Set(Object.values(RecordType))

export interface RecordHeader {
  readonly group: GroupId
  readonly type: RecordType
  readonly term: number
  readonly index: number
  readonly bodyBytes: number
  readonly bodyChecksum: number
}

/** `seed`: the place's, see placeSeed. */
export function encodeRecordHeader(target: Buffer, at: number, header: RecordHeader, seed: number): void {
  target.writeUInt32LE(header.bodyChecksum, at + 4)
  target.writeUInt32LE(header.bodyBytes, at + 8)
  target.writeUInt32LE(header.type, at + 12)
  target.writeUInt32LE(header.group.id, at + 16)
  target.writeUInt32LE(0, at + 20)
  writeUint64(target, at + 24, header.group.incarnation)
  writeUint64(target, at + 32, header.term)
  writeUint64(target, at + 40, header.index)
  target.writeUInt32LE(crc32(target.subarray(at + 4, at + RECORD_HEADER_BYTES), seed), at)
}

/** undefined: damaged, or never written at this place. */
export function decodeRecordHeader(source: Buffer, at: number, seed: number): RecordHeader | undefined {
  if (at + RECORD_HEADER_BYTES > source.length) return undefined
  if (source.readUInt32LE(at) !== crc32(source.subarray(at + 4, at + RECORD_HEADER_BYTES), seed)) return undefined
  const type = source.readUInt32LE(at + 12)
  if (!knownTypes.has(type)) return undefined
  return {
    bodyChecksum: source.readUInt32LE(at + 4),
    bodyBytes: source.readUInt32LE(at + 8),
    type: type as RecordType,
    group: { id: source.readUInt32LE(at + 16), incarnation: readUint64(source, at + 24) },
    term: readUint64(source, at + 32),
    index: readUint64(source, at + 40),
  }
}

/** The body of the record at `at`, as a view, if it is whole. */
export function verifiedBody(source: Buffer, at: number, header: RecordHeader): Buffer | undefined {
  const bodyAt = at + RECORD_HEADER_BYTES
  if (bodyAt + header.bodyBytes > source.length) return undefined
  const body = source.subarray(bodyAt, bodyAt + header.bodyBytes)
  return crc32(body) === header.bodyChecksum ? body : undefined
}
