import { beforeEach, describe, expect, test } from 'vitest'
import { Identity, type IdentityOptions } from '../../node/storage/identity.ts'
import type { SimulatedStore } from '../sim/simulated-store.ts'
import { simulatedStore, withStore } from './support/store.ts'

let disk: SimulatedStore
let minted: number
let wall: number

beforeEach(() => {
  disk = simulatedStore()
  minted = 0
  wall = 1_000
})

type Overrides = Partial<Omit<IdentityOptions, 'store'>>

/** One start of a node. */
function start<T>(use: (identity: Identity) => Promise<T>, overrides: Overrides = {}): Promise<T> {
  return withStore(disk, async (store) => {
    const identity = await Identity.open({
      store,
      nodeId: 'n1',
      logExists: minted > 0,
      readLogIdentity: async () => undefined,
      mintIncarnation: () => `life-${++minted}`,
      wallNow: () => wall,
      ...overrides,
    })
    await identity.begin()
    return use(identity)
  })
}

const bootId = (identity: Identity): Promise<number> => Promise.resolve(identity.bootId)
const incarnation = (identity: Identity): Promise<string> => Promise.resolve(identity.incarnation)

describe('an identity', () => {
  test('mints its incarnation once, when the directory is new', async () => {
    expect(await start(async ({ origin }) => origin)).toBe('minted')
    expect(await start(async ({ origin }) => origin)).toBe('stored')
    expect(await start(incarnation)).toBe('life-1')
    expect(minted).toBe(1)
  })

  test('is another one after the directory was emptied (trap 19)', async () => {
    await start(incarnation)
    disk.lose()
    expect(await start(incarnation, { logExists: false })).toBe('life-2')
  })

  test('learns its cluster once', async () => {
    await start(async (identity) => {
      expect(identity.clusterId).toBeUndefined()
      await Promise.all([identity.setClusterId('c1'), identity.setClusterId('c1')])
    })
    await start(async (identity) => {
      expect(identity.clusterId).toBe('c1')
      await expect(identity.setClusterId('c2')).rejects.toMatchObject({ code: 'ForeignDirectory' })
      expect(identity.clusterId).toBe('c1')
    })
  })

  test('remembers that a membership has listed it, not merely that it knows a cluster', async () => {
    await start(async (identity) => {
      await identity.setClusterId('c1')
      expect(identity.joined).toBe(false)
      await identity.markJoined()
      expect(identity.joined).toBe(true)
    })
    expect(await start(async ({ joined }) => joined)).toBe(true)
  })

  test('gives boot ids that rise with every start and are not below the wall clock', async () => {
    expect(await start(bootId)).toBe(1_000)
    expect(await start(bootId)).toBe(1_001)
    wall = 5_000.7
    expect(await start(bootId)).toBe(5_000)
    wall = 10
    expect(await start(bootId)).toBe(5_001)
  })

  test('keeps all of several changes at once', async () => {
    await start((identity) => Promise.all([identity.setClusterId('c1'), identity.markLogBegun()]))
    await start(async (identity) => {
      expect(identity).toMatchObject({ clusterId: 'c1', logBegun: true, nodeId: 'n1', bootId: 1_001 })
    })
  })

  test('that could not be changed for one reason can still be changed', async () => {
    await start(async (identity) => {
      await identity.setClusterId('c1')
      await expect(identity.setClusterId('c2')).rejects.toThrow('belongs to cluster c1')
      await identity.markLogBegun()
      expect(identity.logBegun).toBe(true)
    })
  })

  test('that another store write must come with is written together with it', async () => {
    await withStore(disk, async (store) => {
      const options = {
        store,
        nodeId: 'n1',
        logExists: false,
        readLogIdentity: async () => undefined,
        mintIncarnation: () => 'life-1',
        wallNow: () => wall,
      }
      const writes = disk.writes
      const identity = await Identity.open(options)
      expect(disk.writes).toBe(writes)
      await identity.begin((put) => store.write({ puts: [put, ['beside', Uint8Array.of(1)]] }))
      expect(disk.writes).toBe(writes + 1)
      expect(disk.has('beside')).toBe(true)
    })
  })
})

describe('an identity whose record is gone or rotten', () => {
  const readLogIdentity = async (): Promise<{ nodeId: string; incarnation: string }> => ({
    nodeId: 'n1',
    incarnation: 'life-1',
  })

  test.each([
    ['missing', () => disk.lose()],
    ['damaged', () => disk.rot('identity')],
  ])('(%s) is built again from the log, and its boot id still rises', async (origin, damage) => {
    await start((identity) => identity.setClusterId('c1'))
    damage()
    wall = 2_000
    await start(
      async (identity) => {
        expect(identity).toMatchObject({ origin, incarnation: 'life-1', logBegun: true, clusterId: undefined })
        expect(identity.bootId).toBe(2_000)
      },
      { readLogIdentity },
    )
    expect(await start(async ({ origin }) => origin)).toBe('stored')
    expect(minted).toBe(1)
  })

  test.each([
    ['IdentityMissing', () => disk.lose()],
    ['IdentityDamaged', () => disk.rot('identity')],
  ])('is refused with %s when the log does not tell whose it is, and stays so', async (code, damage) => {
    await start(incarnation)
    damage()
    await expect(start(incarnation)).rejects.toMatchObject({ code, message: expect.stringContaining('meshmq repair') })
    await expect(start(incarnation)).rejects.toMatchObject({ code })
    expect(minted).toBe(1)
  })

  test('is not minted again because the log is gone, too', async () => {
    await start(incarnation)
    disk.rot('identity')
    await expect(start(incarnation, { logExists: false })).rejects.toMatchObject({ code: 'IdentityDamaged' })
    expect(minted).toBe(1)
  })

  test('is refused when the log belongs to another node', async () => {
    await start(incarnation)
    disk.lose()
    const foreign = { readLogIdentity: async () => ({ nodeId: 'n2', incarnation: 'life-9' }) }
    await expect(start(incarnation, foreign)).rejects.toMatchObject({ code: 'ForeignDirectory' })
    expect(disk.has('identity')).toBe(false)
  })
})

describe('a directory is refused', () => {
  test('when it belongs to another node', async () => {
    await start(incarnation)
    await expect(start(incarnation, { nodeId: 'n2' })).rejects.toMatchObject({
      code: 'ForeignDirectory',
      message: expect.stringContaining('belongs to node n1, not to n2'),
    })
    expect(await start(incarnation)).toBe('life-1')
  })

  test('when a later version of the program wrote its identity', async () => {
    await withStore(disk, (store) =>
      store.write({ puts: [['identity', new TextEncoder().encode('{"format":99,"nodeId":"n1"}')]] }),
    )
    await expect(start(incarnation)).rejects.toMatchObject({ code: 'UnknownFormat' })
  })
})
