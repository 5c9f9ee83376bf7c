import { describe, expect, it } from 'vitest'
import { FrameKind } from '../../wire/frame.ts'
import {
  decodeConfirmFrame,
  decodeSessionFrame,
  encodeConfirmFrame,
  encodeSessionFrame,
  heartbeatFrame,
  partedFrame,
  type SessionFrames,
} from '../../wire/session-frames.ts'
import { fc } from '../support/property.ts'
import { flips, hex, prefixes } from './support.ts'

const frames: { [K in keyof SessionFrames]: SessionFrames[K] } = {
  [FrameKind.hello]: {
    version: 1,
    name: 'billing',
    token: 'secret',
    session: 4097,
    connection: 2,
    held: [{ consumer: 4098, runs: [[5, 2]] }],
  },
  [FrameKind.welcome]: {
    version: 1,
    node: 'n1',
    session: 4097,
    epoch: 8192,
    lastSequence: 7,
    outcomes: [{ sequence: 3, code: 'NotFound', message: 'no such queue' }],
    consumers: [4098],
    heartbeatMs: 5000,
  },
  [FrameKind.request]: [[1, 'price.quote', 5000, Uint8Array.of(0, 7)]],
  [FrameKind.reply]: [
    ['token', Uint8Array.of(0, 7)],
    ['token', null, 'out of stock'],
  ],
  [FrameKind.query]: { id: 1, what: 'queue', name: 'billing', consistent: true },
  [FrameKind.outcome]: { sequence: 7, result: { consumer: 4098 } },
  [FrameKind.settled]: { tag: 3, stale: [[4098, 5, 2]] },
  [FrameKind.requested]: [['token', 'price.quote', Uint8Array.of(0, 7)]],
  [FrameKind.replied]: [
    [1, Uint8Array.of(0, 7)],
    [2, null, 'NoResponders', 'nobody'],
  ],
  [FrameKind.answer]: { id: 1, value: { ready: 3 } },
  [FrameKind.cancelled]: { consumer: 4098, reason: 'the queue was deleted' },
  [FrameKind.received]: { consumer: 4098, count: 2 },
  [FrameKind.fault]: { code: 'Unauthorized', message: 'no' },
  [FrameKind.goodbye]: { graceMs: 5000 },
  [FrameKind.leave]: { ends: true },
  [FrameKind.resumed]: { lastSequence: 7, outcomes: [{ sequence: 3, code: 'NotFound' }], consumers: [4098] },
}
const kinds = Object.keys(frames).map((kind) => Number(kind) as keyof SessionFrames)

/** As values compare that went through MessagePack: byte strings come back as views. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, each) => (each instanceof Uint8Array ? [...each] : (each as unknown))))
}

describe('session frames', () => {
  it('have these layouts where they are fixed', () => {
    expect(hex(encodeConfirmFrame(0, 7))).toBe('41000000' + '00000000' + '0000000000001c40')
    expect(hex(heartbeatFrame)).toBe('60')
    expect(hex(partedFrame)).toBe('4c')
    expect(hex(encodeSessionFrame(FrameKind.settled, { tag: 3, stale: [] }))).toBe(
      '43' + 'de0002' + 'a3746167' + '03' + 'a57374616c65' + '90',
    )
  })

  it.each(kinds)('of kind %i give back what was put in', (kind) => {
    const frame = encodeSessionFrame(kind, frames[kind] as never)
    expect(frame[0]).toBe(kind)
    expect(plain(decodeSessionFrame(frame))).toEqual(plain(frames[kind]))
  })

  it.each(kinds)('of kind %i throw an Error when they are cut, never anything else when a byte is changed', (kind) => {
    const frame = encodeSessionFrame(kind, frames[kind] as never)
    for (const cut of prefixes(frame)) expect(() => decodeSessionFrame(cut)).toThrow(Error)
    for (const spoiled of flips(frame)) {
      try {
        decodeSessionFrame(spoiled)
      } catch (error) {
        expect(error).toBeInstanceOf(Error)
      }
    }
  })

  it('confirm any sequence, and throw RangeError when a confirm is cut', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (upTo) => decodeConfirmFrame(encodeConfirmFrame(0, upTo)) === upTo))
    for (const cut of prefixes(encodeConfirmFrame(0, 7))) expect(() => decodeConfirmFrame(cut)).toThrow(RangeError)
  })

  it('do not share their bytes with later ones', () => {
    const first = encodeSessionFrame(FrameKind.answer, { id: 1, value: 'first' })
    encodeSessionFrame(FrameKind.answer, { id: 2, value: 'other' })
    expect(decodeSessionFrame(first)).toEqual({ id: 1, value: 'first' })
  })
})

describe('kinds of frames', () => {
  it('never change their numbers: log frames are on disk, the others go between versions', () => {
    expect(FrameKind).toEqual({
      publish: 1,
      settle: 2,
      control: 3,
      node: 16,
      refusedPublish: 17,
      hello: 32,
      request: 33,
      reply: 34,
      query: 35,
      leave: 36,
      welcome: 64,
      confirm: 65,
      outcome: 66,
      settled: 67,
      deliver: 68,
      requested: 69,
      replied: 70,
      answer: 71,
      cancelled: 73,
      fault: 74,
      goodbye: 75,
      parted: 76,
      resumed: 77,
      received: 78,
      heartbeat: 96,
    })
  })
})
