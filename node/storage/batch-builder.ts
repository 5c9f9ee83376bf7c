/**
 * Puts the records of waiting appends into batches: chooses which records the next batch takes, and lays it out as buffers for
 * one `writev`.
 *
 * Bodies are not copied unless they are small: a buffer in a `writev` costs as much as copying a few KiB.
 *
 * Never: I/O, promises.
 */
import { crc32 } from 'node:zlib'
import type { Entry } from '../../raft/index.ts'
import { BATCH_HEADER_BYTES, encodeBatchHeader } from './batch.ts'
import type { GroupState, PlainRecord } from './group-state.ts'
import type { PendingAppend } from './pending-append.ts'
import { encodeRecordHeader, RECORD_HEADER_BYTES, type RecordHeader } from './record.ts'
import { placeSeed } from './segment.ts'

/** Bodies up to this size are copied behind their headers. */
const COPIED_BODY_BYTES_MAX = 4096
/** So that headers (one buffer between two bodies) and bodies stay below IOV_MAX, 1,024: one write is one system call. */
const UNCOPIED_BODIES_MAX = 500

/** Records `from` (inclusive) to `to` (exclusive) of one append; its head, if it has one, is record 0. */
interface Part {
  readonly append: PendingAppend
  readonly from: number
  readonly to: number
  /** The append has no records behind these. */
  readonly completes: boolean
}

export interface Batch {
  readonly parts: readonly Part[]
  readonly records: number
  readonly recordBytes: number
}

function recordsOf(append: PendingAppend): number {
  return append.entries.length + (append.head === undefined ? 0 : 1)
}

/** For a record that is not the head. */
function entryOf(append: PendingAppend, record: number): Entry {
  return append.entries[append.head === undefined ? record : record - 1] as Entry
}

function bodyOf(append: PendingAppend, record: number): Uint8Array {
  return append.head !== undefined && record === 0 ? append.head.body : entryOf(append, record).data
}

/** The batch with the state of every group before all else, as a segment's first batch has to be. */
export function withOpening(batch: Batch, states: readonly GroupState[]): Batch {
  const opening = states.map((state) => ({
    append: plainAppend(state, state.toRecord()),
    from: 0,
    to: 1,
    completes: true,
  }))
  const bytes = states.reduce((sum, state) => sum + state.bytes, 0)
  return {
    parts: [...opening, ...batch.parts],
    records: batch.records + opening.length,
    recordBytes: batch.recordBytes + bytes,
  }
}

/** One record for which nobody waits. */
function plainAppend(state: GroupState, head: PlainRecord): PendingAppend {
  return {
    state,
    sink: undefined,
    head,
    entries: [],
    isKept: false,
    previousTerm: 0,
    voidsFrom: undefined,
    resolve() {},
    reject() {},
  }
}

/** Brings the groups up to date after a batch was written at `offset`, and tells every entry where it lies now. */
export function placeBatch(batch: Batch, segment: number, offset: number): void {
  let place = offset + BATCH_HEADER_BYTES
  for (const { append, from, to } of batch.parts) {
    const { state, sink, head, isKept } = append
    for (let record = from; record < to; record++) {
      if (head !== undefined && record === 0) state.applyRecord(head)
      else sink?.onPlaced(entryOf(append, record), segment, place)
      place += RECORD_HEADER_BYTES + bodyOf(append, record).length
    }
    const endsWithEntry = to > from && !(head !== undefined && to === 1)
    if (endsWithEntry && isKept) state.isWritten = true
    else if (endsWithEntry) state.applyEntry(entryOf(append, to - 1))
  }
}

export class BatchBuilder {
  readonly #recordBytesMax: number
  readonly #waiting: PendingAppend[] = []
  /** Records of the first waiting append that earlier batches took. */
  #taken = 0
  /** Headers and copied bodies of the batch that is being written; reused by the next. */
  #arena = Buffer.allocUnsafeSlow(64 * 1024)
  #arenaUsed = 0

  /** `recordBytesMax`: of one batch, passed only by a single record that is larger. */
  constructor(recordBytesMax: number) {
    this.#recordBytesMax = recordBytesMax
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  add(append: PendingAppend): void {
    this.#waiting.push(append)
  }

  /** Gives up all that was not taken as a whole. */
  clear(): PendingAppend[] {
    this.#taken = 0
    return this.#waiting.splice(0)
  }

  /** The next batch, in the order of the appends. Without records when nothing waits, or only empty appends. */
  take(): Batch {
    const parts: Part[] = []
    const fill = { records: 0, recordBytes: 0, uncopied: 0 }
    let whole = 0
    for (const append of this.#waiting) {
      const from = this.#taken
      const to = this.#fillFrom(append, from, fill)
      const completes = to === recordsOf(append)
      if (completes || to > from) parts.push({ append, from, to, completes })
      this.#taken = completes ? 0 : to
      if (!completes) break
      whole++
    }
    this.#waiting.splice(0, whole)
    return { parts, records: fill.records, recordBytes: fill.recordBytes }
  }

  /** Adds records of one append while there is room; returns the first that found none. */
  #fillFrom(
    append: PendingAppend,
    from: number,
    fill: { records: number; recordBytes: number; uncopied: number },
  ): number {
    const count = recordsOf(append)
    for (let record = from; record < count; record++) {
      const bodyBytes = bodyOf(append, record).length
      const recordBytes = fill.recordBytes + RECORD_HEADER_BYTES + bodyBytes
      const full = recordBytes > this.#recordBytesMax || fill.uncopied === UNCOPIED_BODIES_MAX
      if (full && fill.records > 0) return record
      fill.records++
      fill.recordBytes = recordBytes
      if (bodyBytes > COPIED_BODY_BYTES_MAX) fill.uncopied++
    }
    return count
  }

  /** The batch's bytes for the place at `offset` of the segment of `seed`; `groups`: see batch.ts. Valid until the next call. */
  encode(batch: Batch, number: number, groups: number, seed: number, offset: number): Uint8Array[] {
    const buffers: Uint8Array[] = []
    const { records, recordBytes } = batch
    const header = { number, syncedThrough: number - 1, recordBytes, records, groups }
    this.#arenaUsed = 0
    this.#reserve(BATCH_HEADER_BYTES)
    encodeBatchHeader(this.#arena, header, placeSeed(seed, offset))
    let place = offset + BATCH_HEADER_BYTES
    let runAt = 0
    for (const { append, from, to } of batch.parts) {
      for (let record = from; record < to; record++) {
        const body = bodyOf(append, record)
        const copied = body.length <= COPIED_BODY_BYTES_MAX
        const headerAt = this.#reserve(RECORD_HEADER_BYTES + (copied ? body.length : 0))
        this.#encodeHeader(append, record, body, headerAt, placeSeed(seed, place))
        if (copied) this.#arena.set(body, headerAt + RECORD_HEADER_BYTES)
        else {
          buffers.push(this.#arena.subarray(runAt, this.#arenaUsed), body)
          runAt = this.#arenaUsed
        }
        place += RECORD_HEADER_BYTES + body.length
      }
    }
    if (runAt < this.#arenaUsed) buffers.push(this.#arena.subarray(runAt, this.#arenaUsed))
    return buffers
  }

  #encodeHeader(append: PendingAppend, record: number, body: Uint8Array, at: number, seed: number): void {
    encodeRecordHeader(this.#arena, at, headerOf(append, record, body), seed)
  }

  /** Makes room in the arena; returns where. Buffers that were given out keep the arena that they are views of. */
  #reserve(bytes: number): number {
    const at = this.#arenaUsed
    this.#arenaUsed += bytes
    if (this.#arenaUsed > this.#arena.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#arena.length * 2, this.#arenaUsed))
      this.#arena.copy(larger, 0, 0, at)
      this.#arena = larger
    }
    return at
  }
}

function headerOf(append: PendingAppend, record: number, body: Uint8Array): RecordHeader {
  const { head, isKept } = append
  const { group } = append.state
  const bodyBytes = body.length
  const bodyChecksum = crc32(body)
  if (head !== undefined && record === 0) {
    const { type, term, index } = head
    return { group, type, isKept: false, term, index, previousTerm: 0, bodyBytes, bodyChecksum }
  }
  const { type, term, index } = entryOf(append, record)
  const previousTerm = isKept ? 0 : previousTermOf(append, record)
  return { group, type, isKept, term, index, previousTerm, bodyBytes, bodyChecksum }
}

function previousTermOf(append: PendingAppend, record: number): number {
  const isFirst = record === (append.head === undefined ? 0 : 1)
  return isFirst ? append.previousTerm : entryOf(append, record - 1).term
}
