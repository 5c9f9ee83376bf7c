import { beforeEach, describe, expect, test } from 'vitest'
import { Doubts } from '../../node/storage/doubts.ts'
import type { SimulatedStore } from '../sim/simulated-store.ts'
import { simulatedStore, withStore } from './support/store.ts'

let disk: SimulatedStore

beforeEach(() => {
  disk = simulatedStore()
})

describe('a doubt', () => {
  const first = { number: 5, reason: 'torn', at: 1_000 }
  const second = { number: 9, reason: 'rotten', at: 2_000 }
  const doubt = () => withStore(disk, async (store) => (await Doubts.open(store)).mark)

  test('outlives the process until it is cleared by its number', async () => {
    expect(await doubt()).toBeUndefined()
    await withStore(disk, async (store) => (await Doubts.open(store)).raise(first))
    expect(await doubt()).toEqual(first)
    await withStore(disk, async (store) => (await Doubts.open(store)).clear(4))
    expect(await doubt()).toEqual(first)
    await withStore(disk, async (store) => (await Doubts.open(store)).clear(5))
    expect(await doubt()).toBeUndefined()
  })

  test('that arose later is not cleared with an older one', async () => {
    await withStore(disk, async (store) => {
      const doubts = await Doubts.open(store)
      await doubts.raise(first)
      await doubts.raise(second)
      await doubts.clear(5)
      expect(doubts.mark).toEqual(second)
    })
    expect(await doubt()).toEqual(second)
  })

  test('that arises while another one is being cleared stays', async () => {
    await withStore(disk, async (store) => {
      const doubts = await Doubts.open(store)
      await doubts.raise(first)
      await Promise.all([doubts.clear(5), doubts.raise(second)])
      expect(doubts.mark).toEqual(second)
    })
    expect(await doubt()).toEqual(second)
  })

  test('whose mark rotted is known to have been there', async () => {
    await withStore(disk, async (store) => (await Doubts.open(store)).raise(first))
    disk.rot('doubt')
    await withStore(disk, async (store) => {
      const doubts = await Doubts.open(store)
      expect(doubts).toMatchObject({ isDamaged: true, mark: undefined })
    })
  })
})
