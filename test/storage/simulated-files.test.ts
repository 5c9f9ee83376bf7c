/** The simulated disk is a judge in many tests: here it is judged itself. */
import { describe, expect, test } from 'vitest'
import { World } from './support/world.ts'

function bytes(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value)
}

async function makeFile(world: World, path: string, content: Uint8Array): Promise<void> {
  const file = await world.settle(world.files.open(path, { create: true }))
  await world.settle(file.writeDurable([content], 0))
  await world.settle(world.files.syncDirectory('/'))
}

describe('a crash', () => {
  test('never loses a write that resolved in a directory that was synced', async () => {
    for (let seed = 0; seed < 50; seed++) {
      const world = new World(seed)
      await makeFile(world, '/a', bytes(2_000, 1))
      world.files.crash()
      expect(Buffer.from(world.files.contents('/a')).equals(bytes(2_000, 1))).toBe(true)
    }
  })

  test('leaves old, new and torn sectors of a write under way, and nothing outside of it changes', async () => {
    const seen = { old: 0, new: 0, torn: 0, all: 0, none: 0 }
    for (let seed = 0; seed < 200; seed++) {
      const world = new World(seed)
      await makeFile(world, '/a', bytes(5_120, 1))
      const file = await world.settle(world.files.open('/a'))
      void file.writeDurable([bytes(1_000, 2), bytes(2_072, 2)], 1_024)
      world.files.crash()
      const content = world.files.contents('/a')
      expect(content.subarray(0, 1_024).every((byte) => byte === 1)).toBe(true)
      expect(content.subarray(4_096).every((byte) => byte === 1)).toBe(true)
      const sectors = Array.from({ length: 6 }, (_, i) => content.subarray(1_024 + i * 512, 1_536 + i * 512))
      const kinds = sectors.map((sector) => (new Set(sector).size === 2 ? 'torn' : sector[0] === 1 ? 'old' : 'new'))
      for (const kind of kinds) seen[kind as 'old' | 'new' | 'torn']++
      if (kinds.every((kind) => kind === 'new')) seen.all++
      if (kinds.every((kind) => kind === 'old')) seen.none++
      const lost = content.subarray(1_024, 4_096).filter((byte) => byte === 1).length
      expect(world.files.counts.bytesLost).toBe(lost)
    }
    for (const [kind, count] of Object.entries(seen)) expect(count, kind).toBeGreaterThan(5)
  })

  test('may undo what was not synced in a directory, and nothing else', async () => {
    const survived = { made: 0, removed: 0 }
    for (let seed = 0; seed < 60; seed++) {
      const world = new World(seed)
      await makeFile(world, '/old', bytes(10, 1))
      await makeFile(world, '/kept', bytes(10, 1))
      const file = await world.settle(world.files.open('/new', { create: true }))
      await world.settle(file.writeDurable([bytes(10, 3)], 0))
      await world.settle(world.files.remove('/old'))
      expect(await world.settle(world.files.list('/'))).toEqual(['kept', 'new'])
      world.files.crash()
      const names = await world.settle(world.files.list('/'))
      expect(names).toContain('kept')
      if (names.includes('new')) survived.made++
      if (!names.includes('old')) survived.removed++
    }
    for (const count of Object.values(survived)) {
      expect(count).toBeGreaterThan(5)
      expect(count).toBeLessThan(55)
    }
  })

  test('moves a file as a whole or not at all', async () => {
    const outcomes = new Set<string>()
    for (let seed = 0; seed < 40; seed++) {
      const world = new World(seed)
      await makeFile(world, '/a', bytes(3, 1))
      await world.settle(world.files.rename('/a', '/b'))
      world.files.crash()
      outcomes.add((await world.settle(world.files.list('/'))).join())
    }
    expect(outcomes).toEqual(new Set(['a', 'b']))
  })

  test('leaves whoever was waiting, or still holds a file, without an answer', async () => {
    const world = new World()
    await makeFile(world, '/a', bytes(10, 1))
    const file = await world.settle(world.files.open('/a'))
    let answers = 0
    const count = (): void => void answers++
    file.writeDurable([bytes(10, 2)], 0).then(count, count)
    world.files.list('/').then(count, count)
    world.files.crash()
    for (const late of [file.writeDurable([bytes(10, 2)], 0), file.read(bytes(1, 0), 0), file.size(), file.close()]) {
      late.then(count, count)
    }
    await world.pass(10_000)
    expect(answers).toBe(0)
    expect(Buffer.from(world.files.contents('/a')).includes(0)).toBe(false)
  })
})

describe('a failure', () => {
  test('hits the next operation of its kind alone, and a failing write may leave a part', async () => {
    const parts = new Set<number>()
    for (let seed = 0; seed < 40; seed++) {
      const world = new World(seed)
      await makeFile(world, '/a', bytes(1_024, 1))
      const file = await world.settle(world.files.open('/a'))
      world.files.failNext('write', 'ENOSPC')
      await expect(world.settle(file.writeDurable([bytes(1_024, 2)], 0))).rejects.toMatchObject({ code: 'ENOSPC' })
      parts.add(world.files.contents('/a').filter((byte) => byte === 2).length)
      await world.settle(file.writeDurable([bytes(1_024, 3)], 0))
      expect(world.files.contents('/a').every((byte) => byte === 3)).toBe(true)
    }
    expect(parts.size).toBeGreaterThan(2)
  })
})

test('the same seed gives the same history', async () => {
  const history = async (): Promise<string> => {
    const world = new World(42)
    await makeFile(world, '/a', bytes(4_096, 1))
    const file = await world.settle(world.files.open('/a'))
    void file.writeDurable([bytes(4_096, 2)], 0)
    await world.pass(0.1)
    world.files.crash()
    return `${world.scheduler.now()} ${Buffer.from(world.files.contents('/a')).toString('hex')}`
  }
  expect(await history()).toBe(await history())
})

test('files are opened, made and removed as on a real disk', async () => {
  const world = new World()
  const { files } = world
  await expect(world.settle(files.open('/a'))).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(world.settle(files.open('/none/a', { create: true }))).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(world.settle(files.list('/none'))).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(world.settle(files.makeDirectory('/none/b'))).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(world.settle(files.remove('/a'))).rejects.toMatchObject({ code: 'ENOENT' })
  await world.settle(files.makeDirectory('/b'))
  await expect(world.settle(files.makeDirectory('/b'))).rejects.toMatchObject({ code: 'EEXIST' })
  const file = await world.settle(files.open('/b/c', { create: true }))
  await expect(world.settle(files.open('/b/c', { create: true }))).rejects.toMatchObject({ code: 'EEXIST' })
  await world.settle(file.writeDurable([bytes(3, 7)], 4))
  const buffer = bytes(10, 9)
  expect(await world.settle(file.read(buffer, 2))).toBe(5)
  expect([...buffer]).toEqual([0, 0, 7, 7, 7, 9, 9, 9, 9, 9])
  expect(await world.settle(files.list('/'))).toEqual(['b'])
})
