import { describe, expect, it } from 'vitest'
import { isCorrupt, padded, paddedById } from '../../../jepsen-lite/workloads/padding.ts'

describe('a padded body', () => {
  it.each([0, 100, 60_000])('of %s characters is right as it was made', (size) => {
    expect(isCorrupt(padded(7, size))).toBe(false)
    expect(isCorrupt({ ...padded(7, size), fates: [] })).toBe(false)
  })

  it('has one of several sizes, whoever publishes it', () => {
    for (const concurrency of [3, 6, 8, 10]) {
      const sizes = Array.from({ length: 20 }, (_, i) => paddedById(2 + i * concurrency).size)
      expect(new Set(sizes)).toEqual(new Set([0, 30, 200, 2_000]))
    }
    expect(isCorrupt(paddedById(6))).toBe(false)
  })

  it('is corrupt when it is shorter, another one or partly so, or without what it says', () => {
    const { id, size, padding } = padded(7, 100) as { id: number; size: number; padding: string }
    expect(isCorrupt({ id, size, padding: padding.slice(1) })).toBe(true)
    expect(isCorrupt({ ...padded(8, 100), id })).toBe(true)
    expect(isCorrupt({ id, size, padding: `${padding.slice(1)}x` })).toBe(true)
    expect(isCorrupt({ id, size })).toBe(true)
    expect(isCorrupt({ id, padding })).toBe(true)
    expect(isCorrupt({ id })).toBe(true)
    expect(isCorrupt(null)).toBe(true)
  })
})
