import { beforeEach, describe, expect, test } from 'vitest'
import { ListedStore } from '../../node/storage/listed-store.ts'
import { DamagedValueError, type Store } from '../../node/storage/store.ts'
import type { SimulatedStore } from '../sim/simulated-store.ts'
import { simulatedStore, withStore } from './support/store.ts'

let disk: SimulatedStore

beforeEach(() => {
  disk = simulatedStore()
})

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

function listed<T>(use: (store: Store) => Promise<T>): Promise<T> {
  return withStore(disk, async (store) => use(await ListedStore.open(store)))
}

async function look(store: Store, key: string): Promise<number[] | 'damaged' | undefined> {
  try {
    const value = await store.get(key)
    return value && [...value]
  } catch (error) {
    expect(error).toBeInstanceOf(DamagedValueError)
    return 'damaged'
  }
}

const lookAt = (...keys: string[]) =>
  listed(async (store) => Object.fromEntries(await Promise.all(keys.map(async (key) => [key, await look(store, key)]))))

/** Changes the disk without a word to whoever looks after it. */
function behindItsBack(change: (values: Map<string, Uint8Array>) => void): void {
  const values = new Map(disk.image())
  change(values)
  disk.restore(values)
}

describe('a listed store', () => {
  test('gives what was written, and nothing for what never was or was deleted', async () => {
    await listed(async (store) => {
      await store.write({ puts: [['a', bytes(1)], ['b', bytes(2)]] }) // biome-ignore format: one line
      await store.write({ puts: [['a', bytes(3)]], deletes: ['b', 'never'] })
      expect([await look(store, 'a'), await look(store, 'b'), await look(store, 'c')]).toEqual([[3], undefined, undefined]) // biome-ignore format: one line
    })
    expect(await lookAt('a', 'b', 'c')).toEqual({ a: [3], b: undefined, c: undefined })
  })

  test('reads what the writes before the call leave, also while they are under way', async () => {
    await listed(async (store) => {
      const seen = [1, 2, 3].flatMap((n) => {
        void store.write({ puts: [['a', bytes(n)]] })
        return look(store, 'a')
      })
      expect(await Promise.all(seen)).toEqual([[1], [2], [3]])
    })
  })

  test('notices a value that vanished, that an older one took the place of, and that came back', async () => {
    await listed((store) => store.write({ puts: [['a', bytes(1)], ['b', bytes(2)], ['c', bytes(3)]] })) // biome-ignore format: one line
    const older = new Map(disk.image())
    await listed((store) => store.write({ puts: [['b', bytes(4)]], deletes: ['c'] }))
    behindItsBack((values) => {
      values.delete('a')
      for (const key of ['b', 'c']) values.set(key, older.get(key) as Uint8Array)
    })
    expect(await lookAt('a', 'b', 'c')).toEqual({ a: 'damaged', b: 'damaged', c: 'damaged' })
    // Until it is written anew, or given up.
    await listed((store) => store.write({ puts: [['a', bytes(5)]], deletes: ['b'] }))
    expect(await lookAt('a', 'b', 'c')).toEqual({ a: [5], b: undefined, c: 'damaged' })
  })

  test.each([
    ['is gone', () => behindItsBack((values) => values.delete('contents'))],
    ['is rotten', () => disk.rot('contents')],
  ])('whose table of contents %s believes what is there, and takes what is not for lost', async (_, damage) => {
    await listed((store) => store.write({ puts: [['a', bytes(1)]] }))
    damage()
    expect(await lookAt('a', 'b')).toEqual({ a: [1], b: 'damaged' })
    await listed((store) => store.write({ puts: [['c', bytes(2)]] }))
    expect(await lookAt('a', 'b', 'c')).toEqual({ a: [1], b: undefined, c: [2] })
  })

  test('that never held anything has lost nothing', async () => {
    expect(await lookAt('a')).toEqual({ a: undefined })
  })

  test('that holds nothing but parts of something larger has lost what they are part of', async () => {
    await withStore(disk, (store) => store.write({ puts: [['chunk/1', bytes(1)]] }))
    expect(await lookAt('a', 'chunk/1', 'chunk/2')).toEqual({ a: 'damaged', 'chunk/1': [1], 'chunk/2': undefined })
  })

  test('is the old one or the new one after a crash, table of contents and all', async () => {
    await listed((store) => store.write({ puts: [['a', bytes(1)]] }))
    const outcomes = new Set<string>()
    for (let round = 0; round < 20; round++) {
      const store = await ListedStore.open(await disk.open())
      void store.write({ puts: [['a', bytes(round)], ['b', bytes(round)]] }) // biome-ignore format: one line
      await new Promise((resolve) => setImmediate(resolve))
      disk.crash()
      const { a, b } = await lookAt('a', 'b')
      expect([a, b]).not.toContain('damaged')
      outcomes.add(String(a?.[0] === round))
    }
    expect(outcomes.size).toBe(2)
  })
})
