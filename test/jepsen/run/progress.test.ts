import { describe, expect, it } from 'vitest'
import { Progress, progressLine } from '../../../jepsen-lite/run/progress.ts'

const state = {
  phase: 'faults',
  secondsLeft: 41.2,
  operations: 1000,
  ok: 990,
  faults: ['kill leader', 'partition n1 | others'],
  leader: 'n2',
  elections: 3,
}

describe('progress', () => {
  it('tells time left, operations, faults, leader and elections', () => {
    expect(progressLine(state)).toBe(
      '42 s left, 1000 operations (10 not ok), leader n2, 3 elections, kill leader + partition n1 | others',
    )
    expect(progressLine({ ...state, phase: 'heal', faults: [], leader: undefined })).toBe(
      'heal, 1000 operations (10 not ok), leader none, 3 elections, quiet',
    )
  })

  it('is one line that changes on a terminal, cut to its width, and plain lines elsewhere', () => {
    const shown: string[] = []
    const live = new Progress({ isTTY: true, columns: 20, write: (text) => shown.push(text) }, () => state)
    live.start()
    live.phase()
    live.phase()
    live.stop()
    expect(shown.join('')).toBe(`${'\r\x1b[K42 s left, 1000 ope'.repeat(2)}\r\x1b[K`)
    const piped: string[] = []
    const plain = new Progress({ write: (text) => piped.push(text) }, () => state)
    plain.start()
    plain.phase()
    plain.stop()
    expect(piped).toEqual([`${progressLine(state)}\n`])
  })
})
