/**
 * What nodes fetch from each other beside the log: the chunks of a checkpoint and single entries by index (bodies). A question
 * is one MessagePack array; an answer is such an array as a header, then raw bytes, which are never packed nor copied:
 *
 *     question   [id, 'chunk', index of the mark, n]   |   [id, 'entries', indexes]
 *     answer     u32 header length | header | bytes    header = [id, 'chunk', chunks] | [id, 'gone'] |
 *                                                              [id, 'entries', dealt, index, term, type, length, index, …]
 *
 * Never: who may ask for what, and what is pinned for whom (checkpointing/install-source.ts).
 */
import { type Entry, EntryType, type LogIndex } from '../../raft/index.ts'
import { viewOf } from '../../wire/frame.ts'
import { decode, encode } from '../../wire/msgpack.ts'

/** Indexes in one question. */
export const FETCH_INDEXES_MAX = 1024

/** Bodies in one answer, bytes; one larger entry goes alone (trap 45). */
export const FETCH_BYTES_MAX = 256 * 1024

export type FetchQuestion =
  /** Chunk `n` of the checkpoint whose mark has this index. */
  | { readonly what: 'chunk'; readonly mark: LogIndex; readonly n: number }
  /** These committed entries, in rising order. */
  | { readonly what: 'entries'; readonly indexes: readonly LogIndex[] }

export type FetchAnswer =
  /** `chunks`: how many the checkpoint has in all. */
  | { readonly what: 'chunk'; readonly chunks: number; readonly bytes: Uint8Array }
  /** The asked node has no such checkpoint (any more). */
  | { readonly what: 'gone' }
  /** The first `dealt` of the asked indexes are answered: those without an entry here are not held by the asked node. */
  | { readonly what: 'entries'; readonly dealt: number; readonly entries: readonly Entry[] }

export interface FetchRequest {
  /** Chosen by the asker; comes back with the answer. */
  readonly id: number
  readonly question: FetchQuestion
}

export interface FetchResponse {
  readonly id: number
  readonly answer: FetchAnswer
}

/** Numbers in an answer's header for each entry. */
const ENTRY_FIELDS = 4

export function encodeFetchRequest({ id, question }: FetchRequest): Uint8Array {
  return encode(
    question.what === 'chunk' ? [id, 'chunk', question.mark, question.n] : [id, 'entries', question.indexes],
  )
}

/** Throws RangeError or a MessagePack error. */
export function decodeFetchRequest(payload: Uint8Array): FetchRequest {
  const [id, what, ...rest] = list(decode(payload))
  switch (what) {
    case 'chunk':
      return { id: count(id), question: { what, mark: count(rest[0]), n: count(rest[1]) } }
    case 'entries': {
      const indexes = list(rest[0]).map(count)
      if (indexes.length > FETCH_INDEXES_MAX) throw new RangeError('more entries asked for than allowed')
      if (indexes.some((index, i) => i > 0 && index <= indexes[i - 1]!)) throw new RangeError('indexes out of order')
      return { id: count(id), question: { what, indexes } }
    }
    default:
      throw new RangeError('a question for something that cannot be fetched')
  }
}

/** In parts, which the link copies once. */
export function encodeFetchResponse({ id, answer }: FetchResponse): Uint8Array[] {
  switch (answer.what) {
    case 'chunk':
      return behindHeader([id, 'chunk', answer.chunks], [answer.bytes])
    case 'gone':
      return behindHeader([id, 'gone'], [])
    case 'entries': {
      const rows = answer.entries.flatMap(({ index, term, type, data }) => [index, term, type, data.length])
      const bodies = answer.entries.map(({ data }) => data)
      return behindHeader([id, 'entries', answer.dealt, ...rows], bodies)
    }
  }
}

function behindHeader(header: readonly unknown[], bodies: readonly Uint8Array[]): Uint8Array[] {
  const encoded = encode(header)
  const length = new Uint8Array(4)
  viewOf(length).setUint32(0, encoded.length, true)
  return [length, encoded, ...bodies]
}

/** Bytes of the result are views of the payload. Throws RangeError or a MessagePack error. */
export function decodeFetchResponse(payload: Uint8Array): FetchResponse {
  if (payload.length < 4) throw new RangeError('an answer cut short')
  const end = 4 + viewOf(payload).getUint32(0, true)
  if (end > payload.length) throw new RangeError('an answer cut short')
  const [id, what, ...rest] = list(decode(payload.subarray(4, end)))
  const bytes = payload.subarray(end)
  switch (what) {
    case 'chunk':
      return { id: count(id), answer: { what, chunks: count(rest[0]), bytes } }
    case 'gone':
      return { id: count(id), answer: { what } }
    case 'entries': {
      const [dealt, ...rows] = rest.map(count)
      return { id: count(id), answer: { what, dealt: count(dealt), entries: readEntries(rows, bytes) } }
    }
    default:
      throw new RangeError('an answer of an unknown kind')
  }
}

function readEntries(rows: readonly number[], bytes: Uint8Array): Entry[] {
  const entries: Entry[] = []
  let at = 0
  for (let row = 0; row < rows.length; row += ENTRY_FIELDS) {
    const [index, term, type, length] = rows.slice(row, row + ENTRY_FIELDS)
    if (length === undefined || !isEntryType(type!)) throw new RangeError('an answer with half an entry')
    entries.push({ index: index!, term: term!, type, data: bytes.subarray(at, at + length) })
    at += length
  }
  if (at !== bytes.length) throw new RangeError('the entries of an answer do not fill it')
  return entries
}

function isEntryType(type: number): type is EntryType {
  return type === EntryType.noop || type === EntryType.command || type === EntryType.membership
}

function list(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new RangeError('not a list')
  return value
}

function count(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new RangeError('a number that counts nothing')
  return value as number
}
