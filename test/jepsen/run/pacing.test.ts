import { describe, expect, it } from 'vitest'
import { seeded } from '../../../jepsen-lite/random.ts'
import { Pacing } from '../../../jepsen-lite/run/pacing.ts'

/** Turns of one slot until `untilMs`, when each operation takes `takesMs`. */
function turns(pacing: Pacing, slot: number, untilMs: number, takesMs: number): number[] {
  const at: number[] = []
  for (let nowMs = 0; ; ) {
    nowMs += pacing.waitMs(slot, nowMs)
    if (nowMs >= untilMs) return at
    at.push(nowMs)
    nowMs += takesMs
  }
}

describe('pacing', () => {
  it('has the asked rate on average, all slots together', () => {
    const pacing = new Pacing(200, 10, seeded(1))
    const all = Array.from({ length: 10 }, (_, slot) => turns(pacing, slot, 30_000, 1).length)
    const perSecond = all.reduce((sum, count) => sum + count, 0) / 30
    expect(perSecond).toBeGreaterThan(190)
    expect(perSecond).toBeLessThan(210)
  })

  it('draws the gaps from the seed, other ones for each slot', () => {
    const of = (seed: number, slot: number) => turns(new Pacing(100, 4, seeded(seed)), slot, 2_000, 0)
    expect(of(5, 1)).toEqual(of(5, 1))
    expect(of(5, 1)).not.toEqual(of(6, 1))
    expect(of(5, 1)).not.toEqual(of(5, 2))
  })

  it('makes up for nothing after an outage: no burst', () => {
    const pacing = new Pacing(10, 1, seeded(3))
    pacing.waitMs(0, 0)
    expect(pacing.waitMs(0, 60_000)).toBe(0)
    let nowMs = 60_000
    for (let i = 0; i < 100; i++) nowMs += pacing.waitMs(0, nowMs)
    expect(nowMs - 60_000).toBeGreaterThan(8_000)
  })

  it('never waits at rate 0', () => {
    const pacing = new Pacing(0, 2, seeded(1))
    expect(Array.from({ length: 20 }, (_, i) => pacing.waitMs(i % 2, i)).every((ms) => ms === 0)).toBe(true)
  })
})
