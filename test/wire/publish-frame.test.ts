import { describe, expect, it } from 'vitest'
import { logHeader, restampLogFrame, viewOf } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import { messageBounds, PublishFrameBuilder, readPublishFrame } from '../../wire/publish-frame.ts'
import { fc } from '../support/property.ts'
import { flips, hex, prefixes } from './support.ts'

const stamp = { group: 0, session: 4097, epoch: 8192, sequence: 7, seen: 6 }

function frameOf(messages: readonly (readonly [topic: string, message: Uint8Array])[]): Uint8Array {
  const builder = new PublishFrameBuilder()
  for (const [topic, message] of messages) builder.add(topic, message)
  return builder.finish(stamp)
}

function read(frame: Uint8Array) {
  return readPublishFrame(frame, viewOf(frame), 0, frame.length)
}

/** What the frame says, message by message. */
function contents(frame: Uint8Array, at = 0, length = frame.length): [string, number[]][] | undefined {
  const view = viewOf(frame)
  const whole = readPublishFrame(frame, view, at, length)
  if (whole === undefined) return undefined
  return Array.from({ length: whole.count }, (_, i) => {
    const { start, end } = messageBounds(view, at, i)
    return [whole.topics[view.getUint16(whole.topicColumn + 2 * i, true)]!, [...frame.subarray(start, end)]]
  })
}

const small = frameOf([
  ['a.b', Uint8Array.of(1, 2)],
  ['c', Uint8Array.of()],
  ['a.b', Uint8Array.of(3)],
])

const message = fc.tuple(
  fc.constantFrom('a', 'orders.created', 'ü.ñ', 'x'.repeat(255)),
  fc.uint8Array({ maxLength: 40 }),
)

describe('a publish frame', () => {
  it('has this layout', () => {
    expect(hex(small)).toBe(
      [
        '01010000' + '4d000000', // kind, version, group; length
        '000000000001b040' + '000000000000c040', // session 4097, epoch 8192
        '0000000000001c40' + '0000000000001840', // sequence 7, seen 6
        '03000000' + '08000000', // 3 messages, 8 bytes of topics
        '0300' + '612e62' + '0100' + '63', // topics
        '0000' + '0100' + '0000', // topic of each
        '02000000' + '02000000' + '03000000', // end of each
        '010203',
      ].join(''),
    )
  })

  it('gives back what was put in, wherever it lies in a buffer', () => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 30 }), fc.nat(20), (messages, before) => {
        const frame = frameOf(messages)
        const expected = messages.map(([topic, bytes]) => [topic, [...bytes]])
        expect(contents(frame)).toEqual(expected)
        const buffer = new Uint8Array(before + frame.length + 5).fill(0xee)
        buffer.set(frame, before)
        expect(contents(buffer, before, frame.length)).toEqual(expected)
      }),
    )
  })

  it('is not whole when it is cut anywhere, or when its length is told wrong', () => {
    for (const cut of prefixes(small)) expect(read(cut)).toBeUndefined()
    const view = viewOf(small)
    expect(readPublishFrame(small, view, 0, small.length + 1)).toBeUndefined()
    expect(readPublishFrame(small, view, 1, small.length - 1)).toBeUndefined()
  })

  it('never makes its reader throw, nor point outside itself, with any byte changed', () => {
    for (const spoiled of flips(small)) {
      const view = viewOf(spoiled)
      const whole = read(spoiled)
      if (whole === undefined) continue
      for (let i = 0; i < whole.count; i++) {
        const { start, end } = messageBounds(view, 0, i)
        expect(start).toBeGreaterThanOrEqual(whole.messages)
        expect(end).toBeGreaterThanOrEqual(start)
        expect(end).toBeLessThanOrEqual(spoiled.length)
        expect(whole.topics[view.getUint16(whole.topicColumn + 2 * i, true)]).toBeTypeOf('string')
      }
    }
  })

  it('never makes its reader throw on garbage with an honest length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 48, maxLength: 200 }), (bytes) => {
        const view = viewOf(bytes)
        view.setUint8(1, 1)
        view.setUint32(4, bytes.length, true)
        expect(() => read(bytes)).not.toThrow()
      }),
      { numRuns: 500 },
    )
  })

  it('with a byte behind its last message, or a topic that is not in its table, is not whole', () => {
    const longer = new Uint8Array([...small, 0])
    viewOf(longer).setUint32(4, longer.length, true)
    expect(read(longer)).toBeUndefined()
    const { topicColumn } = read(small)!
    const lost = small.slice()
    viewOf(lost).setUint16(topicColumn + 2, 2, true)
    expect(read(lost)).toBeUndefined()
  })

  it('without messages, with topics that are no UTF-8 or too long, with too large a message is not whole', () => {
    expect(read(new PublishFrameBuilder().finish(stamp))).toBeUndefined()
    const badTopic = small.slice()
    badTopic[50] = 0xff
    expect(read(badTopic)).toBeUndefined()
    expect(read(frameOf([['x'.repeat(256), Uint8Array.of(1)]]))).toBeUndefined()
    expect(read(frameOf([['x', new Uint8Array(limits.messageBytesMax)]]))).toBeDefined()
    expect(read(frameOf([['x', new Uint8Array(limits.messageBytesMax + 1)]]))).toBeUndefined()
  })

  it('goes to another attachment with nothing but epoch and seen changed', () => {
    const copy = restampLogFrame(small, 9000, 8)
    const view = viewOf(copy)
    expect(logHeader.epoch(view, 0)).toBe(9000)
    expect(logHeader.seen(view, 0)).toBe(8)
    expect(logHeader.epoch(viewOf(small), 0)).toBe(8192)
    expect(hex(restampLogFrame(copy, 8192, 6))).toBe(hex(small))
  })
})

describe('the builder', () => {
  const fill = (topicOf: (i: number) => string, size: number): Uint8Array => {
    const builder = new PublishFrameBuilder()
    for (let i = 0; builder.fits(topicOf(i), size); i++) builder.add(topicOf(i), new Uint8Array(size))
    return builder.finish(stamp)
  }

  it.each([
    ['large messages', () => 'a', 100_000],
    ['messages of nothing', () => 'a', 0],
    ['a topic each', (i: number) => `${'x'.repeat(240)}.${i}`, 10],
  ])('closes a frame of %s while a node still takes it', (_, topicOf, size) => {
    const frame = fill(topicOf, size)
    expect(frame.length).toBeLessThanOrEqual(limits.frameBytesTarget + 64 * 1024)
    expect(read(frame)!.count).toBeLessThanOrEqual(limits.frameMessagesMax)
    expect(read(frame)!.topics.length).toBeLessThanOrEqual(limits.frameTopicsMax)
  })

  it('takes one message of full size alone, and the frame is not too large', () => {
    const builder = new PublishFrameBuilder()
    const topic = 'x'.repeat(255)
    expect(builder.fits(topic, limits.messageBytesMax)).toBe(true)
    builder.add(topic, new Uint8Array(limits.messageBytesMax))
    expect(builder.fits(topic, 1)).toBe(false)
    expect(builder.finish(stamp).length).toBeLessThanOrEqual(limits.frameBytesMax)
  })
})
