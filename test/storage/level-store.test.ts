import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Checkpoints } from '../../node/storage/checkpoints.ts'
import { StorageFailedError } from '../../node/storage/errors.ts'
import { LevelStore, type LevelStoreOptions } from '../../node/storage/level-store.ts'
import { nodeFiles } from '../../node/storage/node-files.ts'
import { DamagedValueError } from '../../node/storage/store.ts'
import { eventually } from '../support/eventually.ts'
import { markAt } from './support/store.ts'

let folder: string
let directory: string
let store: LevelStore | undefined

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'meshmq-store-'))
  directory = join(folder, 'data', 'store')
})

afterEach(async () => {
  await store?.close()
  store = undefined
  await rm(folder, { recursive: true })
})

async function open(overrides: Partial<LevelStoreOptions> = {}): Promise<LevelStore> {
  await store?.close()
  store = undefined
  store = await LevelStore.open({ files: nodeFiles, directory, ...overrides })
  return store
}

/** Changes the bytes that lie in the store itself, as a bad disk would. */
async function behindItsBack(change: (level: Level<string, Buffer>) => Promise<void>): Promise<LevelStore> {
  await store?.close()
  const level = new Level<string, Buffer>(directory, { valueEncoding: 'buffer' })
  await change(level)
  await level.close()
  return open()
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

async function numbersAt(of: LevelStore, key: string): Promise<number[] | undefined> {
  const value = await of.get(key)
  return value && [...value]
}

async function sizeOf(path: string): Promise<number> {
  const names = await readdir(path)
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(path, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

describe('a store', () => {
  test('gives back what was written, also after it was closed and opened again', async () => {
    const first = await open()
    await first.write({ puts: [['a/2', bytes(2)], ['a/1', bytes(1, 1)], ['b', bytes()]] }) // biome-ignore format: one line
    await first.write({ puts: [['a/3', bytes(3)]], deletes: ['a/2', 'never there'] })
    const check = async (each: LevelStore): Promise<void> => {
      expect(await each.keys('a/')).toEqual(['a/1', 'a/3'])
      expect(await each.keys('')).toEqual(['a/1', 'a/3', 'b'])
      expect(await numbersAt(each, 'a/1')).toEqual([1, 1])
      expect(await numbersAt(each, 'b')).toEqual([])
      expect(await numbersAt(each, 'a/2')).toBeUndefined()
    }
    await check(first)
    await check(await open())
  })

  test('makes changes in the order of the calls', async () => {
    const opened = await open()
    await Promise.all([1, 2, 3, 4, 5].map((n) => opened.write({ puts: [['key', bytes(n)]] })))
    expect(await numbersAt(opened, 'key')).toEqual([5])
  })

  test('belongs to one process, or one opener, at a time', async () => {
    await open()
    await expect(LevelStore.open({ files: nodeFiles, directory })).rejects.toMatchObject({ code: 'DirectoryInUse' })
    await open()
  })

  test('finishes what is under way before it closes, and does nothing afterwards', async () => {
    const first = await open()
    const written = [1, 2, 3].map((n) => first.write({ puts: [['a', bytes(n)]] }))
    await Promise.all([first.close(), ...written])
    await expect(first.write({ puts: [['a', bytes(4)]] })).rejects.toBeInstanceOf(StorageFailedError)
    expect(await numbersAt(await open(), 'a')).toEqual([3])
  })

  test.each([
    ['a flipped bit', (sealed: Buffer) => Buffer.concat([sealed.subarray(0, -1), bytes(0x12 ^ 1)])],
    ['a lost end', (sealed: Buffer) => sealed.subarray(0, -1)],
    ['nothing', () => Buffer.alloc(0)],
  ])('notices a value that holds %s', async (_, damage) => {
    await (await open()).write({ puts: [['a', bytes(7, 0x12)], ['b', bytes(9)]] }) // biome-ignore format: one line
    const damaged = await behindItsBack(async (level) => level.put('a', damage(await level.get('a'))))
    await expect(damaged.get('a')).rejects.toMatchObject({ constructor: DamagedValueError, key: 'a' })
    expect(await damaged.keys('')).toEqual(['a', 'b'])
    expect(await numbersAt(damaged, 'b')).toEqual([9])
  })

  test('does not take one key’s value for another’s', async () => {
    await (await open()).write({ puts: [['a', bytes(1)], ['b', bytes(2)]] }) // biome-ignore format: one line
    const damaged = await behindItsBack(async (level) => level.put('a', await level.get('b')))
    await expect(damaged.get('a')).rejects.toBeInstanceOf(DamagedValueError)
  })

  test('that cannot be opened says so, and is left as it is', async () => {
    await (await open()).write({ puts: [['a', bytes(1)]] })
    await store?.close()
    const current = join(directory, 'CURRENT')
    const before = await readFile(current)
    await writeFile(current, 'nonsense')
    await expect(open()).rejects.toMatchObject({ code: 'StoreDamaged', message: expect.stringContaining('repair') })
    await writeFile(current, before)
    expect(await numbersAt(await open(), 'a')).toEqual([1])
  })

  test('writes nothing more after a failed write, and tells it once (trap 21)', async () => {
    const failures: unknown[] = []
    let broken = false
    const files = {
      ...nodeFiles,
      syncDirectory: (path: string) => (broken ? Promise.reject(new Error('EIO')) : nodeFiles.syncDirectory(path)),
    }
    const first = await open({ files, onFailure: (error) => failures.push(error) })
    broken = true
    await expect(first.write({ puts: [['a', bytes(1)]] })).rejects.toBeInstanceOf(StorageFailedError)
    broken = false
    await expect(first.write({ puts: [['a', bytes(2)]] })).rejects.toBeInstanceOf(StorageFailedError)
    await expect(first.get('a')).rejects.toBeInstanceOf(StorageFailedError)
    expect(failures).toHaveLength(1)
  })
})

test('the disk gets the place of superseded checkpoints back', { timeout: 60_000 }, async () => {
  const checkpoints = await Checkpoints.open(await open())
  const chunk = Buffer.alloc(256 * 1024)
  const checkpointBytes = 20 * chunk.length
  for (let index = 1; index <= 50; index++) {
    const writer = checkpoints.begin(markAt(index), 'local')
    for (let n = 0; n < 20; n++) await writer.put(incompressible(chunk, index * 1_000 + n))
    await writer.commit()
  }
  // While the store is in use, not only after the next start.
  await eventually(async () => (await sizeOf(directory)) < 2 * checkpointBytes)
  expect(checkpoints.current?.mark.index).toBe(50)
  for (let n = 0; n < 20; n++) {
    const found = (await checkpoints.readChunk(50, n)) as Uint8Array
    expect(incompressible(chunk, 50_000 + n).equals(found)).toBe(true)
  }
})

/** Fills the buffer with the output of a small generator. */
function incompressible(target: Buffer, seed: number): Buffer {
  let state = seed
  for (let at = 0; at < target.length; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    target.writeInt32LE(Math.imul(state ^ (state >>> 15), 0x2c1b3c6d), at)
  }
  return target
}
