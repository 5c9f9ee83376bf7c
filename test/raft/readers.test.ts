import { beforeEach, describe, expect, test } from 'vitest'
import { Readers } from '../../raft/readers.ts'

let outcomes: string[]
let readers: Readers

beforeEach(() => {
  outcomes = []
  readers = new Readers(1000)
})

function add(name: string, deadlineMs = 1e9): void {
  const resolve = (index: number) => outcomes.push(`${name} ${index}`)
  const reject = (error: Error) => outcomes.push(`${name} ${error.name}`)
  readers.add({ resolve, reject, deadlineMs })
}

describe('a reader', () => {
  test('is asked for once, with the others of its turn', () => {
    add('a')
    add('b')
    expect(readers.takeRequest()).toBe(1001)
    expect(readers.takeRequest()).toBeUndefined()
    add('c')
    expect(readers.takeRequest()).toBe(1002)
  })

  test('is released when what was confirmed is applied', () => {
    add('a')
    const requestId = readers.takeRequest()!
    readers.applied(100)
    readers.answered({ requestId, index: 101 })
    readers.applied(100)
    expect(outcomes).toEqual([])
    readers.applied(102)
    expect(outcomes).toEqual(['a 101'])
    readers.applied(103)
    expect(outcomes).toHaveLength(1)
  })

  test('that was refused is asked for again with the next tick, under a new id (trap 10)', () => {
    add('a')
    const requestId = readers.takeRequest()!
    readers.answered({ requestId, index: -1 })
    expect(readers.takeRequest()).toBeUndefined()
    readers.tick(0)
    expect(readers.takeRequest()).toBe(requestId + 1)
    readers.answered({ requestId, index: 5 })
    readers.applied(5)
    expect(outcomes).toEqual([])
  })

  test('that nobody answers is asked for again after a while', () => {
    add('a')
    const requestId = readers.takeRequest()!
    for (let ticks = 0; ticks < 19; ticks++) readers.tick(0)
    expect(readers.takeRequest()).toBeUndefined()
    readers.tick(0)
    expect(readers.takeRequest()).toBe(requestId + 1)
  })

  test('is rejected at its deadline, wherever it waits', () => {
    add('confirmed', 10)
    readers.answered({ requestId: readers.takeRequest()!, index: 5 })
    add('refused', 10)
    readers.answered({ requestId: readers.takeRequest()!, index: -1 })
    add('asked', 10)
    readers.takeRequest()
    add('gathered', 10)
    add('patient', 11)
    readers.tick(9)
    expect(outcomes).toEqual([])
    readers.tick(10)
    expect(outcomes.sort()).toEqual(
      ['asked', 'confirmed', 'gathered', 'refused'].map((name) => `${name} ReadUnavailable`),
    )
    readers.applied(5)
    expect(outcomes).toHaveLength(4)
  })

  test('is rejected when all is over, once', () => {
    add('confirmed')
    readers.answered({ requestId: readers.takeRequest()!, index: 5 })
    add('asked')
    readers.takeRequest()
    add('gathered')
    readers.abandon('stopped')
    readers.abandon('stopped')
    readers.applied(5)
    expect(outcomes.sort()).toEqual(['asked', 'confirmed', 'gathered'].map((name) => `${name} ReadUnavailable`))
  })

  test('beyond the bound is refused at once, and let in again when there is room', () => {
    for (let i = 0; i < 10_000; i++) add(`${i}`, 10)
    expect(outcomes).toEqual([])
    add('too many')
    expect(outcomes).toEqual(['too many ReadUnavailable'])
    readers.tick(10)
    outcomes = []
    add('later')
    expect(outcomes).toEqual([])
  })
})
