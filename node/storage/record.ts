/**
 * The record: an entry, or something about one group's log, as 48 bytes of header and a body.
 *
 *     0  u32 checksum of the header    16 u32 group id                       32 u64 term
 *     4  u32 checksum of the body      20 u32 previous term, low 32 bits     40 u64 index
 *     8  u32 body length               24 u64 group incarnation              48 body
 *     12 u8 type, u8 × 3 0
 *
 * The header has a checksum of its own, so that a damaged length is never taken for the end of the log (trap 23); it starts
 * from the record's place (segment.ts) and covers the body's checksum, which thereby is tied to the place too. The body's
 * checksum itself knows no place: it is the same on every node, so that peers can tell a body by index and checksum.
 * Group and group incarnation are in every record, so that a group made anew never reads its namesake's (trap 27).
 *
 * `previous term` is that of the entry before this one in the log: what AppendEntries' consistency check (§5.3 of the paper) is
 * between nodes, it is between records. Entries behind a damaged place are joined to those before it only if they meet.
 *
 * Never: I/O, the order of records.
 */
import { crc32 } from 'node:zlib'
import { EntryType, type GroupId } from '../../raft/index.ts'
import { readUint64, writeUint64 } from './uint64.ts'

export const RECORD_HEADER_BYTES = 48

/** On disk: never renumber. Entries keep their own numbers, and kept entries theirs plus `KEPT`. */
export const RecordType = {
  ...EntryType,
  /** term, index: its commit, body: its vote. */
  hardState: 16,
  /** All that must be known of a group before its next record: see group-state.ts. */
  groupState: 17,
  /** The log is empty and goes on behind the entry (index, term). */
  base: 18,
  /** A start told of a damage at segment `term`, offset `index`, and went on: it is not told again. Of no group. */
  acceptedDamage: 19,
} as const
export type RecordType = (typeof RecordType)[keyof typeof RecordType]

/** Entries at or below the log's base that messages still refer to; they are no part of the log any more. */
const KEPT = 32
const TWO_32 = 0x1_0000_0000

const entryTypes: ReadonlySet<number> = new Set(Object.values(EntryType))
const otherTypes: ReadonlySet<number> = new Set(Object.values(RecordType).filter((type) => !entryTypes.has(type)))

export interface RecordHeader {
  readonly group: GroupId
  readonly type: RecordType
  /** The record is a kept entry; `type` is the entry's. */
  readonly isKept: boolean
  readonly term: number
  readonly index: number
  /** Of an entry in the log: term of the entry before it. Else 0. */
  readonly previousTerm: number
  readonly bodyBytes: number
  readonly bodyChecksum: number
}

export function isEntryType(type: RecordType): type is EntryType {
  return entryTypes.has(type)
}

/** What `previousTerm` says of a term: terms beyond 2^32 meet by their low bits. */
export function termBits(term: number): number {
  return term % TWO_32
}

/** `seed`: the place's, see placeSeed. */
export function encodeRecordHeader(target: Buffer, at: number, header: RecordHeader, seed: number): void {
  target.writeUInt32LE(header.bodyChecksum, at + 4)
  target.writeUInt32LE(header.bodyBytes, at + 8)
  target.writeUInt32LE(header.isKept ? header.type + KEPT : header.type, at + 12)
  target.writeUInt32LE(header.group.id, at + 16)
  target.writeUInt32LE(termBits(header.previousTerm), at + 20)
  writeUint64(target, at + 24, header.group.incarnation)
  writeUint64(target, at + 32, header.term)
  writeUint64(target, at + 40, header.index)
  target.writeUInt32LE(crc32(target.subarray(at + 4, at + RECORD_HEADER_BYTES), seed), at)
}

/** undefined: damaged, or never written at this place. */
export function decodeRecordHeader(source: Buffer, at: number, seed: number): RecordHeader | undefined {
  if (at + RECORD_HEADER_BYTES > source.length) return undefined
  if (source.readUInt32LE(at) !== crc32(source.subarray(at + 4, at + RECORD_HEADER_BYTES), seed)) return undefined
  const written = source.readUInt32LE(at + 12)
  const isKept = entryTypes.has(written - KEPT)
  if (!isKept && !entryTypes.has(written) && !otherTypes.has(written)) return undefined
  return {
    bodyChecksum: source.readUInt32LE(at + 4),
    bodyBytes: source.readUInt32LE(at + 8),
    type: (isKept ? written - KEPT : written) as RecordType,
    isKept,
    group: { id: source.readUInt32LE(at + 16), incarnation: readUint64(source, at + 24) },
    previousTerm: source.readUInt32LE(at + 20),
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
