import { describe, expect, test } from 'vitest'
import { Progress } from '../../raft/progress.ts'

function replicating(matchIndex = 10, inflightBytesMax = 1000): Progress {
  const progress = new Progress({ id: 'n2', incarnation: 'n2.1' }, matchIndex + 1, 0, inflightBytesMax)
  progress.accepted(matchIndex, 0)
  return progress
}

describe('probing', () => {
  test('one append at a time', () => {
    const progress = new Progress({ id: 'n2', incarnation: 'n2.1' }, 5, 0, 1000)
    expect(progress.maySend).toBe(true)
    progress.sent(7, 100)
    expect(progress.maySend).toBe(false)
    expect(progress.nextIndex).toBe(5)
  })

  test.each([
    { refused: 9, hint: 7, next: 7, taken: true },
    { refused: 9, hint: 99, next: 9, taken: true },
    { refused: 9, hint: 1, next: 4, taken: true },
    { refused: 8, hint: 2, next: 10, taken: false },
    { refused: 3, hint: 2, next: 10, taken: false },
  ])('with next at 10 and match at 3, a refusal of $refused that proposes $hint leads to $next', (refusal) => {
    const progress = replicating(3)
    progress.restart()
    progress.nextIndex = 10
    expect(progress.refused(refusal.refused, refusal.hint, 0)).toBe(refusal.taken)
    expect(progress.nextIndex).toBe(refusal.next)
  })

  test('ends with the first answer that shows where the logs meet', () => {
    const progress = new Progress({ id: 'n2', incarnation: 'n2.1' }, 5, 0, 1000)
    progress.sent(7, 100)
    expect(progress.accepted(7, 0)).toBe(true)
    expect(progress).toMatchObject({ mode: 'replicate', matchIndex: 7, nextIndex: 8 })
  })

  test('does not end with an old answer', () => {
    const progress = replicating(10)
    progress.restart()
    progress.sent(11, 100)
    expect(progress.accepted(9, 0)).toBe(false)
    expect(progress).toMatchObject({ mode: 'probe', probeSent: true, nextIndex: 11 })
  })
})

describe('replicating', () => {
  test('appends go one after another until the window is full of bytes (trap 13)', () => {
    const progress = replicating()
    progress.sent(11, 600)
    expect(progress.maySend).toBe(true)
    progress.sent(20, 600)
    expect(progress).toMatchObject({ maySend: false, inflightBytes: 1200, nextIndex: 21 })
    progress.accepted(11, 0)
    expect(progress).toMatchObject({ maySend: true, inflightBytes: 600 })
    progress.accepted(20, 0)
    expect(progress.inflightBytes).toBe(0)
  })

  test('or of many small ones', () => {
    const progress = replicating(0, 1e9)
    for (let index = 1; index <= 256; index++) {
      expect(progress.maySend).toBe(true)
      progress.sent(index, 1)
    }
    expect(progress.maySend).toBe(false)
  })

  test('an append without entries takes no room', () => {
    const progress = replicating()
    progress.sent(10, 0)
    expect(progress).toMatchObject({ inflightBytes: 0, nextIndex: 11, maySend: true })
  })

  test('one refusal starts it over after the match, with an empty window; old ones do nothing', () => {
    const progress = replicating()
    progress.sent(15, 999)
    progress.sent(20, 999)
    expect(progress.refused(10, 3, 0)).toBe(false)
    expect(progress.mode).toBe('replicate')
    expect(progress.refused(15, 3, 0)).toBe(true)
    expect(progress).toMatchObject({ mode: 'probe', nextIndex: 11, inflightBytes: 0, maySend: true })
  })

  test('nothing is sent while entries are read from the disk', () => {
    const progress = replicating()
    progress.loading = true
    expect(progress.maySend).toBe(false)
  })

  test('sending the same entries twice is a broken invariant', () => {
    const progress = replicating()
    progress.sent(15, 10)
    expect(() => progress.sent(15, 10)).toThrow('invariant 2')
  })
})
