import { describe, expect, it } from 'vitest'
import { decodeDeliverFrame, encodeDeliverFrame, type OutgoingDelivery } from '../../wire/deliver-frame.ts'
import { fc } from '../support/property.ts'
import { flips, hex, prefixes } from './support.ts'

const rows: OutgoingDelivery[] = [
  { session: 4097, sequence: 1, wallMs: 1000, topic: 'a', attempt: 1, message: Uint8Array.of(1, 2) },
  { session: 4097, sequence: 2, wallMs: 1001, topic: 'a', attempt: 3, message: Uint8Array.of(3) },
]

const row: fc.Arbitrary<OutgoingDelivery> = fc.record({
  session: fc.maxSafeNat(),
  sequence: fc.maxSafeNat(),
  wallMs: fc.maxSafeNat(),
  topic: fc.constantFrom('a', 'orders.created', 'ü.ñ'),
  attempt: fc.nat(0xffff),
  message: fc.uint8Array({ maxLength: 30 }),
})

describe('a deliver frame', () => {
  it('has this layout', () => {
    expect(hex(encodeDeliverFrame(0, 4098, 5, rows))).toBe(
      [
        '44010000' + '02000000', // kind, version, group; 2 deliveries
        '000000000002b040' + '0000000000001440', // consumer 4098, first delivery 5
        '03000000' + '0100' + '61', // 3 bytes of topics
        '000000000001b040' + '000000000000f03f' + '0000000000408f40' + '02000000' + '0000' + '0100',
        '000000000001b040' + '0000000000000040' + '0000000000488f40' + '03000000' + '0000' + '0300',
        '010203',
      ].join(''),
    )
  })

  it('gives back what was put in, with consecutive delivery numbers', () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 20 }), fc.maxSafeNat(), fc.nat(1e9), (deliveries, consumer, first) => {
        const decoded = decodeDeliverFrame(encodeDeliverFrame(0, consumer, first, deliveries))
        const expected = deliveries.map((each, i) => ({ ...each, delivery: first + i }))
        expect(decoded).toEqual({ consumer, deliveries: expected })
      }),
    )
  })

  it('throws RangeError and nothing else when it is cut or a byte is changed', () => {
    const frame = encodeDeliverFrame(0, 4098, 5, rows)
    for (const cut of prefixes(frame)) expect(() => decodeDeliverFrame(cut)).toThrow(RangeError)
    for (const spoiled of flips(frame)) {
      try {
        decodeDeliverFrame(spoiled)
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError)
      }
    }
  })
})
