import { describe, expect, it } from 'vitest'
import { type ErrorCode, errorKinds, isErrorCode, MeshError } from '../../wire/errors.ts'

describe('the registry of errors', () => {
  it('keeps its promises: what each code says about trying again and about what happened', () => {
    const table = Object.entries(errorKinds).map(([code, { retryable, outcome }]) => `${code} ${retryable} ${outcome}`)
    expect(table).toEqual([
      'Validation false not-applied',
      'PayloadTooLarge false not-applied',
      'Protocol false not-applied',
      'UnsupportedVersion false not-applied',
      'Unauthorized false not-applied',
      'NotFound false not-applied',
      'Precondition false not-applied',
      'LimitExceeded false not-applied',
      'QueueFull true not-applied',
      'DiskFull true not-applied',
      'Overloaded true not-applied',
      'NoQuorum true unknown',
      'NoResponders true not-applied',
      'Timeout true unknown',
      'Connection true unknown',
      'Draining true not-applied',
      'SessionLost false unknown',
      'LeaseLost false unknown',
      'Cancelled false not-applied',
      'Aborted false unknown',
      'Closed false not-applied',
      'Remote false applied',
    ])
  })

  it('knows its own codes and nothing that merely looks like one', () => {
    for (const code of Object.keys(errorKinds)) expect(isErrorCode(code)).toBe(true)
    for (const other of ['', 'toString', '__proto__', 'constructor', 'noquorum', 7, null, undefined]) {
      expect(isErrorCode(other)).toBe(false)
    }
  })
})

describe('a MeshError', () => {
  it.each(Object.keys(errorKinds) as ErrorCode[])('of code %s is what the registry says', (code) => {
    const error = new MeshError(code, 'said')
    expect(error).toMatchObject({ code, name: 'MeshError', message: 'said', ...pick(code) })
    expect('cause' in error).toBe(false)
  })

  it('takes the outcome of whoever knows better, and the cause', () => {
    const cause = new Error('reset')
    expect(new MeshError('NoQuorum', 'x', { outcome: 'not-applied', cause })).toMatchObject({
      outcome: 'not-applied',
      cause,
    })
  })
})

function pick(code: ErrorCode) {
  const { retryable, outcome } = errorKinds[code]
  return { retryable, outcome }
}
