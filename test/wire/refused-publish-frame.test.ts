import { describe, expect, it } from 'vitest'
import { logHeader, viewOf } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import { PublishFrameBuilder } from '../../wire/publish-frame.ts'
import { readRefusedPublishFrame, refusePublishFrame } from '../../wire/refused-publish-frame.ts'
import { flips, hex, prefixes } from './support.ts'

const stamp = { group: 3, session: 4097, epoch: 8192, sequence: 5, seen: 2 }

function published(): Uint8Array {
  const builder = new PublishFrameBuilder()
  for (const topic of ['a', 'a', 'b']) builder.add(topic, new Uint8Array(1000))
  return builder.finish(stamp)
}

function read(frame: Uint8Array) {
  return readRefusedPublishFrame(viewOf(frame), 0, frame.length)
}

describe('a refused publish frame', () => {
  it('has this layout: who, which sequences and why, but no bodies', () => {
    expect(hex(refusePublishFrame(published(), 'DiskFull'))).toBe(
      [
        '11010300' + '31000000', // kind, version, group 3; length
        '000000000001b040' + '000000000000c040', // session 4097, epoch 8192
        '0000000000001440' + '0000000000000040', // sequence 5, seen 2
        '03000000' + '00000000', // 3 messages, no table
        '01', // DiskFull
      ].join(''),
    )
  })

  it('says how many messages are refused, and why, wherever it stands in an entry', () => {
    const frame = refusePublishFrame(published(), 'DiskFull')
    expect(read(frame)).toEqual({ count: 3, code: 'DiskFull' })
    const entry = new Uint8Array(100 + frame.length)
    entry.set(frame, 50)
    expect(readRefusedPublishFrame(viewOf(entry), 50, frame.length)).toEqual({ count: 3, code: 'DiskFull' })
  })

  it('does not change the frame that it stands for', () => {
    const frame = published()
    refusePublishFrame(frame, 'DiskFull')
    expect(hex(frame)).toBe(hex(published()))
  })

  it('is refused whenever it is cut, longer, of another code, or of no or too many messages', () => {
    const frame = refusePublishFrame(published(), 'DiskFull')
    for (const cut of prefixes(frame)) expect(read(cut)).toBeUndefined()
    expect(readRefusedPublishFrame(viewOf(frame), 1, frame.length)).toBeUndefined()
    const longer = new Uint8Array(frame.length + 1)
    longer.set(frame)
    expect(read(longer)).toBeUndefined()
    for (const flipped of flips(frame)) {
      const count = logHeader.count(viewOf(flipped), 0)
      const found = read(flipped)
      if (found !== undefined) expect(found).toEqual({ count, code: 'DiskFull' })
    }
    const spoiled = (change: (view: DataView) => void) => {
      const copy = frame.slice()
      change(viewOf(copy))
      return read(copy)
    }
    expect(spoiled((view) => view.setUint8(48, 0))).toBeUndefined()
    expect(spoiled((view) => view.setUint8(48, 2))).toBeUndefined()
    expect(spoiled((view) => view.setUint8(1, 2))).toBeUndefined()
    expect(spoiled((view) => view.setUint32(40, 0, true))).toBeUndefined()
    expect(spoiled((view) => view.setUint32(40, limits.frameMessagesMax + 1, true))).toBeUndefined()
    expect(spoiled((view) => view.setUint32(44, 1, true))).toBeUndefined()
  })
})
