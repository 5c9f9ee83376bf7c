/**
 * Walks over the batches of one segment that was read as a whole, and over what is damaged in between.
 *
 * A batch whose header is whole tells where the next one begins, even if some of its records are bad. Behind a bad header the walk goes
 * on at the next whole one: batches begin at sectors, and their checksums know segment, offset and node, so that nothing
 * else passes for one, neither stale bytes nor the content of a message.
 *
 * Never: I/O, decisions (recovery.ts makes them).
 */
import { BATCH_HEADER_BYTES, type BatchHeader, decodeBatchHeader, decodeRecords, type PlacedRecord } from './batch.ts'
import { alignToSector, SECTOR_BYTES, SEGMENT_HEADER_BYTES } from './segment.ts'

export interface FoundBatch {
  readonly header: BatchHeader
  readonly offset: number
  /** Behind the last record; the next batch begins at the next sector. */
  readonly end: number
  readonly records: readonly PlacedRecord[]
  /** Where a record's header is bad, behind which the records of this batch are lost. */
  readonly brokenAt: number | undefined
  /** Every byte is as it was written. */
  readonly isWhole: boolean
  /** Where the walk should have found the batch that it expected, if that was before this one. */
  readonly skippedFrom: number | undefined
}

/** Every batch of which at least the header is whole, in order, from the segment's header on. */
export function* walkBatches(segment: Buffer, seed: number): Generator<FoundBatch, void> {
  let at = SEGMENT_HEADER_BYTES
  let number = 0
  for (;;) {
    const offset = findBatchHeader(segment, at, seed, number)
    if (offset === undefined) return
    const header = decodeBatchHeader(segment, offset, seed) as BatchHeader
    const end = offset + BATCH_HEADER_BYTES + header.recordBytes
    const decoded = decodeRecords(segment, offset, header, seed)
    yield { header, offset, end, ...decoded, skippedFrom: offset > at ? at : undefined }
    at = alignToSector(end)
    number = header.number
  }
}

/** From `from` on the first whole header of a batch behind batch `number`. */
function findBatchHeader(segment: Buffer, from: number, seed: number, number: number): number | undefined {
  for (let at = from; at < segment.length; at += SECTOR_BYTES) {
    const header = decodeBatchHeader(segment, at, seed)
    if (header !== undefined && header.number > number) return at
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
