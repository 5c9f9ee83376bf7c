import { describe, expect, it } from 'vitest'
import { decodeMessage, encodeMessage } from '../../wire/message.ts'
import { decode, encode } from '../../wire/msgpack.ts'
import { fc } from '../support/property.ts'
import { flips, hex, prefixes } from './support.ts'

/** That key is renamed on the way: see below. A -0 becomes 0, hence twice through JSON. */
const isHarmless = (text: string) => !text.includes('__proto__')
const json = fc
  .json({ maxDepth: 3 })
  .filter(isHarmless)
  .map((text) => JSON.parse(JSON.stringify(JSON.parse(text))) as unknown)
const text = fc.string({ maxLength: 20 })
const properties = fc.record(
  {
    headers: fc.dictionary(
      text.filter((key) => key !== '__proto__'),
      text,
    ),
    correlationId: text,
    replyTo: text,
  },
  { requiredKeys: [] },
)

describe('a message', () => {
  it('has this layout, without properties and with them', () => {
    expect(hex(encodeMessage('hi', undefined))).toBe('00' + 'a26869')
    expect(hex(encodeMessage('hi', { replyTo: 'a' }))).toBe('01' + '0d000000' + 'de0001a77265706c79546fa161' + 'a26869')
  })

  it('gives back body and properties', () => {
    fc.assert(
      fc.property(json, fc.option(properties, { nil: undefined }), (body, given) => {
        const { body: raw, properties: read } = decodeMessage(encodeMessage(body, given))
        expect(decode(raw)).toEqual(body)
        expect(read === undefined ? undefined : { ...read }).toEqual(given)
      }),
    )
  })

  it('keeps its bytes when others are encoded after it, also after one that could not be', () => {
    const bodies = Array.from({ length: 2_000 }, (_, i) => ({ i, text: 'x'.repeat(i % 700) }))
    const messages = bodies.map((body, i) => {
      if (i % 100 === 0) expect(() => encodeMessage({ deep: [Symbol('no')] }, undefined)).toThrow()
      return encodeMessage(body, undefined)
    })
    messages.forEach((message, i) => {
      expect(message[0]).toBe(0)
      expect(decode(decodeMessage(message).body)).toEqual(bodies[i])
    })
  })

  it('carries what JSON cannot: bytes, dates, undefined', () => {
    const body = { bytes: Uint8Array.of(1, 2, 3), date: new Date(1_700_000_000_123), nothing: undefined }
    const read = decode(decodeMessage(encodeMessage(body, undefined)).body) as typeof body
    expect([...read.bytes]).toEqual([1, 2, 3])
    expect(read.date).toEqual(body.date)
    expect(read.nothing).toBeUndefined()
  })

  it('throws an Error and nothing else when it is cut or a byte is changed', () => {
    const message = encodeMessage({ a: 1 }, { correlationId: 'c', headers: { k: 'v' } })
    expect(() => decodeMessage(new Uint8Array(0))).toThrow(RangeError)
    for (const spoiled of [...prefixes(message), ...flips(message)]) {
      try {
        decode(decodeMessage(spoiled).body)
      } catch (error) {
        expect(error).toBeInstanceOf(Error)
      }
    }
  })
})

describe('MessagePack here', () => {
  it('is plain: maps as maps, no records, any library reads it', () => {
    expect(hex(encode({ a: 1, b: [true, null] }))).toBe('de0002a16101a16292c3c0')
    expect(hex(encode([{ a: 1 }, { a: 2 }]))).toBe('92de0001a16101de0001a16102')
  })

  it('does not let a key reach the prototype', () => {
    const value = decode(encode(JSON.parse('{"__proto__":{"evil":1}}'))) as object
    expect(value).not.toHaveProperty('evil')
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
  })
})
