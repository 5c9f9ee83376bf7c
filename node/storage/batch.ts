/**
 * The batch: what one write and one sync put on disk, as 40 bytes of header and its records without gaps.
 *
 *     0  u32 checksum of the header    8  u64 number            24 u32 bytes of records    32 u32 0
 *     4  u32 magic                     16 u64 syncedThrough     28 u32 count of records    36 u32 count of groups
 *
 * `syncedThrough` is the number of the last batch that was synced when this one was written. So a whole header anywhere behind
 * a bad batch proves that the bad one had been synced, which is the line between damage and a torn tail (trap 22). A batch
 * without records is a marker: it says only that all before it is synced. The count of groups is that of all groups with a record
 * before this batch: a group all of whose records are lost is noticed by it.
 *
 * Never: I/O.
 */
import { crc32 } from 'node:zlib'
import { decodeRecordHeader, RECORD_HEADER_BYTES, type RecordHeader, verifiedBody } from './record.ts'
import { placeSeed } from './segment.ts'
import { readUint64, writeUint64 } from './uint64.ts'

export const BATCH_HEADER_BYTES = 40
/** The bytes "mqba". */
const MAGIC = 0x61_62_71_6d

export interface BatchHeader {
  /** Counts from 1 through all segments. */
  readonly number: number
  readonly syncedThrough: number
  readonly recordBytes: number
  readonly records: number
  readonly groups: number
}

export function encodeBatchHeader(target: Buffer, header: BatchHeader, seed: number): void {
  target.writeUInt32LE(MAGIC, 4)
  writeUint64(target, 8, header.number)
  writeUint64(target, 16, header.syncedThrough)
  target.writeUInt32LE(header.recordBytes, 24)
  target.writeUInt32LE(header.records, 28)
  target.writeUInt32LE(0, 32)
  target.writeUInt32LE(header.groups, 36)
  target.writeUInt32LE(crc32(target.subarray(4, BATCH_HEADER_BYTES), seed), 0)
}

/** undefined: damaged, or no batch was ever written at this place. */
export function decodeBatchHeader(segment: Buffer, at: number, seed: number): BatchHeader | undefined {
  if (at + BATCH_HEADER_BYTES > segment.length || segment.readUInt32LE(at + 4) !== MAGIC) return undefined
  const expected = crc32(segment.subarray(at + 4, at + BATCH_HEADER_BYTES), placeSeed(seed, at))
  if (segment.readUInt32LE(at) !== expected) return undefined
  return {
    number: readUint64(segment, at + 8),
    syncedThrough: readUint64(segment, at + 16),
    recordBytes: segment.readUInt32LE(at + 24),
    records: segment.readUInt32LE(at + 28),
    groups: segment.readUInt32LE(at + 36),
  }
}

export interface PlacedRecord {
  readonly header: RecordHeader
  /** Of the record's header, from the start of the segment. */
  readonly offset: number
  /** undefined: it is not as it was written. */
  readonly body: Buffer | undefined
}

export interface DecodedRecords {
  /** In order, up to the first one whose header is bad: from there on nobody can tell where the next one begins. */
  readonly records: readonly PlacedRecord[]
  /** Where that bad header is; undefined when every header is whole. */
  readonly brokenAt: number | undefined
  /** Every byte of every record is as it was written. */
  readonly isWhole: boolean
}

/** The records of a batch whose header was whole. */
export function decodeRecords(segment: Buffer, at: number, batch: BatchHeader, seed: number): DecodedRecords {
  const records: PlacedRecord[] = []
  let offset = at + BATCH_HEADER_BYTES
  const end = offset + batch.recordBytes
  let isWhole = true
  while (offset < end) {
    const header = decodeRecordHeader(segment, offset, placeSeed(seed, offset))
    if (header === undefined) return { records, brokenAt: offset, isWhole: false }
    const body = verifiedBody(segment, offset, header)
    if (body === undefined) isWhole = false
    records.push({ header, offset, body })
    offset += RECORD_HEADER_BYTES + header.bodyBytes
  }
  return { records, brokenAt: undefined, isWhole: isWhole && offset === end && records.length === batch.records }
}
