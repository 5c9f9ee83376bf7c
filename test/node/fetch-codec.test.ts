import { describe, expect, it } from 'vitest'
import {
  decodeFetchRequest,
  decodeFetchResponse,
  encodeFetchRequest,
  encodeFetchResponse,
  FETCH_INDEXES_MAX,
  type FetchAnswer,
  type FetchQuestion,
} from '../../node/peers/fetch-codec.ts'
import { encode } from '../../wire/msgpack.ts'
import { fc } from '../support/property.ts'

const bytes = (...values: number[]) => Uint8Array.from(values)

function throughWire(answer: FetchAnswer): FetchAnswer {
  return decodeFetchResponse(Buffer.concat(encodeFetchResponse({ id: 2 ** 50, answer }))).answer
}

describe('the fetch codec', () => {
  it.each<FetchQuestion>([
    { what: 'chunk', mark: 2 ** 45, n: 3 },
    { what: 'entries', indexes: [] },
    { what: 'entries', indexes: [1, 5, 2 ** 45] },
  ])('carries the question %o', (question) => {
    expect(decodeFetchRequest(encodeFetchRequest({ id: 7, question }))).toEqual({ id: 7, question })
  })

  it('carries answers, with bytes as they are', () => {
    expect(throughWire({ what: 'gone' })).toEqual({ what: 'gone' })
    const chunk = throughWire({ what: 'chunk', chunks: 4, bytes: bytes(1, 2) })
    expect(chunk).toMatchObject({ what: 'chunk', chunks: 4 })
    expect([...(chunk.what === 'chunk' ? chunk.bytes : [])]).toEqual([1, 2])
    const entries = [
      { index: 3, term: 1, type: 1, data: bytes(9, 8, 7) },
      { index: 2 ** 45, term: 2, type: 0, data: bytes() },
      { index: 2 ** 45 + 1, term: 2, type: 2, data: bytes(1) },
    ] as const
    const answer = throughWire({ what: 'entries', dealt: 5, entries })
    if (answer.what !== 'entries') throw new Error(answer.what)
    expect(answer.dealt).toBe(5)
    expect(answer.entries.map((entry) => ({ ...entry, data: [...entry.data] }))).toEqual(
      entries.map((entry) => ({ ...entry, data: [...entry.data] })),
    )
  })

  it.each([
    ['no list', encode({ id: 1 })],
    ['of a kind that is not there', encode([1, 'log', 1])],
    ['with a negative index', encode([1, 'chunk', -1, 0])],
    ['with half a number', encode([1, 'entries', [1.5]])],
    ['with indexes that fall', encode([1, 'entries', [2, 1]])],
    ['with an index twice', encode([1, 'entries', [2, 2]])],
    ['for more than may be asked', encode([1, 'entries', Array.from({ length: FETCH_INDEXES_MAX + 1 }, (_, i) => i)])],
  ])('refuses a question %s', (_, payload) => {
    expect(() => decodeFetchRequest(payload)).toThrow(RangeError)
  })

  it('refuses answers whose entries do not fill the bytes, of a type that is not there, or cut short', () => {
    const answer = (header: unknown[], body: Uint8Array) => {
      const packed = encode(header)
      return Buffer.concat([bytes(packed.length, 0, 0, 0), packed, body])
    }
    expect(() => decodeFetchResponse(answer([1, 'entries', 1, 5, 1, 1, 3], bytes(1, 2)))).toThrow(RangeError)
    expect(() => decodeFetchResponse(answer([1, 'entries', 1, 5, 1, 1, 1], bytes(1, 2)))).toThrow(RangeError)
    expect(() => decodeFetchResponse(answer([1, 'entries', 1, 5, 1, 7, 1], bytes(1)))).toThrow(RangeError)
    expect(() => decodeFetchResponse(answer([1, 'entries', 1, 5, 1], bytes(1)))).toThrow(RangeError)
    expect(() => decodeFetchResponse(answer([1, 'other'], bytes()))).toThrow(RangeError)
    expect(() => decodeFetchResponse(bytes(9, 0, 0, 0, 1))).toThrow(RangeError)
  })

  it('throws, and does nothing else, on garbage', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (payload) => {
        for (const decode of [decodeFetchRequest, decodeFetchResponse]) {
          try {
            decode(payload)
          } catch (error) {
            expect(error).toBeInstanceOf(Error)
          }
        }
      }),
    )
  })
})
