import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../node/clock.ts'
import { StorageFailedError } from '../../node/storage/errors.ts'
import type { Files } from '../../node/storage/files.ts'
import { LevelStore } from '../../node/storage/level-store.ts'
import { nodeFiles } from '../../node/storage/node-files.ts'
import { type NodeStorage, openStorage } from '../../node/storage/open-storage.ts'
import { entries, plain } from '../conformance/log-storage.ts'
import { group } from './support/world.ts'

let folder: string
let opened: NodeStorage | undefined

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'meshmq-storage-'))
})

afterEach(async () => {
  await opened?.close()
  await rm(folder, { recursive: true })
})

async function open(nodeId = 'n1', files = nodeFiles): Promise<NodeStorage> {
  let minted = 0
  opened = await openStorage({
    files,
    dataDir: join(folder, 'deep', 'data'),
    nodeId,
    openStore: (directory) => LevelStore.open({ files, directory }),
    group,
    alone: true,
    clock: systemClock,
    segmentBytes: 256 * 1024,
    mintIncarnation: () => `life-${++minted}`,
    wallNow: () => 77,
  })
  return opened
}

async function close(): Promise<void> {
  await opened?.close()
  opened = undefined
}

test('a new directory becomes a node that finds itself again', async () => {
  const first = await open()
  expect(first.bootId).toBe(77)
  await first.wal.group(group).append({ entries: entries(1, 3, 1) })
  await close()
  const second = await open()
  expect(second.bootId).toBe(78)
  expect(second.identity.incarnation).toBe('life-1')
  expect(plain(await second.wal.group(group).read(1, 1_000))).toEqual(plain(entries(1, 3, 1)))
})

/** The disk, of which the call of that number, from 0 on, fails. */
function failingAt(number: number): { readonly files: Files; readonly failed: () => string | undefined } {
  let calls = 0
  let failed: string | undefined
  const files = new Proxy(nodeFiles, {
    get: (target, name: keyof Files) => {
      return async (...given: never[]) => {
        if (calls++ !== number) return (target[name] as (...values: never[]) => unknown)(...given)
        failed = name
        throw Object.assign(new Error(`EIO: i/o error, ${name}`), { code: 'EIO' })
      }
    },
  })
  return { files, failed: () => failed }
}

test('whatever the disk refuses during an opening is told as a failure of the storage, and the directory is let go of', async () => {
  const refused: string[] = []
  for (let number = 0; ; number++) {
    const { files, failed } = failingAt(number)
    try {
      await open('n1', files)
      await close()
      if (failed() === undefined) break
    } catch (error) {
      expect(error, `call ${number}, ${failed()}`).toBeInstanceOf(StorageFailedError)
      expect(error).toMatchObject({ code: 'StorageFailed' })
      refused.push(failed()!)
      opened = undefined
    }
  }
  expect([...new Set(refused)].sort()).toEqual(['list', 'open', 'rename', 'syncDirectory'])
  await open()
})

test('a second node cannot open the directory of a running one', async () => {
  await open()
  const running = opened
  await expect(open()).rejects.toMatchObject({ code: 'DirectoryInUse' })
  opened = running
})

test('a directory without its log, in which nothing ever happened but the start of a lone node, is refused', async () => {
  await open()
  await close()
  const dataDir = join(folder, 'deep', 'data')
  expect((await readdir(dataDir)).sort()).toEqual(['boot', 'store', 'wal'])
  await rm(join(dataDir, 'wal'), { recursive: true })
  await expect(open()).rejects.toMatchObject({ code: 'DamagedLog' })
})

test('a log that lost a file is damage, and the directory can be opened by whoever comes to look', async () => {
  await open()
  await close()
  await rm(join(folder, 'deep', 'data', 'wal', '0000000000000001.wal'))
  await expect(open()).rejects.toMatchObject({ code: 'DamagedLog' })
  // The lock was given back.
  await expect(open()).rejects.toMatchObject({ code: 'DamagedLog' })
})
