import { describe, expect, it } from 'vitest'
import { type Point, thin } from '../../../jepsen-lite/report/thinning.ts'
import { fc } from '../../support/property.ts'

const points = fc.array(
  fc.record({
    x: fc.double({ min: 0, max: 1000, noNaN: true }),
    y: fc.double({ min: 0, max: 190, noNaN: true }),
    must: fc.constant(false),
  }),
  { maxLength: 3000, size: 'max' },
)

describe('Thinning', () => {
  it('leaves what fits as it is', () => {
    const all: Point[] = [
      { x: 1, y: 1, must: false },
      { x: 1, y: 1, must: false },
    ]
    expect(thin(all, 2)).toEqual(all)
  })

  it('keeps the outliers: the slowest of each column', () => {
    fc.assert(
      fc.property(points, fc.integer({ min: 1, max: 500 }), (all, most) => {
        const kept = new Set<Point>(thin(all, most))
        const tops = new Map<number, number>()
        for (const { x, y } of all)
          tops.set(Math.floor(x), Math.min(y, tops.get(Math.floor(x)) ?? Number.POSITIVE_INFINITY))
        for (const [column, y] of tops) {
          expect([...kept].some((each) => Math.floor(each.x) === column && each.y === y)).toBe(true)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('keeps each that must be seen, and invents none', () => {
    const all = Array.from(
      { length: 50_000 },
      (_, i): Point => ({ x: (i * 37) % 1000, y: 100 + ((i * 13) % 80), must: i % 5000 === 17 }),
    )
    const known = new Set(all)
    for (const most of [300, 5000, 20_000]) {
      const kept = new Set(thin(all, most))
      expect(all.filter((each) => each.must && !kept.has(each))).toEqual([])
      expect([...kept].every((each) => known.has(each))).toBe(true)
      expect(kept.size).toBeLessThan(all.length)
    }
  })

  it('ends near what was asked for, however many there are', () => {
    const all = Array.from(
      { length: 200_000 },
      (_, i): Point => ({ x: (i * 0.618_034 * 1000) % 1000, y: (i * 0.414_213 * 190) % 190, must: false }),
    )
    expect(thin(all, 5000).length).toBeLessThanOrEqual(5000)
    expect(thin(all, 5000).length).toBeGreaterThan(2000)
    expect(thin(all, 10).length).toBeLessThanOrEqual(1000)
  })
})
