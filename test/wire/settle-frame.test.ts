import { describe, expect, it } from 'vitest'
import { viewOf } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import {
  encodeSettleFrame,
  readSettleItem,
  type SettleItem,
  SettleOutcome,
  settleItemCount,
} from '../../wire/settle-frame.ts'
import { fc } from '../support/property.ts'
import { flips, hex, prefixes } from './support.ts'

const stamp = { group: 0, session: 4097, epoch: 8192, tag: 3, seen: 6 }
const ack: SettleItem = { consumer: 4098, firstDelivery: 5, count: 2, outcome: SettleOutcome.accepted, ms: 0 }
const nack: SettleItem = { consumer: 4099, firstDelivery: 1, count: 1, outcome: SettleOutcome.released, ms: 300 }

function count(frame: Uint8Array): number | undefined {
  return settleItemCount(viewOf(frame), 0, frame.length)
}

const item: fc.Arbitrary<SettleItem> = fc.record({
  consumer: fc.maxSafeNat(),
  firstDelivery: fc.maxSafeNat(),
  count: fc.nat(0xffff_ffff),
  outcome: fc.constantFrom(...Object.values(SettleOutcome)),
  ms: fc.nat(limits.delayMsMax),
})

describe('a settle frame', () => {
  it('has this layout', () => {
    expect(hex(encodeSettleFrame(stamp, [ack, nack]))).toBe(
      [
        '02010000' + '70000000', // kind, version, group; length
        '000000000001b040' + '000000000000c040', // session 4097, epoch 8192
        '0000000000000840' + '0000000000001840', // tag 3, seen 6
        '02000000' + '00000000', // 2 items, no table
        '000000000002b040' + '0000000000001440' + '02000000' + '01000000' + '00000000' + '00000000',
        '000000000003b040' + '000000000000f03f' + '01000000' + '02000000' + '2c010000' + '00000000',
      ].join(''),
    )
  })

  it('gives back what was put in', () => {
    fc.assert(
      fc.property(fc.array(item, { maxLength: 20 }), (items) => {
        const frame = encodeSettleFrame(stamp, items)
        expect(count(frame)).toBe(items.length)
        expect(items.map((_, i) => readSettleItem(viewOf(frame), 0, i))).toEqual(items)
      }),
    )
  })

  it('is not whole when it is cut anywhere, and never makes its reader throw with any byte changed', () => {
    const frame = encodeSettleFrame(stamp, [ack, nack])
    for (const cut of prefixes(frame)) expect(count(cut)).toBeUndefined()
    for (const spoiled of flips(frame)) {
      const items = count(spoiled) ?? 0
      expect(items === 0 || items === 2).toBe(true)
      for (let i = 0; i < items; i++) expect(() => readSettleItem(viewOf(spoiled), 0, i)).not.toThrow()
    }
  })

  it('with a byte behind its last item is not whole', () => {
    const longer = new Uint8Array([...encodeSettleFrame(stamp, [ack]), 0])
    viewOf(longer).setUint32(4, longer.length, true)
    expect(count(longer)).toBeUndefined()
  })

  it('with more items than allowed is not whole', () => {
    const items = (n: number) => Array.from({ length: n }, () => ack)
    expect(count(encodeSettleFrame(stamp, items(limits.frameSettlesMax)))).toBe(limits.frameSettlesMax)
    expect(count(encodeSettleFrame(stamp, items(limits.frameSettlesMax + 1)))).toBeUndefined()
  })
})
