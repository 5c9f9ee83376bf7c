import { beforeEach, describe, expect, it } from 'vitest'
import type { Json } from '../../../jepsen-lite/history.ts'
import { OpenCalls } from '../../../jepsen-lite/workers/open-calls.ts'

let calls: OpenCalls

beforeEach(() => {
  calls = new OpenCalls()
})

const see = (f: string, value: Json = {}, name = 'c1') => calls.see(name, f, value)
const which = { queue: 'q', message: 'm1', attempt: 1 }

describe('what consumers have begun and not come to the end of', () => {
  it.each([
    ['subscribe', 'answered'],
    ['close', 'closed'],
    ['close', 'ended'],
  ])('is a %s until it is %s', (begin, end) => {
    see(begin)
    see(begin, {}, 'c2')
    expect(calls.all).toEqual([`${begin} of c1`, `${begin} of c2`])
    see(end)
    expect(calls.all).toEqual([`${begin} of c2`])
  })

  it.each([
    ['settled', which],
    ['lost', { ...which, error: 'LeaseLost' }],
  ])('is the settle of an attempt until it is %s', (end, value) => {
    see('settle', { ...which, as: 'ack' })
    see('settle', { ...which, attempt: 2, as: 'ack' })
    see(end, value)
    expect(calls.all).toEqual(['settle of c1: message m1, attempt 2'])
  })

  it('is the settle of a message that was lost meanwhile, as long as the settle itself has no outcome', () => {
    see('settle', { ...which, as: 'ack' })
    see('lost', which)
    expect(calls.all).toEqual(['settle of c1: message m1, attempt 1'])
  })

  it('is nothing of what is told besides, and nothing that ends without a beginning', () => {
    for (const f of ['deliver', 'connected', 'closed', 'settled', 'answered', 'cut']) see(f, which)
    expect(calls.all).toEqual([])
  })
})
