import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ensureDirectory } from '../../node/storage/directories.ts'
import type { File } from '../../node/storage/files.ts'
import { nodeFiles } from '../../node/storage/node-files.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'meshmq-files-'))
})

afterEach(() => rm(folder, { recursive: true }))

async function withFile<T>(name: string, use: (file: File) => Promise<T>): Promise<T> {
  const file = await nodeFiles.open(join(folder, name), { create: true })
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}

describe('a file', () => {
  test('takes buffers one behind the other at a position, empty ones included', async () => {
    await withFile('a', async (file) => {
      await file.writeDurable([Buffer.from('abc'), Buffer.alloc(0), Buffer.from('def')], 2)
      expect(await file.size()).toBe(8)
    })
    expect((await readFile(join(folder, 'a'))).toString()).toBe('\0\0abcdef')
  })

  test('takes more buffers than one system call does', async () => {
    const buffers = Array.from({ length: 3_000 }, (_, i) => Buffer.from([i & 255, i >> 8]))
    await withFile('a', (file) => file.writeDurable(buffers, 0))
    expect((await readFile(join(folder, 'a'))).equals(Buffer.concat(buffers))).toBe(true)
  })

  test('takes nothing without a trip to the disk', async () => {
    await withFile('a', async (file) => {
      await file.writeDurable([], 100)
      expect(await file.size()).toBe(0)
    })
  })

  test('fills a buffer as far as the file goes', async () => {
    await withFile('a', async (file) => {
      await file.writeDurable([Buffer.from('0123456789')], 0)
      const buffer = Buffer.alloc(4)
      expect(await file.read(buffer, 3)).toBe(4)
      expect(buffer.toString()).toBe('3456')
      expect(await file.read(buffer, 8)).toBe(2)
      expect(await file.read(buffer, 50)).toBe(0)
    })
  })

  test('is made only where there is none, and opened only where there is one', async () => {
    await withFile('a', async () => {})
    await expect(nodeFiles.open(join(folder, 'a'), { create: true })).rejects.toMatchObject({ code: 'EEXIST' })
    await expect(nodeFiles.open(join(folder, 'b'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('a folder', () => {
  test('lists its names by code unit, whatever the locale', async () => {
    for (const name of ['b', 'a', 'B', 'ä', '10', '9']) await writeFile(join(folder, name), '')
    expect(await nodeFiles.list(folder)).toEqual(['10', '9', 'B', 'a', 'b', 'ä'])
    await expect(nodeFiles.list(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('loses what is removed or renamed', async () => {
    await withFile('a', (file) => file.writeDurable([Buffer.from('x')], 0))
    await nodeFiles.rename(join(folder, 'a'), join(folder, 'b'))
    await nodeFiles.syncDirectory(folder)
    expect(await nodeFiles.list(folder)).toEqual(['b'])
    await nodeFiles.remove(join(folder, 'b'))
    expect(await nodeFiles.list(folder)).toEqual([])
  })

  test('is made with all folders above it, once', async () => {
    const deep = join(folder, 'x', 'y', 'z')
    await ensureDirectory(nodeFiles, deep)
    await ensureDirectory(nodeFiles, deep)
    expect(await nodeFiles.list(join(folder, 'x', 'y'))).toEqual(['z'])
    await writeFile(join(folder, 'file'), '')
    await expect(ensureDirectory(nodeFiles, join(folder, 'file', 'below'))).rejects.toThrow()
  })
})
