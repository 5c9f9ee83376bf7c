import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { mountSmallDisk, smallDiskUnavailable } from '../../../jepsen-lite/files/small-disk.ts'
import { realDiskFolder } from '../../support/place.ts'

const MIB = 1024 * 1024

describe('a small disk', () => {
  it('is empty, takes no more than its size, and goes again', async () => {
    const why = smallDiskUnavailable()
    if (why !== undefined) return void expect(why).toMatch(/root|loop/)
    const folder = realDiskFolder()
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const directory = path.join(folder, 'data')
    mkdirSync(directory)
    const unmount = await mountSmallDisk({ image: path.join(folder, 'image'), directory, bytes: 16 * MIB })
    try {
      expect(readdirSync(directory)).toEqual([])
      writeFileSync(path.join(directory, 'a'), Buffer.alloc(8 * MIB))
      expect(() => writeFileSync(path.join(directory, 'b'), Buffer.alloc(12 * MIB))).toThrow('ENOSPC')
    } finally {
      await unmount()
    }
    expect(readdirSync(directory)).toEqual([])
  })
})
