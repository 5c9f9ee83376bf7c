import { describe, expect, it } from 'vitest'
import type { Nemesis } from '../../../jepsen-lite/nemesis.ts'
import { seeded } from '../../../jepsen-lite/random.ts'
import { planSchedule, type ScheduledFault } from '../../../jepsen-lite/run/schedule.ts'
import { fc } from '../../support/property.ts'

const nodes = ['n1', 'n2', 'n3']

/** Its faults tell what was drawn, and hold between 1 and 8 seconds. */
function nemesis(name: string): Nemesis {
  return {
    name,
    about: 'for a test',
    draw: (random, of) => ({
      name: `${name} ${random.pick(of)}`,
      holdMs: random.between(1_000, 8_000),
      begin: async () => ({ what: '', done: {} }),
      end: async () => ({ what: '', done: {} }),
    }),
    bite: () => undefined,
  }
}

const three = ['kill', 'pause', 'cut'].map(nemesis)
const plan = (seed: number, nemeses = three, seconds = 60) =>
  planSchedule(seeded(seed), nemeses, nodes, seconds * 1_000)
const told = (schedule: readonly ScheduledFault[]) => schedule.map(({ fault: _, ...planned }) => planned)
const overlap = (a: ScheduledFault, b: ScheduledFault) => a.atMs < b.atMs + b.holdMs && b.atMs < a.atMs + a.holdMs

describe('a schedule', () => {
  it('is a function of the seed', () => {
    expect(told(plan(7))).toEqual(told(plan(7)))
    expect(told(plan(7))).not.toEqual(told(plan(8)))
  })

  it('is in order, numbered, and leaves beginning and end quiet, whatever the seed and the length', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 5, max: 600 }), fc.integer({ min: 1, max: 3 }), (seed, seconds, some) => {
        const schedule = plan(seed, three.slice(0, some), seconds)
        const edgeMs = Math.min(seconds * 120, 5_000)
        expect(schedule.length).toBeGreaterThan(0)
        schedule.forEach(({ number, atMs, holdMs }, i) => {
          expect(number).toBe(i)
          expect(atMs).toBeGreaterThanOrEqual(Math.max(Math.floor(edgeMs), schedule[i - 1]?.atMs ?? 0))
          expect(holdMs).toBeGreaterThan(0)
          expect(atMs + holdMs).toBeLessThanOrEqual(seconds * 1_000 - edgeMs + 1)
        })
      }),
      { numRuns: 200 },
    )
  })

  it('gives each nemesis a turn before any has its second', () => {
    for (let seed = 0; seed < 50; seed++) {
      const first = plan(seed, three, 300).slice(0, 3)
      // Two of one kind in an episode are left out, so that the first turns may be fewer than three.
      const names = first.map(({ nemesis }) => nemesis)
      expect(new Set(names).size).toBeGreaterThanOrEqual(2)
      const counts = three.map(({ name }) => plan(seed, three, 300).filter((each) => each.nemesis === name).length)
      expect(Math.max(...counts)).toBeLessThan(2 * Math.min(...counts) + 3)
    }
  })

  it('has faults that overlap, of different nemeses, and quiet times in which none holds', () => {
    const schedules = Array.from({ length: 20 }, (_, seed) => plan(seed))
    const pairs = schedules.flatMap((schedule) =>
      schedule.flatMap((a, i) => schedule.slice(i + 1).flatMap((b) => (overlap(a, b) ? [[a, b] as const] : []))),
    )
    expect(pairs.length).toBeGreaterThan(10)
    for (const [a, b] of pairs) expect(a.nemesis).not.toBe(b.nemesis)
    for (const schedule of schedules) {
      let endMs = 0
      let quiet = 0
      for (const { atMs, holdMs } of schedule) {
        if (atMs - endMs >= 700) quiet++
        endMs = Math.max(endMs, atMs + holdMs)
      }
      expect(quiet).toBeGreaterThan(1)
    }
  })

  it('is empty without nemeses', () => {
    expect(plan(1, [])).toEqual([])
  })
})
