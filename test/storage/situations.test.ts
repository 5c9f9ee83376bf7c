import { describe, expect, test } from 'vitest'
import type { NodeStorage } from '../../node/storage/open-storage.ts'
import { lastEntry, StorageWorld } from './support/storage-world.ts'
import { group } from './support/world.ts'

/** What was done to the store of a stopped node. */
const stores = {
  ok: () => {},
  missing: ({ store }) => store.lose(),
  'damaged identity': ({ store }) => store.rot('identity'),
  'damaged checkpoint': ({ store }) =>
    store.rot([...store.image().keys()].find((key) => key.startsWith('chunk/')) as string),
  'damaged checkpoint record': ({ store }) => store.rot('checkpoint'),
  'without checkpoint': (world) => world.forgetCheckpoint(),
  older: async (world) => {
    await world.forgetCheckpoint()
    await world.putCheckpoint(5, 'local')
  },
  'without a checkpoint that vanished': (world) => world.vanish('checkpoint'),
  'without a table of contents': (world) => world.vanish('contents'),
  'with a rotten table of contents': ({ store }) => store.rot('contents'),
} satisfies Record<string, (world: StorageWorld) => void | Promise<void>>

/** What was done to its log. Before that, the store gets a checkpoint if one is to be ahead of the log. */
const logs = {
  ok: () => {},
  torn: (world) => world.tear(),
  'damaged above': (world) => world.damageEntry(15),
  'damaged below': (world) => world.damageEntry(5),
  missing: (world) => world.loseLog(),
  'behind a local checkpoint': (world) => world.putCheckpoint(30, 'local'),
  'behind an installed checkpoint': (world) => world.putCheckpoint(30, 'installed'),
  'of another term than a local checkpoint': (world) => world.putCheckpoint(15, 'local', 2),
  'of another term than an installed checkpoint': (world) => world.putCheckpoint(15, 'installed', 2),
} satisfies Record<string, (world: StorageWorld) => void | Promise<void>>

/** The log that comes out, as first–last; with `?` in doubt. Or the code of the refusal. */
type Outcome = string

/**
 * Whole log: it holds 1 to 20, and the checkpoint is at 10. Compacted: it holds 11 to 20.
 * One row for each situation: what comes out for one of three voters, and for the only voter.
 */
const table: readonly [
  begins: 'whole' | 'compacted',
  store: keyof typeof stores,
  log: keyof typeof logs,
  three: Outcome,
  one: Outcome,
][] = [
  ['whole', 'ok', 'ok', '1–20', '1–20'],
  ['whole', 'ok', 'torn', '1–20 ?', '1–20 ?'],
  ['whole', 'ok', 'damaged above', '1–14 ?', 'DamagedLog'],
  ['whole', 'ok', 'damaged below', '6–20', 'DamagedLog'],
  ['whole', 'ok', 'missing', '11–10 ?', 'DamagedLog'],
  ['whole', 'ok', 'behind a local checkpoint', '31–30 ?', 'DamagedLog'],
  ['whole', 'ok', 'behind an installed checkpoint', '31–30', '31–30'],
  ['whole', 'ok', 'of another term than a local checkpoint', '16–15 ?', 'DamagedLog'],
  ['whole', 'ok', 'of another term than an installed checkpoint', '16–15', '16–15'],

  ['whole', 'missing', 'ok', '1–20 ?', '1–20 ?'],
  ['whole', 'missing', 'torn', '1–20 ?', '1–20 ?'],
  ['whole', 'missing', 'damaged above', '1–14 ?', 'DamagedLog'],
  ['whole', 'missing', 'damaged below', '1–4 ?', 'DamagedLog'],
  ['whole', 'missing', 'missing', '1–0', '1–0'],

  ['whole', 'damaged identity', 'ok', '1–20 ?', '1–20 ?'],
  ['whole', 'damaged identity', 'torn', '1–20 ?', '1–20 ?'],
  ['whole', 'damaged identity', 'damaged above', '1–14 ?', 'DamagedLog'],
  ['whole', 'damaged identity', 'damaged below', '6–20 ?', 'DamagedLog'],
  ['whole', 'damaged identity', 'missing', 'IdentityDamaged', 'IdentityDamaged'],
  ['whole', 'damaged identity', 'behind a local checkpoint', '31–30 ?', 'DamagedLog'],
  ['whole', 'damaged identity', 'behind an installed checkpoint', '31–30 ?', '31–30 ?'],

  ['whole', 'damaged checkpoint', 'ok', '1–20', '1–20'],
  ['whole', 'damaged checkpoint', 'torn', '1–20 ?', '1–20 ?'],
  ['whole', 'damaged checkpoint', 'damaged above', '1–14 ?', 'DamagedLog'],
  ['whole', 'damaged checkpoint', 'damaged below', '1–4 ?', 'DamagedLog'],
  ['whole', 'damaged checkpoint', 'missing', '1–0 ?', 'DamagedLog'],
  ['whole', 'damaged checkpoint record', 'ok', '1–20', '1–20'],
  ['whole', 'without checkpoint', 'ok', '1–20', '1–20'],
  ['whole', 'older', 'ok', '1–20', '1–20'],

  ['whole', 'without a checkpoint that vanished', 'ok', '1–20', '1–20'],
  // Nobody can tell whether there was a doubt.
  ['whole', 'without a table of contents', 'ok', '1–20 ?', '1–20 ?'],
  ['whole', 'with a rotten table of contents', 'ok', '1–20 ?', '1–20 ?'],

  ['compacted', 'ok', 'ok', '11–20', '11–20'],
  ['compacted', 'without a checkpoint that vanished', 'ok', '1–0 ?', 'DamagedLog'],
  ['compacted', 'without a table of contents', 'ok', '11–20 ?', '11–20 ?'],
  ['compacted', 'ok', 'torn', '11–20 ?', '11–20 ?'],
  ['compacted', 'ok', 'damaged above', '11–14 ?', 'DamagedLog'],
  ['compacted', 'ok', 'missing', '11–10 ?', 'DamagedLog'],
  ['compacted', 'ok', 'behind a local checkpoint', '31–30 ?', 'DamagedLog'],
  ['compacted', 'ok', 'behind an installed checkpoint', '31–30', '31–30'],
  ['compacted', 'damaged identity', 'ok', '11–20 ?', '11–20 ?'],
  ['compacted', 'missing', 'ok', '1–0 ?', 'DamagedLog'],
  ['compacted', 'missing', 'damaged above', '1–0 ?', 'DamagedLog'],
  ['compacted', 'damaged checkpoint', 'ok', '1–0 ?', 'DamagedLog'],
  ['compacted', 'damaged checkpoint', 'torn', '1–0 ?', 'DamagedLog'],
  ['compacted', 'damaged checkpoint', 'missing', '1–0 ?', 'DamagedLog'],
  ['compacted', 'damaged checkpoint record', 'ok', '1–0 ?', 'DamagedLog'],
  ['compacted', 'without checkpoint', 'ok', '1–0 ?', 'DamagedLog'],
  ['compacted', 'older', 'ok', '6–5 ?', 'DamagedLog'],
  ['compacted', 'older', 'missing', '6–5 ?', 'DamagedLog'],
]

async function outcomeOf(world: StorageWorld, alone: boolean): Promise<Outcome> {
  try {
    return await world.with(async (storage) => describeStorage(storage), { alone })
  } catch (error) {
    return (error as { code: string }).code
  }
}

function describeStorage({ wal, doubt }: NodeStorage): string {
  const { firstIndex, lastIndex } = wal.group(group).recovered()
  return `${firstIndex}–${lastIndex}${doubt === undefined ? '' : ' ?'}`
}

/** Whatever the log says that it holds is what was once written. */
async function expectTrue(world: StorageWorld): Promise<void> {
  await world.with(async ({ wal }) => {
    const log = wal.group(group)
    const { firstIndex, lastIndex } = log.recovered()
    for (let index = firstIndex; index <= Math.min(lastIndex, lastEntry); index++) {
      const [found] = await log.read(index, 1)
      expect(Buffer.from(found?.data as Uint8Array).equals(world.entry(index).data)).toBe(true)
    }
  })
}

describe('a node that finds', () => {
  for (const [begins, store, log, ...outcomes] of table) {
    for (const [i, voters] of [3, 1].entries()) {
      const expected = outcomes[i] as Outcome
      const who = voters === 1 ? 'the only voter' : 'one of three'
      test(`its store ${store} and its log ${log} (${begins}; ${who}) comes out with ${expected}`, async () => {
        const world = new StorageWorld()
        await world.prepare({ voters, compacted: begins === 'compacted' })
        await stores[store](world)
        await logs[log](world)
        expect(await outcomeOf(world, voters === 1)).toBe(expected)
        // A second start finds the same.
        expect(await outcomeOf(world, voters === 1)).toBe(expected)
        if (expected.includes('–')) await expectTrue(world)
      })
    }
  }
})

describe('a start that refuses', () => {
  test('has changed nothing of the log', async () => {
    const world = new StorageWorld()
    await world.prepare({ voters: 1, compacted: false })
    await world.damageEntry(15)
    const before = await world.logImage()
    expect(await outcomeOf(world, false)).toBe('DamagedLog')
    expect(await world.logImage()).toEqual(before)
  })

  test('names the command that accepts the loss, after which the node starts with what is left', async () => {
    const world = new StorageWorld()
    await world.prepare({ voters: 1, compacted: false })
    await world.damageEntry(15)
    await expect(world.open()).rejects.toThrow(/meshmq repair/)
    expect(await world.with(async (storage) => describeStorage(storage), { acceptLoss: true })).toBe('1–14 ?')
    expect(await outcomeOf(world, true)).toBe('1–14 ?')
  })
})

describe('a doubt', () => {
  test('has the number of the boot at which it arose, and says why', async () => {
    const world = new StorageWorld()
    await world.prepare({ voters: 3, compacted: false })
    await world.damageEntry(15)
    world.wall = 7_000
    const first = await world.with(async ({ doubt, bootId }) => ({ doubt, bootId }))
    expect(first.doubt).toEqual({ number: first.bootId, at: 7_000, reason: expect.stringContaining('.wal') })
    expect(await world.with(async ({ doubt }) => doubt)).toEqual(first.doubt)
  })

  test('is over when it is cleared by its number, and not by another', async () => {
    const world = new StorageWorld()
    await world.prepare({ voters: 3, compacted: false })
    await world.damageEntry(15)
    await world.with(async ({ clearDoubt, doubt }) => clearDoubt((doubt?.number as number) - 1))
    await world.with(async (storage) => {
      const number = storage.doubt?.number as number
      await storage.clearDoubt(number)
      expect(storage.doubt).toBeUndefined()
    })
    expect(await world.with(async ({ doubt }) => doubt)).toBeUndefined()
  })

  test('whose mark rotted is in force again', async () => {
    const world = new StorageWorld()
    await world.prepare({ voters: 3, compacted: false })
    await world.damageEntry(15)
    await world.with(async () => {})
    world.store.rot('doubt')
    expect(await world.with(async ({ doubt }) => doubt?.reason)).toContain('record of the store')
  })

  test.each(['doubt', 'identity'])(
    'is in force again after its mark, or who it is about, has vanished: %s',
    async (key) => {
      const world = new StorageWorld()
      await world.prepare({ voters: 3, compacted: false })
      await world.damageEntry(15)
      await world.with(async () => {})
      world.vanish(key)
      expect(await world.with(async ({ doubt }) => doubt?.reason)).toContain('record of the store')
    },
  )

  test('has a higher number than any before it, also when the store is lost and the clock was set back', async () => {
    const world = new StorageWorld()
    await world.prepare({ voters: 3, compacted: false })
    await world.damageEntry(15)
    world.wall = 7_000
    const numberOf = () => world.with(async ({ doubt }) => doubt?.number as number)
    const first = await numberOf()
    world.wall = 50
    world.store.lose()
    const second = await numberOf()
    expect(second).toBeGreaterThan(first)
    // Neither tells: the clock alone is left.
    world.store.lose()
    world.world.files.lose('/data/boot')
    expect(await numberOf()).toBeLessThan(second)
  })

  test('is durable before the log is cut, wherever the power goes', async () => {
    const damaged = async (seed: number): Promise<StorageWorld> => {
      const world = new StorageWorld(seed)
      await world.prepare({ voters: 3, compacted: false })
      await world.damageEntry(15)
      return world
    }
    const unhurt = await damaged(0)
    const { scheduler } = unhurt.world
    const startedAt = scheduler.now()
    const wholeMs = await unhurt.open().then(() => scheduler.now() - startedAt)
    const outcomes = new Set<string>()
    for (let i = 0; i < 60; i++) {
      const world = await damaged(i)
      const before = await world.logImage()
      await world.openAndCrash((i * wholeMs) / 60)
      const isCut = !equal(before, await world.logImage())
      const isMarked = world.store.has('doubt')
      outcomes.add(`${isMarked ? 'marked' : ''} ${isCut ? 'cut' : ''}`)
      expect(await outcomeOf(world, false)).toBe('1–14 ?')
    }
    expect([...outcomes]).toEqual(expect.arrayContaining([' ', 'marked cut']))
    expect([...outcomes]).not.toContain(' cut')
  })
})

describe('a node beside the only voter', () => {
  test('does not refuse to start: it is not that voter', async () => {
    const world = new StorageWorld()
    await world.with(async () => {}, { mintIncarnation: () => 'life-9' })
    await world.prepare({ voters: 1, compacted: false })
    await world.damageEntry(15)
    expect(await outcomeOf(world, false)).toBe('1–14 ?')
  })
})

test('an identity that had to be built again learns its cluster from the checkpoint', async () => {
  const world = new StorageWorld()
  await world.prepare({ voters: 3, compacted: true })
  world.store.rot('identity')
  const found = await world.with(async ({ identity }) => [identity.origin, identity.incarnation, identity.clusterId])
  expect(found).toEqual(['damaged', 'life-1', 'c1'])
  expect(await world.with(async ({ identity }) => [identity.origin, identity.clusterId])).toEqual(['stored', 'c1'])
})

describe('an identity that had to be built again, and has no checkpoint to tell its cluster,', () => {
  const isFounded = (world: StorageWorld) => world.with(async ({ identity }) => identity.founded)

  test('knows by the log that is lost with it that there was one, at each later start too, so that it founds no other', async () => {
    const world = new StorageWorld()
    await world.prepare({ voters: 3, compacted: true })
    world.store.lose()
    expect(await outcomeOf(world, false)).toBe('1–0 ?')
    expect([await isFounded(world), await isFounded(world)]).toEqual([true, true])
  })

  test('knows it of a log whose first entry is damaged, wherever the power goes', async () => {
    for (let ms = 0; ms < 30; ms++) {
      const world = new StorageWorld()
      await world.prepare({ voters: 3, compacted: false })
      const { path, offset } = await world.find('c1')
      const bytes = world.world.files.contents(path)
      bytes[offset] = (bytes[offset] as number) ^ 1
      world.store.lose()
      await world.openAndCrash(ms)
      expect(await outcomeOf(world, false)).toBe('1–0 ?')
      expect([ms, await isFounded(world)]).toEqual([ms, true])
    }
  })

  test('takes part in the founding of its cluster if nothing was ever in its log', async () => {
    const world = new StorageWorld()
    await world.with(async () => {})
    world.store.lose()
    expect(await outcomeOf(world, false)).toBe('1–0 ?')
    expect(await isFounded(world)).toBe(false)
  })
})

test('a checkpoint of another cluster is refused', async () => {
  const world = new StorageWorld()
  await world.prepare({ voters: 3, compacted: false })
  await world.with(async () => {})
  await world.rewrite('identity', (text) => text.replace('"c1"', '"c2"'))
  await expect(world.open()).rejects.toMatchObject({ code: 'ForeignDirectory' })
})

test('a data directory of another node is refused, store or not', async () => {
  const world = new StorageWorld()
  await world.prepare({ voters: 3, compacted: false })
  await expect(world.open({ nodeId: 'n2' })).rejects.toMatchObject({ code: 'ForeignDirectory' })
  world.store.lose()
  await expect(world.open({ nodeId: 'n2' })).rejects.toMatchObject({ code: 'ForeignDirectory' })
})

test('an installed checkpoint of which the log was not told yet is the end of the log, without doubt, also after a second crash', async () => {
  const world = new StorageWorld()
  await world.prepare({ voters: 3, compacted: false })
  await world.putCheckpoint(30, 'installed')
  await world.openAndCrash(3)
  expect(await outcomeOf(world, false)).toBe('31–30')
  await world.with(async ({ wal }) => {
    const entry = { ...world.entry(31), term: 1 }
    await wal.group(group).append({ entries: [entry] })
  })
  expect(await outcomeOf(world, false)).toBe('31–31')
})

test('tells the free bytes of the disk that it is on', async () => {
  const world = new StorageWorld()
  world.world.files.free = 12_345
  expect(await world.with(({ freeBytes }) => freeBytes())).toBe(12_345)
})

function equal(a: ReadonlyMap<string, Buffer>, b: ReadonlyMap<string, Buffer>): boolean {
  return a.size === b.size && [...a].every(([path, bytes]) => b.get(path)?.equals(bytes) === true)
}
