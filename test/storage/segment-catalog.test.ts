import { beforeEach, describe, expect, test } from 'vitest'
import { SegmentCatalog } from '../../node/storage/segment-catalog.ts'

let catalog: SegmentCatalog

/** Segments 1 to 9. */
beforeEach(() => {
  catalog = new SegmentCatalog()
  for (let sequence = 1; sequence <= 9; sequence++) catalog.add(sequence, 8192)
})

function removable(...candidates: number[]): number[] {
  return catalog.removable(new Set(candidates))
}

function remove(...sequences: number[]): void {
  for (const sequence of sequences) catalog.remove([sequence])
}

describe('a segment that made records void', () => {
  beforeEach(() => catalog.guard(6, 4))

  test('stays while a segment is left in which these may lie', () => {
    expect(removable(6)).toEqual([])
    expect(removable(5, 6)).toEqual([5])
    expect(removable(4, 6)).toEqual([4])
    remove(4)
    expect(removable(6)).toEqual([])
  })

  test('goes together with the last of them', () => {
    expect(removable(4, 5, 6)).toEqual([4, 5, 6])
  })

  test('goes when these are gone, though older segments stay', () => {
    remove(4, 5)
    expect(removable(6, 7)).toEqual([6, 7])
    expect(removable(2, 6)).toEqual([2, 6])
  })

  test('keeps all that it ever made void in mind', () => {
    catalog.guard(6, 2)
    catalog.guard(6, 5)
    remove(4, 5)
    expect(removable(6)).toEqual([])
    expect(removable(3, 6)).toEqual([3])
    remove(2, 3)
    expect(removable(6)).toEqual([6])
  })

  test('goes after what it guards, which goes after what that guards', () => {
    catalog.guard(8, 6)
    expect(removable(5, 6, 7, 8)).toEqual([5, 7])
    expect(removable(4, 5, 6, 8)).toEqual([4, 5, 6])
    expect(removable(4, 5, 6, 7, 8)).toEqual([4, 5, 6, 7, 8])
  })

  test('is free to go when all of that was its own', () => {
    catalog.guard(8, 8)
    expect(removable(8)).toEqual([8])
  })
})

test('a segment that is damaged, and what proves it, go only when nothing older is left', () => {
  catalog.guard(6, 4)
  catalog.distrust(3, 7)
  remove(4, 5)
  expect(removable(6, 7, 8)).toEqual([8])
  expect(removable(2, 3)).toEqual([])
  expect(removable(1, 2, 4)).toEqual([1, 2])
  remove(1, 2, 3)
  expect(removable(6, 7)).toEqual([6, 7])
})
