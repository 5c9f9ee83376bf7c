import { expect, it } from 'vitest'
import { TrailingLog } from '../../../node/checkpointing/trailing-log.ts'
import { fc } from '../../support/property.ts'

it('never tells a start with more behind it than asked for, and misses the exact one by a sixty-fourth and an entry at most', () => {
  const sizes = fc.array(fc.nat({ max: 300 }), { maxLength: 2_000 })
  fc.assert(
    fc.property(
      sizes,
      fc.integer({ min: 1, max: 20_000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (bytes, bytesMax, part) => {
        const log = new TrailingLog(bytesMax)
        bytes.forEach((size, i) => void log.applied(i + 1, size))
        const asked = Math.floor(bytesMax * part)
        const start = log.startOf(asked)
        const behind = (from: number) => bytes.slice(from - 1).reduce((sum, size) => sum + size, 0)
        if (bytes.length === 0) expect(start).toBeUndefined()
        else if (start === undefined) expect(behind(bytes.length)).toBeGreaterThan(asked - bytesMax / 64 - 300)
        else {
          expect(behind(start)).toBeLessThanOrEqual(asked)
          if (start > 1) expect(behind(start - 1)).toBeGreaterThan(asked - bytesMax / 64 - 600)
        }
      },
    ),
  )
})

it('knows nothing of what was applied before it was cleared', () => {
  const log = new TrailingLog(1_000)
  for (let index = 1; index <= 10; index++) log.applied(index, 10)
  log.clear()
  expect(log.startOf(1_000)).toBeUndefined()
  log.applied(11, 10)
  expect(log.startOf(1_000)).toBe(11)
})
