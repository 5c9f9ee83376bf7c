import { expect, test } from 'vitest'
import type { File, Files } from '../../node/storage/files.ts'
import type { SimulatedFiles } from '../sim/simulated-files.ts'
import { checkpointAt, lastEntry, StorageWorld } from './support/storage-world.ts'
import { group } from './support/world.ts'

/** A disk that takes a few writes yet. */
class FullFiles implements Files {
  refused = 0
  readonly #files: SimulatedFiles
  #writesLeft: number

  constructor(files: SimulatedFiles, writesLeft: number) {
    this.#files = files
    this.#writesLeft = writesLeft
  }

  async open(path: string, options?: { readonly create?: boolean }): Promise<File> {
    const file = await this.#files.open(path, options)
    const writeDurable: File['writeDurable'] = async (...write) => {
      if (this.#writesLeft-- > 0) return file.writeDurable(...write)
      this.refused++
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    }
    return { ...file, writeDurable }
  }

  list = (directory: string) => this.#files.list(directory)
  makeDirectory = (path: string) => this.#files.makeDirectory(path)
  rename = (from: string, to: string) => this.#files.rename(from, to)
  remove = (path: string) => this.#files.remove(path)
  syncDirectory = (path: string) => this.#files.syncDirectory(path)
  freeBytes = (path: string) => this.#files.freeBytes(path)
}

test.each([{ compacted: false }, { compacted: true }])(
  'a node that starts on a full disk stops with NoSpace, wherever that is, and has all it had when there is room: %o',
  async ({ compacted }) => {
    const world = new StorageWorld()
    await world.prepare({ voters: 3, compacted })
    let refusals = 0
    for (let writes = 0; ; writes++) {
      const files = new FullFiles(world.world.files, writes)
      const storage = await world.open({ files }).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'NoSpace' })
        refusals++
      })
      if (!storage) continue
      // What it prepares meanwhile may be refused when it is open: then it fails.
      await world.world.pass(1_000)
      if (files.refused > 0) expect(storage.wal.failure).toMatchObject({ code: 'NoSpace' })
      await world.world.settle(storage.close())
      if (files.refused === 0) break
    }
    expect(refusals).toBeGreaterThan(1)
    await world.with(async ({ checkpoints, wal }) => {
      expect(wal.report).toMatchObject({ damages: [], forgets: false })
      expect(wal.report.torn).toBeUndefined()
      expect(checkpoints.current?.mark.index).toBe(checkpointAt)
      const { firstIndex } = wal.group(group).recovered()
      const found = await wal.group(group).read(firstIndex, 1e6)
      expect(found.map(({ index }) => index).at(-1)).toBe(lastEntry)
      expect(found).toHaveLength(lastEntry - firstIndex + 1)
    })
  },
)
