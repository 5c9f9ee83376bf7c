/**
 * The batch: what one write and one sync put on disk, as 40 bytes of header and its records without gaps.
 *
 *     0  u32 checksum of the header    8  u64 number            24 u32 bytes of records    32 u32 flags, 0
 *     4  u32 magic                     16 u64 syncedThrough     28 u32 count of records    36 u32 0
 *
 * `syncedThrough` is the number of the last batch that was synced when this one was written. So a whole header anywhere behind
 * a bad batch proves that the bad one had been synced, which is the line between damage and a torn tail (trap 22). A batch
 * without records is a marker: it says only that all before it is synced. `flags` is for what recovery will have to tell later
 * readers, such as a cut.
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
}

export function encodeBatchHeader(target: Buffer, header: BatchHeader, seed: number): void {
  target.writeUInt32LE(MAGIC, 4)
  writeUint64(target, 8, header.number)
  writeUint64(target, 16, header.syncedThrough)
  target.writeUInt32LE(header.recordBytes, 24)
  target.writeUInt32LE(header.records, 28)
  writeUint64(target, 32, 0)
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
  }
}

export interface PlacedRecord {
  readonly header: RecordHeader
  /** Of the record's header, from the start of the segment. */
  readonly offset: number
  readonly body: Buffer
}

/** All records of a batch whose header was whole; undefined unless every byte of every one is as it was written. */
export function decodeRecords(
  segment: Buffer,
  at: number,
  batch: BatchHeader,
  seed: number,
): PlacedRecord[] | undefined {
  const records: PlacedRecord[] = []
  let offset = at + BATCH_HEADER_BYTES
  const end = offset + batch.recordBytes
  while (offset < end) {
    const header = decodeRecordHeader(segment, offset, placeSeed(seed, offset))
    const body = header && verifiedBody(segment, offset, header)
    if (header === undefined || body === undefined) return undefined
    records.push({ header, offset, body })
    offset += RECORD_HEADER_BYTES + header.bodyBytes
  }
  return offset === end && records.length === batch.records ? records : undefined
}
