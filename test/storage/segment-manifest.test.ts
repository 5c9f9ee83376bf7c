import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { isRemoved, openSegmentManifest, withRemoved } from '../../node/storage/segment-manifest.ts'
import type { SimulatedStore } from '../sim/simulated-store.ts'
import { simulatedStore, withStore } from './support/store.ts'

let disk: SimulatedStore

beforeEach(() => {
  disk = simulatedStore()
})

describe('the segment manifest', () => {
  test('lists what was removed, in the shortest form', async () => {
    await withStore(disk, async (store) => {
      const manifest = await openSegmentManifest(store)
      expect(manifest.value).toEqual({ removedBelow: 1, removed: [] })
      await manifest.remove([5, 2])
      expect(manifest.value).toEqual({ removedBelow: 1, removed: [2, 5] })
      await manifest.remove([1])
      expect(manifest.value).toEqual({ removedBelow: 3, removed: [5] })
    })
    await withStore(disk, async (store) => {
      expect((await openSegmentManifest(store)).value).toEqual({ removedBelow: 3, removed: [5] })
    })
  })

  test('keeps all of several removals at once', async () => {
    await withStore(disk, async (store) => {
      const manifest = await openSegmentManifest(store)
      await Promise.all([manifest.remove([1]), manifest.remove([2]), manifest.remove([4])])
      expect(manifest.value).toEqual({ removedBelow: 3, removed: [4] })
    })
    await withStore(disk, async (store) => {
      expect((await openSegmentManifest(store)).value).toEqual({ removedBelow: 3, removed: [4] })
    })
  })

  test('tells of exactly the segments that were removed, whatever the order', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.integer({ min: 1, max: 12 })), { maxLength: 5 }), (steps) => {
        let value = { removedBelow: 1, removed: [] as readonly number[] }
        for (const step of steps) value = withRemoved(value, step)
        const all = new Set(steps.flat())
        for (let sequence = 1; sequence <= 12; sequence++) expect(isRemoved(value, sequence)).toBe(all.has(sequence))
        expect(value.removed.every((sequence) => sequence > value.removedBelow)).toBe(true)
      }),
    )
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
