import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Identity, type IdentityOptions } from '../../node/storage/identity.ts'
import { nodeFiles } from '../../node/storage/node-files.ts'

let folder: string
let minted: number
let wall: number

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'meshmq-identity-'))
  minted = 0
  wall = 1_000
})

afterEach(() => rm(folder, { recursive: true }))

function options(overrides: Partial<IdentityOptions> = {}): IdentityOptions {
  return {
    files: nodeFiles,
    directory: join(folder, 'data', 'identity'),
    nodeId: 'n1',
    logExists: minted > 0,
    mintIncarnation: () => `life-${++minted}`,
    wallNow: () => wall,
    ...overrides,
  }
}

async function withIdentity<T>(
  use: (identity: Identity) => Promise<T>,
  overrides?: Partial<IdentityOptions>,
): Promise<T> {
  const identity = await Identity.open(options(overrides))
  try {
    return await use(identity)
  } finally {
    await identity.close()
  }
}

describe('an identity', () => {
  test('mints its incarnation once, when the directory is new', async () => {
    expect(await withIdentity(async ({ incarnation }) => incarnation)).toBe('life-1')
    expect(await withIdentity(async ({ incarnation }) => incarnation)).toBe('life-1')
    expect(minted).toBe(1)
  })

  test('is another one after the directory was emptied (trap 19)', async () => {
    await withIdentity(async () => {})
    await rm(join(folder, 'data'), { recursive: true })
    expect(await withIdentity(async ({ incarnation }) => incarnation, { logExists: false })).toBe('life-2')
  })

  test('learns its cluster once', async () => {
    await withIdentity(async (identity) => {
      expect(identity.clusterId).toBeUndefined()
      await Promise.all([identity.setClusterId('c1'), identity.setClusterId('c1')])
    })
    await withIdentity(async (identity) => {
      expect(identity.clusterId).toBe('c1')
      await expect(identity.setClusterId('c2')).rejects.toMatchObject({ code: 'ForeignDirectory' })
      expect(identity.clusterId).toBe('c1')
    })
  })

  test('gives boot ids that rise with every start and are not below the wall clock', async () => {
    const boot = (): Promise<number> => withIdentity((identity) => identity.nextBootId())
    expect(await boot()).toBe(1_000)
    expect(await boot()).toBe(1_001)
    wall = 5_000.7
    expect(await boot()).toBe(5_000)
    wall = 10
    expect(await boot()).toBe(5_001)
  })

  test('keeps all of several changes at once', async () => {
    await withIdentity(async (identity) => {
      await Promise.all([
        identity.nextBootId(),
        identity.setClusterId('c1'),
        identity.markLogBegun(),
        identity.nextBootId(),
      ])
    })
    await withIdentity(async (identity) => {
      expect(identity).toMatchObject({ clusterId: 'c1', logBegun: true, nodeId: 'n1' })
      expect(await identity.nextBootId()).toBe(1_002)
    })
  })

  test('that could not be changed for one reason can still be changed', async () => {
    await withIdentity(async (identity) => {
      await identity.setClusterId('c1')
      await expect(identity.setClusterId('c2')).rejects.toThrow('belongs to cluster c1')
      expect(await identity.nextBootId()).toBe(1_000)
    })
  })
})

describe('a directory is refused', () => {
  test('while another process, or another node of this one, uses it', async () => {
    await withIdentity(async () => {
      await expect(Identity.open(options())).rejects.toMatchObject({ code: 'DirectoryInUse' })
    })
    await withIdentity(async () => {})
  })

  test('when it belongs to another node', async () => {
    await withIdentity(async () => {})
    await expect(Identity.open(options({ nodeId: 'n2' }))).rejects.toMatchObject({
      code: 'ForeignDirectory',
      message: expect.stringContaining('belongs to node n1, not to n2'),
    })
    await withIdentity(async () => {})
  })

  test('when there is a log but no identity, and stays so', async () => {
    await expect(Identity.open(options({ logExists: true }))).rejects.toMatchObject({ code: 'IdentityMissing' })
    await expect(Identity.open(options({ logExists: true }))).rejects.toMatchObject({ code: 'IdentityMissing' })
    expect(minted).toBe(0)
  })

  test('when the log that it had is gone', async () => {
    await withIdentity((identity) => identity.markLogBegun())
    await expect(Identity.open(options({ logExists: false }))).rejects.toMatchObject({ code: 'LogMissing' })
  })

  test.each([
    ['a flipped bit', (value: string) => value.replace('life-1', 'life-0')],
    ['no checksum', () => '{}'],
    ['nothing', () => ''],
  ])('when the identity holds %s', async (_, damage) => {
    await withIdentity(async () => {})
    const store = new Level(options().directory)
    await store.put('identity', damage((await store.get('identity')) as string))
    await store.close()
    await expect(Identity.open(options())).rejects.toMatchObject({ code: 'IdentityDamaged' })
  })
})
