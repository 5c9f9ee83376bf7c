import { beforeEach, describe, expect, it } from 'vitest'
import { Recorder } from '../../../jepsen-lite/run/recorder.ts'

const publish = { f: 'publish', value: { id: 1 } }
let now = 0
let recorder: Recorder

beforeEach(() => {
  now = 0
  recorder = new Recorder(() => ++now)
})

describe('the recorder', () => {
  it('numbers events and times them, each completion with the operation that it ends', () => {
    recorder.invoke(3, publish)
    recorder.invoke(4, { f: 'drain', value: null })
    expect(recorder.complete(3, { type: 'ok', value: { id: 1, message: 'm' } })).toBe(false)
    expect(recorder.complete(4, { type: 'fail', error: 'NotEmpty: q' })).toBe(false)
    recorder.emit('c1', 'deliver', { id: 1 })
    recorder.fault('kill', { step: 'begin' }, 'could not')
    recorder.emit('c2', 'deliver', { id: 2 }, 4.5)
    expect(recorder.events).toEqual([
      { index: 0, time: 1, process: 3, type: 'invoke', f: 'publish', value: { id: 1 } },
      { index: 1, time: 2, process: 4, type: 'invoke', f: 'drain', value: null },
      { index: 2, time: 3, process: 3, type: 'ok', f: 'publish', value: { id: 1, message: 'm' } },
      { index: 3, time: 4, process: 4, type: 'fail', f: 'drain', value: null, error: 'NotEmpty: q' },
      { index: 4, time: 5, process: 'c1', type: 'ok', f: 'deliver', value: { id: 1 } },
      { index: 5, time: 6, process: 'nemesis', type: 'info', f: 'kill', value: { step: 'begin' }, error: 'could not' },
      { index: 6, time: 7, at: 4.5, process: 'c2', type: 'ok', f: 'deliver', value: { id: 2 } },
    ])
    expect([recorder.completed, recorder.succeeded]).toEqual([2, 1])
  })

  it('lets a process go on after ok and after fail, and retires it after info', () => {
    for (const type of ['ok', 'fail'] as const) {
      recorder.invoke(1, publish)
      expect(recorder.complete(1, { type })).toBe(false)
    }
    recorder.invoke(1, publish)
    expect(recorder.complete(1, { type: 'info', error: 'Timeout' })).toBe(true)
    expect(() => recorder.invoke(1, publish)).toThrow('process 1 is retired')
    recorder.invoke(11, publish)
  })

  it('refuses a second operation while one is open, and a completion of none', () => {
    expect(() => recorder.complete(1, { type: 'ok' })).toThrow('completes what it did not invoke')
    recorder.invoke(1, publish)
    expect(() => recorder.invoke(1, publish)).toThrow('while publish is open')
    recorder.complete(1, { type: 'ok' })
    expect(() => recorder.complete(1, { type: 'ok' })).toThrow('completes what it did not invoke')
  })

  it('refuses a clock that goes back', () => {
    recorder.invoke(1, publish)
    now = -10
    expect(() => recorder.complete(1, { type: 'ok' })).toThrow('time fell')
  })
})
