/** The bytes on disk, pinned: a change here is a change of format and needs a new version. */
import { describe, expect, test } from 'vitest'
import { BATCH_HEADER_BYTES, decodeBatchHeader, encodeBatchHeader } from '../../node/storage/batch.ts'
import {
  decodeRecordHeader,
  encodeRecordHeader,
  RECORD_HEADER_BYTES,
  type RecordHeader,
} from '../../node/storage/record.ts'
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  placeSeed,
  segmentName,
  segmentSeed,
  segmentSequence,
} from '../../node/storage/segment.ts'
import { endOfContent } from '../../node/storage/segment-scan.ts'
import { readUint64, writeUint64 } from '../../node/storage/uint64.ts'
import { EntryType } from '../../raft/index.ts'

const identity = { nodeId: 'n1', incarnation: 'abc' }
const seed = segmentSeed(identity, 3)

const record: RecordHeader = {
  group: { id: 7, incarnation: 2 ** 40 + 1 },
  type: EntryType.command,
  isKept: false,
  term: 5,
  index: 2 ** 33,
  previousTerm: 4,
  bodyBytes: 300,
  bodyChecksum: 0xdeadbeef,
}

function encodedRecord(): Buffer {
  const bytes = Buffer.alloc(RECORD_HEADER_BYTES)
  encodeRecordHeader(bytes, 0, record, placeSeed(seed, 0))
  return bytes
}

const batch = { number: 9, syncedThrough: 8, recordBytes: 348, records: 1, groups: 3 }

function encodedBatch(): Buffer {
  const bytes = Buffer.alloc(BATCH_HEADER_BYTES)
  encodeBatchHeader(bytes, batch, placeSeed(seed, 0))
  return bytes
}

const segment = { sequence: 3, firstBatch: 9, previousEnd: 4096, segmentBytes: 8192, identity }

describe('the record header', () => {
  test('has these bytes', () => {
    expect(encodedRecord().toString('hex').match(/.{32}/g)).toEqual([
      '079236beefbeadde2c01000001000000',
      '07000000040000000100000000010000',
      '05000000000000000000000002000000',
    ])
  })

  test('comes back as it was', () => {
    expect(decodeRecordHeader(encodedRecord(), 0, placeSeed(seed, 0))).toEqual(record)
  })

  test('of an unknown type is refused, even with a good checksum', () => {
    const bytes = Buffer.alloc(RECORD_HEADER_BYTES)
    encodeRecordHeader(bytes, 0, { ...record, type: 9 as typeof record.type }, seed)
    expect(decodeRecordHeader(bytes, 0, seed)).toBeUndefined()
  })
})

describe('the batch header', () => {
  test('has these bytes', () => {
    expect(
      encodedBatch()
        .toString('hex')
        .match(/.{1,32}/g),
    ).toEqual(['990d6e0a6d7162610900000000000000', '08000000000000005c01000001000000', '0000000003000000'])
  })

  test('comes back as it was', () => {
    expect(decodeBatchHeader(encodedBatch(), 0, seed)).toEqual(batch)
  })
})

describe('the checksums of a segment', () => {
  test.each([
    ['another segment', segmentSeed(identity, 4)],
    ['another node', segmentSeed({ ...identity, nodeId: 'n2' }, 3)],
    ['another incarnation', segmentSeed({ ...identity, incarnation: 'abd' }, 3)],
  ])('fail bytes that were written for %s', (_, other) => {
    expect(decodeRecordHeader(encodedRecord(), 0, placeSeed(other, 0))).toBeUndefined()
    expect(decodeBatchHeader(encodedBatch(), 0, other)).toBeUndefined()
  })

  test('fail bytes that were written for another offset', () => {
    const moved = Buffer.concat([Buffer.alloc(512), encodedBatch()])
    expect(decodeBatchHeader(moved, 512, seed)).toBeUndefined()
    expect(decodeRecordHeader(encodedRecord(), 0, placeSeed(seed, 512))).toBeUndefined()
  })
})

describe('the segment header', () => {
  test('has these bytes', () => {
    const bytes = encodeSegmentHeader(segment)
    expect(bytes.length).toBe(512)
    expect(bytes.subarray(0, 64).toString('hex').match(/.{32}/g)).toEqual([
      'fe2b58686d6573686d71574c02000000',
      '03000000000000000900000000000000',
      '00100000000000000020000000000000',
      '020003006e3161626300000000000000',
    ])
  })

  test('comes back as it was', () => {
    expect(decodeSegmentHeader(encodeSegmentHeader(segment))).toEqual(segment)
  })

  test('is not taken from a sector that is too short, or of zeros', () => {
    expect(decodeSegmentHeader(encodeSegmentHeader(segment).subarray(0, 511))).toBeUndefined()
    expect(decodeSegmentHeader(Buffer.alloc(512))).toBeUndefined()
  })
})

describe('names and numbers', () => {
  test('a segment is named after its sequence, so that names sort as sequences do', () => {
    expect(segmentName(12)).toBe('0000000000000012.wal')
    expect(segmentSequence('0000000000000012.wal')).toBe(12)
    for (const name of ['12.wal', '0000000000000012.wal.bak', 'lost+found', '000000000000001x.wal']) {
      expect(segmentSequence(name)).toBeUndefined()
    }
  })

  test.each([0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 48 + 3, Number.MAX_SAFE_INTEGER])('%i survives eight bytes', (value) => {
    const bytes = Buffer.alloc(10)
    writeUint64(bytes, 1, value)
    expect(readUint64(bytes, 1)).toBe(value)
    expect(bytes.readBigUInt64LE(1)).toBe(BigInt(value))
  })

  test('the end of what is not zero is found at every byte', () => {
    for (let at = 0; at < 40; at++) {
      const bytes = Buffer.alloc(40)
      bytes[at] = 1
      for (let from = 0; from <= 40; from++) expect(endOfContent(bytes, from)).toBe(from <= at ? at + 1 : from)
    }
  })
})
