import { describe, expect, it } from 'vitest'
import { MeshError } from '../../../client/index.ts'
import { completionOf } from '../../../jepsen-lite/workers/completion.ts'

describe('what an error makes of an operation', () => {
  it.each([
    ['QueueFull', undefined, 'fail'],
    ['NotFound', undefined, 'fail'],
    ['NoQuorum', undefined, 'info'],
    ['NoQuorum', 'not-applied', 'fail'],
    ['SessionLost', undefined, 'info'],
    ['Connection', undefined, 'info'],
    ['Timeout', undefined, 'info'],
    // A timeout is info, whatever else is said about it.
    ['Timeout', 'not-applied', 'info'],
    ['Remote', undefined, 'info'],
    ['Aborted', 'applied', 'info'],
  ] as const)('%s with outcome %s is %s', (code, outcome, type) => {
    const error = new MeshError(code, 'why', outcome === undefined ? {} : { outcome })
    expect(completionOf(error)).toEqual({ type, error: `${code}: why` })
  })

  it('is never made of anything but an error of the mesh', () => {
    const defect = new TypeError('no such method')
    expect(() => completionOf(defect)).toThrow(defect)
  })
})
