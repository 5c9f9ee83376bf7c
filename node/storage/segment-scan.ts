/**
 * Walks over the batches of one segment that was read as a whole, and looks for proof of what lies behind a bad one.
 *
 * Never: I/O, decisions (recovery.ts makes them).
 */
import { BATCH_HEADER_BYTES, type BatchHeader, decodeBatchHeader, decodeRecords, type PlacedRecord } from './batch.ts'
import { alignToSector, SECTOR_BYTES } from './segment.ts'

export interface WholeBatch {
  readonly header: BatchHeader
  readonly offset: number
  /** Behind the last record; the next batch begins at the next sector. */
  readonly end: number
  readonly records: readonly PlacedRecord[]
}

/** The batch of that number at `offset`, if every byte of it is as it was written. */
export function wholeBatchAt(segment: Buffer, offset: number, number: number, seed: number): WholeBatch | undefined {
  const header = decodeBatchHeader(segment, offset, seed)
  if (header === undefined || header.number !== number) return undefined
  const records = decodeRecords(segment, offset, header, seed)
  if (records === undefined) return undefined
  return { header, offset, end: offset + BATCH_HEADER_BYTES + header.recordBytes, records }
}

export interface Proof {
  readonly offset: number
  readonly number: number
}

/**
 * Looks from `offset` on for a batch header that was written after batch `number` had been synced. A header is enough, since its
 * checksum knows its place: its batch may itself be torn.
 */
export function findProofOfSync(segment: Buffer, offset: number, number: number, seed: number): Proof | undefined {
  for (let at = alignToSector(offset); at < segment.length; at += SECTOR_BYTES) {
    const header = decodeBatchHeader(segment, at, seed)
    if (header !== undefined && header.syncedThrough >= number) return { offset: at, number: header.number }
  }
  return undefined
}

/** Where the last byte that is not zero ends, from `offset` on; `offset` when all are zero. */
export function endOfContent(segment: Buffer, offset: number): number {
  let end = segment.length
  // Eight at a time while there are whole words: most of a segment's tail is zeros.
  for (; end - 8 >= offset && segment.readUInt32LE(end - 8) === 0 && segment.readUInt32LE(end - 4) === 0; end -= 8);
  while (end > offset && segment[end - 1] === 0) end--
  return end
}
