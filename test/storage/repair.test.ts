import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../node/clock.ts'
import { LevelStore } from '../../node/storage/level-store.ts'
import { nodeFiles } from '../../node/storage/node-files.ts'
import { type NodeStorage, openStorage } from '../../node/storage/open-storage.ts'
import { type RepairReport, repair } from '../../node/storage/repair.ts'
import { type Entry, EntryType } from '../../raft/index.ts'
import { markAt } from './support/store.ts'
import { group } from './support/world.ts'

const segmentBytes = 64 * 1024
let dataDir: string
let minted: number

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'meshmq-repair-'))
  minted = 0
})

afterEach(() => rm(dataDir, { recursive: true }))

const openStore = (directory: string) => LevelStore.open({ files: nodeFiles, directory })

async function opened<T>(use: (storage: NodeStorage) => Promise<T>, alone = false): Promise<T> {
  const storage = await openStorage({
    files: nodeFiles,
    dataDir,
    nodeId: 'n1',
    openStore,
    group,
    alone,
    clock: systemClock,
    segmentBytes,
    mintIncarnation: () => `life-${++minted}`,
    wallNow: () => 1_000,
  })
  try {
    return await use(storage)
  } finally {
    await storage.close()
  }
}

function look(acceptLoss = false): Promise<RepairReport> {
  const wallNow = () => 2_000
  return repair({ files: nodeFiles, dataDir, openStore, group, clock: systemClock, wallNow, segmentBytes, acceptLoss })
}

/** A stopped node with entries 1 to 9 and a checkpoint, if wanted. */
async function prepare(voters: number, checkpointAt?: number): Promise<void> {
  await opened(async ({ wal, checkpoints }) => {
    const log = wal.group(group)
    for (let index = 1; index <= 9; index++) {
      await log.append({ hardState: { term: 1, vote: 'n1', commit: index - 1 }, entries: [entry(index, voters)] })
    }
    if (checkpointAt !== undefined) await checkpoints.begin(markAt(checkpointAt, 1, voters), 'local').commit()
  })
}

function entry(index: number, voters: number): Entry {
  if (index === 1) return markAt(1, 1, voters).membership
  return { index, term: 1, type: EntryType.command, data: Buffer.from(`entry ${index};`) }
}

const logFile = (): string => join(dataDir, 'wal', '0000000000000001.wal')

async function damageEntry(index: number): Promise<void> {
  const bytes = await readFile(logFile())
  const at = bytes.indexOf(`entry ${index};`)
  bytes[at] = (bytes[at] as number) ^ 1
  await writeFile(logFile(), bytes)
}

const lastIndex = () => opened(async ({ wal }) => wal.group(group).recovered().lastIndex)
const doubt = () => opened(async (storage) => storage.doubt)

describe('a repair', () => {
  test('of a node that is well finds nothing, accepts nothing', async () => {
    await prepare(3, 4)
    const report = { nodeId: 'n1', findings: [], meaning: undefined, accepted: false }
    expect(await look()).toEqual(report)
    expect(await look(true)).toEqual(report)
    expect(await opened(async ({ doubt, identity }) => [doubt, identity.incarnation])).toEqual([undefined, 'life-1'])
    expect(await lastIndex()).toBe(9)
  })

  test('is refused while the node runs', async () => {
    await prepare(3)
    await opened(() => expect(look(true)).rejects.toMatchObject({ code: 'DirectoryInUse' }))
  })

  test('of a folder that is not a data directory is refused, and leaves it as it is', async () => {
    await expect(look(true)).rejects.toMatchObject({ code: 'IdentityMissing' })
    expect(await readdir(dataDir)).toEqual([])
  })

  test('of a node that never got further than its store finds nothing', async () => {
    await (await openStore(join(dataDir, 'store'))).close()
    expect(await look(true)).toMatchObject({ nodeId: undefined, findings: [], accepted: false })
  })

  test('only tells, until the loss is accepted', async () => {
    await prepare(1)
    await damageEntry(6)
    const before = await readFile(logFile())
    const report = await look()
    expect(report).toMatchObject({ nodeId: 'n1', accepted: false, meaning: expect.stringContaining('the only voter') })
    expect(report.findings[0]).toContain('0001.wal')
    expect(await readFile(logFile())).toEqual(before)
    await expect(lastIndex()).rejects.toMatchObject({ code: 'DamagedLog' })
  })
})

describe('an accepted loss', () => {
  test('lets the only voter of a cluster go on with what is left, without doubt', async () => {
    await prepare(1)
    await damageEntry(6)
    expect(await look(true)).toMatchObject({ accepted: true })
    expect(await lastIndex()).toBe(5)
    expect(await doubt()).toBeUndefined()
    expect(await look()).toMatchObject({ findings: [], meaning: undefined })
  })

  test('lets one of three count again at once', async () => {
    await prepare(3)
    await damageEntry(6)
    expect(await look()).toMatchObject({ meaning: expect.stringContaining('The other voters hold the data') })
    expect(await doubt()).toBeDefined()
    const report = await look(true)
    expect(report.findings).toEqual([
      expect.stringMatching(/^since 1970-01-01T00:00:01.000Z it is in doubt: .*0001\.wal/),
    ])
    expect(report.accepted).toBe(true)
    expect(await doubt()).toBeUndefined()
    expect(await lastIndex()).toBe(5)
  })

  test('of a store that is damaged as a whole sets it aside, and the identity comes back from the log', async () => {
    await prepare(3)
    await writeFile(join(dataDir, 'store', 'CURRENT'), 'nonsense')
    expect(await look()).toMatchObject({ findings: ['the store is damaged as a whole'], accepted: false })
    expect((await readdir(dataDir)).sort()).toEqual(['boot', 'store', 'wal'])
    expect(await look(true)).toMatchObject({ accepted: true })
    expect(await readdir(join(dataDir, 'lost-2000'))).toEqual(['store'])
    expect(await opened(async ({ identity, doubt }) => [identity.incarnation, doubt?.reason])).toEqual([
      'life-1',
      'the store was gone',
    ])
    expect(await lastIndex()).toBe(9)
  })

  test('of the store of a lone node goes on with the log, and without it starts anew', async () => {
    await prepare(1, 4)
    await writeFile(join(dataDir, 'store', 'CURRENT'), 'nonsense')
    await expect(opened(async () => {}, true)).rejects.toMatchObject({ code: 'StoreDamaged' })
    expect((await readdir(dataDir)).sort()).toEqual(['boot', 'store', 'wal'])
    expect(await look(true)).toMatchObject({ accepted: true })
    const found = await opened(async ({ doubt, identity }) => [doubt, identity.incarnation], true)
    expect(found).toEqual([undefined, 'life-1'])
    expect(await lastIndex()).toBe(9)

    await opened(({ wal }) => wal.group(group).reset({ index: 4, term: 1 }))
    await writeFile(join(dataDir, 'store', 'CURRENT'), 'nonsense')
    expect(await look(true)).toMatchObject({ accepted: true })
    expect(await opened(async ({ identity }) => identity.incarnation, true)).toBe('life-2')
    expect(await readdir(join(dataDir, 'lost-2001'))).toEqual(['store'])
    expect((await readdir(join(dataDir, 'lost-2002'))).sort()).toEqual(['store', 'wal'])
  })

  test('of one of three with nothing left keeps its name and knows its cluster, so that it founds no second one', async () => {
    await prepare(3, 4)
    await opened(({ wal }) => wal.group(group).reset({ index: 4, term: 1 }))
    await rm(join(dataDir, 'store'), { recursive: true })
    expect(await look(true)).toMatchObject({ accepted: true })
    const found = await opened(async ({ doubt, identity }) => [doubt, identity.incarnation, identity.clusterId])
    expect(found).toEqual([undefined, 'life-1', 'c1'])
    expect(await lastIndex()).toBe(0)
  })

  test('of all that the only voter had sets the directory aside, so that it starts anew', async () => {
    await prepare(1, 4)
    await opened(({ wal }) => wal.group(group).reset({ index: 4, term: 1 }))
    await rm(join(dataDir, 'store'), { recursive: true })
    await expect(lastIndex()).rejects.toMatchObject({ code: 'DamagedLog' })
    expect(await look()).toMatchObject({ nodeId: 'n1', meaning: expect.stringContaining('the only voter') })
    expect(await look(true)).toMatchObject({ accepted: true })
    expect((await readdir(join(dataDir, 'lost-2000'))).sort()).toEqual(['store', 'wal'])
    expect(await opened(async ({ identity }) => identity.incarnation)).toBe('life-2')
    expect(await lastIndex()).toBe(0)
  })

  test('of everything that tells whose directory it is makes it a new member', async () => {
    await prepare(3)
    await rm(join(dataDir, 'store'), { recursive: true })
    await rm(join(dataDir, 'wal'), { recursive: true })
    await mkdir(join(dataDir, 'wal'))
    await writeFile(logFile(), Buffer.alloc(segmentBytes))
    await expect(lastIndex()).rejects.toMatchObject({ code: 'IdentityMissing' })
    expect(await look(true)).toMatchObject({ nodeId: undefined, accepted: true })
    expect(await opened(async ({ identity }) => identity.incarnation)).toBe('life-2')
  })
})

describe('a start that finds the store damaged as a whole', () => {
  /** The newest of the files that hold its values. */
  async function damageTable(damage: (bytes: Buffer) => void): Promise<void> {
    const store = join(dataDir, 'store')
    const name = (await readdir(store))
      .filter((file) => file.endsWith('.ldb'))
      .sort()
      .at(-1) as string
    const bytes = await readFile(join(store, name))
    damage(bytes)
    await writeFile(join(store, name), bytes)
  }

  test.each<[string, () => Promise<void>]>([
    ['its first file', () => writeFile(join(dataDir, 'store', 'CURRENT'), 'nonsense')],
    ['its first file, which names another', () => writeFile(join(dataDir, 'store', 'CURRENT'), 'MANIFEST-999999\n')],
    ['the end of a table', () => damageTable((bytes) => void bytes.fill(0xff, bytes.length - 48))],
    ['a block of a table', () => damageTable((bytes) => void bytes.fill(0xff, 0, 40))],
    ['the index of a table', () => damageTable((bytes) => void bytes.fill(0xff, bytes.length - 90, bytes.length - 48))],
  ])('sets it aside, and goes on in doubt: %s', async (_, damage) => {
    await prepare(3, 4)
    // The second start writes what the first one logged into a table.
    await opened(async () => {})
    await damage()
    const found = await opened(async ({ doubt, identity }) => [doubt?.reason, identity.incarnation])
    expect(found).toEqual([expect.stringContaining(`set aside in ${join(dataDir, 'lost-1000')}`), 'life-1'])
    expect((await readdir(dataDir)).sort()).toEqual(['boot', 'lost-1000', 'store', 'wal'])
    expect(await lastIndex()).toBe(9)
    expect(await doubt()).toMatchObject({ reason: found[0] })
  })
})
