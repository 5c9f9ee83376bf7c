import { beforeEach, describe, expect, test } from 'vitest'
import {
  isRemoved,
  lastRemoved,
  nothingRemoved,
  openSegmentManifest,
  withRemoved,
} from '../../node/storage/segment-manifest.ts'
import type { SimulatedStore } from '../sim/simulated-store.ts'
import { fc } from '../support/property.ts'
import { simulatedStore, withStore } from './support/store.ts'

let disk: SimulatedStore

beforeEach(() => {
  disk = simulatedStore()
})

/** From the first to the last one. */
function range(first: number, last: number): object {
  return { from: first, to: last + 1 }
}

describe('the segment manifest', () => {
  test('lists what was removed, in the shortest form', async () => {
    await withStore(disk, async (store) => {
      const manifest = await openSegmentManifest(store)
      expect(manifest.value).toEqual({ removedBelow: 1, removed: [] })
      await manifest.remove([5, 2])
      expect(manifest.value).toEqual({ removedBelow: 1, removed: [range(2, 2), range(5, 5)] })
      await manifest.remove([1])
      expect(manifest.value).toEqual({ removedBelow: 3, removed: [range(5, 5)] })
    })
    await withStore(disk, async (store) => {
      expect((await openSegmentManifest(store)).value).toEqual({ removedBelow: 3, removed: [range(5, 5)] })
    })
  })

  test('keeps all of several removals at once', async () => {
    await withStore(disk, async (store) => {
      const manifest = await openSegmentManifest(store)
      await Promise.all([manifest.remove([1]), manifest.remove([2]), manifest.remove([4])])
      expect(manifest.value).toEqual({ removedBelow: 3, removed: [range(4, 4)] })
    })
    await withStore(disk, async (store) => {
      expect((await openSegmentManifest(store)).value).toEqual({ removedBelow: 3, removed: [range(4, 4)] })
    })
  })

  test('tells of exactly the segments that were removed, whatever the order', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.integer({ min: 1, max: 12 })), { maxLength: 5 }), (steps) => {
        let value = nothingRemoved
        for (const step of steps) value = withRemoved(value, step)
        const all = new Set(steps.flat())
        for (let sequence = 1; sequence <= 12; sequence++) expect(isRemoved(value, sequence)).toBe(all.has(sequence))
        expect(lastRemoved(value)).toBe(Math.max(0, ...all))
        expect(value.removed.every(({ from, to }) => from > value.removedBelow && to > from)).toBe(true)
        const left = Array.from({ length: lastRemoved(value) }, (_, i) => i + 1).filter(
          (sequence) => !all.has(sequence),
        )
        expect(value.removed.length).toBeLessThanOrEqual(left.length)
      }),
    )
  })

  test('takes no more room however many segments are removed behind one that stays', async () => {
    await withStore(disk, async (store) => {
      const manifest = await openSegmentManifest(store)
      for (let sequence = 3; sequence <= 500; sequence++) await manifest.remove([sequence])
      await manifest.remove(Array.from({ length: 200_000 }, (_, i) => 501 + i))
      expect(manifest.value).toEqual({ removedBelow: 1, removed: [range(3, 200_500)] })
    })
    const stored = Buffer.from(disk.image().get('segments')!).toString()
    expect(stored).toBe('{"format":2,"removedBelow":1,"removed":[{"from":3,"to":200501}]}')
  })

  test('that is damaged lists nothing', async () => {
    await withStore(disk, async (store) => (await openSegmentManifest(store)).remove([1, 2]))
    disk.rot('segments')
    await withStore(disk, async (store) => {
      const manifest = await openSegmentManifest(store)
      expect(manifest.value.removedBelow).toBe(1)
      await manifest.remove([1])
    })
    await withStore(disk, async (store) => expect((await openSegmentManifest(store)).value.removedBelow).toBe(2))
  })
})
