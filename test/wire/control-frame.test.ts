import { describe, expect, it } from 'vitest'
import { type ControlCommand, encodeControlFrame, readCommand } from '../../wire/control-frame.ts'
import { LOG_HEADER_BYTES, viewOf } from '../../wire/frame.ts'
import { flips, hex, prefixes } from './support.ts'

const stamp = { group: 0, session: 4097, epoch: 8192, sequence: 7, seen: 6 }

function read(frame: Uint8Array) {
  return readCommand(frame, viewOf(frame), 0, frame.length)
}

const commands: ControlCommand[] = [
  { type: 'declareQueue', queue: 'billing' },
  { type: 'declareQueue', queue: 'billing', durable: false, exclusive: true },
  { type: 'deleteQueue', queue: 'billing' },
  { type: 'bind', queue: 'billing', pattern: 'orders.#' },
  { type: 'unbind', queue: 'billing', pattern: 'orders.*' },
  { type: 'consume', queue: 'billing', prefetch: 100, visibilityTimeoutMs: 30_000 },
  { type: 'receive', queue: 'billing', max: 10, waitMs: 20_000, visibilityTimeoutMs: 30_000 },
  { type: 'cancel', consumer: 2 ** 52 },
  { type: 'listen', pattern: 'price.*' },
  { type: 'unlisten', listener: 4100 },
  { type: 'closeSession' },
]

describe('a control frame', () => {
  it('has this layout', () => {
    expect(hex(encodeControlFrame(stamp, { type: 'closeSession' }))).toBe(
      [
        '03010000' + '45000000', // kind, version, group; length
        '000000000001b040' + '000000000000c040', // session 4097, epoch 8192
        '0000000000001c40' + '0000000000001840', // sequence 7, seen 6
        '01000000' + '00000000', // 1 command, no table
        'de0001' + 'a474797065' + 'ac636c6f736553657373696f6e', // { type: 'closeSession' }
      ].join(''),
    )
  })

  it.each(commands)('gives back $type', (command) => {
    expect(read(encodeControlFrame(stamp, command))).toEqual(command)
  })

  it('gives nothing when it is cut anywhere, and never makes its reader throw with any byte changed', () => {
    for (const command of commands) {
      const frame = encodeControlFrame(stamp, command)
      for (const cut of prefixes(frame)) expect(read(cut)).toBeUndefined()
      for (const spoiled of flips(frame)) {
        const value = read(spoiled)
        expect(value === undefined || (typeof value === 'object' && !Array.isArray(value))).toBe(true)
      }
    }
  })

  it('gives nothing for what is no map: a number, a list, nil, more than one value, a tower of lists', () => {
    const bodies = [[7], [0x91, 7], [0xc0], [0x80, 0x80], Array(60_000).fill(0x91), [0xdd, 0xff, 0xff, 0xff, 0xff]]
    for (const body of bodies) {
      const frame = new Uint8Array([...encodeControlFrame(stamp, commands[0]!).subarray(0, LOG_HEADER_BYTES), ...body])
      viewOf(frame).setUint32(4, frame.length, true)
      expect(read(frame)).toBeUndefined()
    }
  })

  it('does not let a key reach the prototype', () => {
    const frame = encodeControlFrame(
      stamp,
      JSON.parse('{"type":"cancel","__proto__":{"consumer":1}}') as ControlCommand,
    )
    expect(read(frame)).not.toHaveProperty('consumer')
    expect(({} as { consumer?: number }).consumer).toBeUndefined()
  })
})
