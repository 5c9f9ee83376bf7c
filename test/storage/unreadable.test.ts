import { describe, expect, test } from 'vitest'
import { DamagedLogError, StorageFailedError } from '../../node/storage/errors.ts'
import type { RecoveryReport } from '../../node/storage/recovery-report.ts'
import { type Entry, EntryType } from '../../raft/index.ts'
import { directory, group, World } from './support/world.ts'

const options = { segmentBytes: 1024 * 1024 }
const data = Buffer.from('small')
const entry = (index: number): Entry => ({
  index,
  term: 1,
  type: EntryType.command,
  data: Buffer.alloc(10_000, `${index} `),
})

/** A log of five entries, one in each batch: at 1,024, 11,264 (of its body one page is 12,288 to 16,384) and so on. */
async function written(world: World) {
  const wal = await world.open(options)
  const log = wal.group(group)
  for (let index = 1; index <= 5; index++) {
    await world.settle(log.append({ entries: [entry(index)], hardState: { term: 1, vote: '', commit: index } }))
  }
  return { wal, log }
}

/** From now on reads that touch these bytes of the first segment fail, as a rotten sector makes them. */
function spoil(world: World, from: number, to: number, code = 'EIO'): void {
  const { files } = world
  const open = files.open.bind(files)
  files.open = async (path, how) => {
    const file = await open(path, how)
    if (path !== `${directory}/0000000000000001.wal`) return file
    const read = async (buffer: Uint8Array, position: number): Promise<number> => {
      if (position < to && position + buffer.length > from) throw Object.assign(new Error(code), { code })
      return file.read(buffer, position)
    }
    return { ...file, read }
  }
}

async function started(world: World, checkpoint = 0) {
  const reports: RecoveryReport[] = []
  const wal = await world.open({
    ...options,
    mustExist: true,
    onDoubt: async (report) => void reports.push(report),
    ...(checkpoint > 0 && { checkpoint: { group, mark: { index: checkpoint, term: 1 } } }),
  })
  return { log: wal.group(group), reports }
}

describe('a sector that cannot be read', () => {
  test('is damage at a start, which names it and goes on with all the rest', async () => {
    const world = new World()
    await world.settle((await written(world)).wal.close())
    spoil(world, 15_000, 15_512)
    const { log, reports } = await started(world, 5)
    expect(reports.map(({ damages }) => damages.length)).toEqual([1])
    expect(reports[0]?.forgets).toBe(false)
    expect(await log.missing([1, 2, 3, 4, 5])).toEqual([2])
    const read = await world.settle(log.readHeld(1, 1_000_000))
    expect(read.map(({ index }) => index)).toEqual([1, 3, 4, 5])
    expect(read[3]?.data).toEqual(entry(5).data)
  })

  test('under the last batch is not taken for a place that was never written', async () => {
    const world = new World()
    const log = (await world.open(options)).group(group)
    // One sector each, behind that of the header and a marker's: the seventh begins a page. What follows it was never written.
    for (let index = 1; index <= 7; index++) await world.settle(log.append({ entries: [{ ...entry(index), data }] }))
    world.files.crash()
    spoil(world, 4096, 4608)
    const { reports } = await started(world)
    expect(reports).toMatchObject([{ forgets: true }])
  })

  test('with the header of a segment is damage, and the batches count', async () => {
    const world = new World()
    await world.settle((await written(world)).wal.close())
    spoil(world, 0, 512)
    const { log, reports } = await started(world, 5)
    expect(reports[0]?.damages[0]?.what).toContain('header')
    expect(await log.missing([2, 3, 4, 5])).toEqual([])
  })

  test('while the log is in use costs one entry, if a checkpoint reflects it', async () => {
    const world = new World()
    await world.settle((await written(world)).wal.close())
    const { log } = await started(world, 4)
    spoil(world, 15_000, 15_512)
    const damaged: number[] = []
    log.onDamaged = (index) => void damaged.push(index)
    const read = await world.settle(log.readHeld(1, 1_000_000))
    expect(read.map(({ index }) => index)).toEqual([1, 3, 4, 5])
    expect(damaged).toEqual([2])
  })

  test('while the log is in use ends the node, if nothing else reflects the entry', async () => {
    const world = new World()
    await world.settle((await written(world)).wal.close())
    const { log } = await started(world, 1)
    spoil(world, 15_000, 15_512)
    await expect(world.settle(log.readHeld(1, 1_000_000))).rejects.toBeInstanceOf(DamagedLogError)
  })
})

describe('a start is refused, and nothing is changed,', () => {
  test.each([
    ['by a disk that fails in many places', 0, 512 * 1024, 'EIO'],
    ['by another error', 15_000, 15_512, 'EACCES'],
  ])('%s', async (_, from, to, code) => {
    const world = new World()
    await world.settle((await written(world)).wal.close())
    spoil(world, from, to, code)
    await expect(started(world, 5)).rejects.toBeInstanceOf(StorageFailedError)
  })
})
