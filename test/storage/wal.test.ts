import { describe, expect, test } from 'vitest'
import { StorageFailedError } from '../../node/storage/errors.ts'
import type { Wal, WalOptions } from '../../node/storage/wal.ts'
import { type Entry, EntryType } from '../../raft/index.ts'
import { directory, group, otherGroup, readWhole, World } from './support/world.ts'

const segmentBytes = 1024 * 1024

function entry(index: number, size = 100, term = 1): Entry {
  return { index, term, type: EntryType.command, data: Buffer.alloc(size, `${index} `) }
}

function bodies(from: number, to: number, size = 100): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => Buffer.from(entry(from + i, size).data).toString())
}

async function openLogged(world: World, options: Partial<WalOptions> = {}): Promise<{ wal: Wal; writes: number[] }> {
  const writes: number[] = []
  const onSync = (_: number, bytes: number): void => void writes.push(bytes)
  const wal = await world.open({ segmentBytes, onSync, ...options })
  writes.length = 0
  return { wal, writes }
}

describe('group commit', () => {
  test('what arrives while a write is under way becomes one write, whatever the group', async () => {
    const world = new World()
    const { wal, writes } = await openLogged(world)
    const first = wal.group(group).append({ entries: [entry(1)] })
    await world.pass(0)
    const more = Array.from({ length: 100 }, (_, i) => wal.group(group).append({ entries: [entry(2 + i)] }))
    const others = Array.from({ length: 100 }, (_, i) => wal.group(otherGroup).append({ entries: [entry(1 + i)] }))
    await world.settle(Promise.all([first, ...more, ...others]))
    expect(writes).toEqual([40 + 148, 40 + 200 * 148])
    expect(wal.stats).toMatchObject({ syncs: 3, records: 201 })
  })

  test('what two groups append in one turn is one write', async () => {
    const world = new World()
    const { wal, writes } = await openLogged(world)
    const hardState = { term: 1, vote: 'n1', commit: 0 }
    const appends = [group, otherGroup].map((id) => wal.group(id).append({ hardState, entries: [entry(1)] }))
    await world.settle(Promise.all(appends))
    expect(writes).toHaveLength(1)
  })

  test('a batch takes whole records up to its limit, and one append may need several', async () => {
    const world = new World()
    const { wal, writes } = await openLogged(world, { batchBytesMax: 1_000 })
    const order: string[] = []
    const log = wal.group(group)
    const long = log
      .append({ entries: Array.from({ length: 10 }, (_, i) => entry(1 + i, 200)) })
      .then(() => order.push('long'))
    const large = log.append({ entries: [entry(11, 5_000)] }).then(() => order.push('large'))
    const short = log.append({ entries: [entry(12, 1)] }).then(() => order.push('short'))
    await world.settle(Promise.all([long, large, short]))
    // Four records of 248 bytes fit into 1,000; the large one is beyond the limit and goes alone.
    expect(writes).toEqual([4, 4, 2].map((records) => 40 + records * 248).concat(40 + 5_048, 40 + 49))
    expect(order).toEqual(['long', 'large', 'short'])
    expect(await world.settle(readWhole(log, 12))).toHaveLength(12)
  })

  test('bodies are never copied into more buffers than one system call takes', async () => {
    const world = new World()
    const { wal, writes } = await openLogged(world, { segmentBytes: 16 * 1024 * 1024 })
    const log = wal.group(group)
    // Just above the size up to which bodies are copied.
    const entries = Array.from({ length: 1_200 }, (_, i) => entry(1 + i, 4_097))
    await world.settle(log.append({ entries }))
    expect(writes).toEqual([500, 500, 200].map((records) => 40 + records * (48 + 4_097)))
    const found = await world.settle(readWhole(log, 1_200))
    expect(found.map(({ data }) => data)).toEqual(bodies(1, 1_200, 4_097))
  })

  test('two groups of one id and different incarnations never see each other (trap 27)', async () => {
    const world = new World()
    const again = { id: group.id, incarnation: group.incarnation + 1 }
    const wal = await world.open()
    await world.settle(
      wal.group(group).append({ hardState: { term: 9, vote: 'n3', commit: 0 }, entries: [entry(1), entry(2)] }),
    )
    await world.settle(wal.group(again).append({ entries: [entry(1, 7)] }))
    await world.settle(wal.close())
    const reopened = await world.open()
    expect(reopened.group(again).recovered()).toMatchObject({ lastIndex: 1, hardState: { term: 0, vote: '' } })
    expect(reopened.group(group).recovered()).toMatchObject({ lastIndex: 2, hardState: { term: 9, vote: 'n3' } })
    expect(reopened.group(again)).toBe(reopened.group({ ...again }))
  })
})

describe('the marker of an idle log', () => {
  test('is written once, when nothing was written for a while', async () => {
    const world = new World()
    const { wal, writes } = await openLogged(world, { idleMarkerMs: 50 })
    await world.settle(wal.group(group).append({ entries: [entry(1)] }))
    await world.pass(40)
    expect(writes).toHaveLength(1)
    await world.pass(1_000)
    expect(writes).toEqual([40 + 148, 40])
  })

  test('is not written while the log is busy', async () => {
    const world = new World()
    const { wal, writes } = await openLogged(world, { idleMarkerMs: 50 })
    for (let index = 1; index <= 30; index++) {
      await world.settle(wal.group(group).append({ entries: [entry(index)] }))
      await world.pass(10)
    }
    expect(writes.filter((bytes) => bytes === 40)).toEqual([])
    await world.pass(200)
    expect(writes.filter((bytes) => bytes === 40)).toHaveLength(1)
  })

  test('is written by an orderly close', async () => {
    const world = new World()
    const { wal, writes } = await openLogged(world)
    const appended = wal.group(group).append({ entries: [entry(1)] })
    await world.settle(wal.close())
    await appended
    expect(writes).toEqual([40 + 148, 40])
    await expect(wal.group(group).append({ entries: [entry(2)] })).rejects.toThrow('the log is closed')
  })
})

describe('segments', () => {
  test('follow each other when they are full, and are read as one log', async () => {
    const world = new World()
    const wal = await world.open({ segmentBytes: 8192 })
    const log = wal.group(group)
    for (let index = 1; index <= 60; index++) await world.settle(log.append({ entries: [entry(index, 700)] }))
    // 1,024 bytes a batch with its padding, 7 to a segment, and the marker of the opening before them.
    expect(wal.stats.segments).toBe(9)
    const found = await world.settle(readWhole(log, 60))
    expect(found.map(({ data }) => data)).toEqual(bodies(1, 60, 700))
  })

  test('more segments can be read than files are held open', async () => {
    const world = new World()
    const wal = await world.open({ segmentBytes: 2048 })
    const log = wal.group(group)
    for (let index = 1; index <= 50; index++) await world.settle(log.append({ entries: [entry(index, 900)] }))
    expect(wal.stats.segments).toBeGreaterThan(40)
    const reads = Promise.all(Array.from({ length: 50 }, (_, i) => log.read(i + 1, 1)))
    const found = (await world.settle(reads)).flat()
    expect(found.map(({ data }) => Buffer.from(data).toString())).toEqual(bodies(1, 50, 900))
  })

  test('an entry that fits into no segment is a broken invariant', async () => {
    const world = new World()
    const wal = await world.open({ segmentBytes: 8192 })
    const log = wal.group(group)
    // Some room is left for the states of the groups.
    const largest = 8192 - 512 - 40 - 48 - 8192 / 16
    await world.settle(log.append({ entries: [entry(1, largest)] }))
    expect(() => log.append({ entries: [entry(2, largest + 1)] })).toThrow('an entry fits into a segment')
    expect(await world.settle(readWhole(log, 1))).toHaveLength(1)
  })

  test('of another size follow after the size was changed', async () => {
    const world = new World()
    const wal = await world.open({ segmentBytes: 4096 })
    await world.settle(wal.group(group).append({ entries: [entry(1, 2_000)] }))
    await world.settle(wal.close())
    const larger = await world.open({ segmentBytes: 16_384 })
    await world.settle(larger.group(group).append({ entries: [entry(2, 10_000), entry(3, 3_000)] }))
    await world.settle(larger.close())
    const smaller = await world.open({ segmentBytes: 4096 })
    await world.settle(smaller.group(group).append({ entries: [entry(4, 2_500), entry(5, 2_500)] }))
    world.files.crash()
    const last = await world.open({ segmentBytes: 4096 })
    expect((await world.settle(readWhole(last.group(group), 5))).map(({ data }) => data.length)).toEqual([
      2_000, 10_000, 3_000, 2_500, 2_500,
    ])
  })
})

describe('reading', () => {
  test('finds a body that rotted since it was written, and gives nothing out', async () => {
    const world = new World()
    const wal = await world.open()
    const log = wal.group(group)
    await world.settle(log.append({ entries: [entry(1), entry(2), entry(3)] }))
    const segment = world.files.contents(`${directory}/0000000000000001.wal`)
    const at = Buffer.from(segment).indexOf('2 2 2')
    segment[at] = 0
    const offset = at - 48
    await expect(world.settle(log.read(1, 1_000))).rejects.toMatchObject({ code: 'DamagedLog', offset })
    expect(await world.settle(log.read(3, 1_000))).toHaveLength(1)
    segment[offset + 9] = 1
    await expect(world.settle(log.read(2, 1))).rejects.toThrow('the header of entry 2 fails its checksum')
  })

  test('of a disk that refuses is told as such', async () => {
    const world = new World()
    const wal = await world.open()
    const log = wal.group(group)
    await world.settle(log.append({ entries: [entry(1)] }))
    world.files.failNext('read', 'ENXIO')
    await expect(world.settle(log.read(1, 1))).rejects.toMatchObject({ code: 'StorageFailed' })
  })
})

describe('after a failed write (trap 21)', () => {
  test.each(['EIO', 'ENOSPC'])(
    '%s: every pending and later call rejects, and nothing is written again',
    async (code) => {
      const world = new World()
      const failures: StorageFailedError[] = []
      const { wal } = await openLogged(world, { onFailure: (error) => void failures.push(error) })
      const log = wal.group(group)
      await world.settle(log.append({ entries: [entry(1)] }))
      // Past the zeros of the next segment that this allows, and the marker.
      await world.pass(1_000)
      const { bytesWritten } = world.files.counts
      world.files.failNext('write', code)
      const underWay = log.append({ entries: [entry(2)] })
      await world.pass(0)
      const waiting = [log.append({ entries: [entry(3)] }), wal.group(otherGroup).append({ entries: [entry(1)] })]
      const outcomes = await world.settle(Promise.allSettled([underWay, ...waiting]))
      for (const outcome of outcomes) {
        expect(outcome).toMatchObject({
          status: 'rejected',
          reason: { code: code === 'ENOSPC' ? 'NoSpace' : 'StorageFailed', cause: { code } },
        })
      }
      await expect(log.append({ entries: [entry(4)] })).rejects.toBeInstanceOf(StorageFailedError)
      await expect(log.read(1, 1)).rejects.toBeInstanceOf(StorageFailedError)
      await world.pass(10_000)
      await world.settle(wal.close())
      expect(world.files.counts.bytesWritten).toBe(bytesWritten)
      expect(failures).toHaveLength(1)
    },
  )

  test('a failure while the next segment is made ready stops the log as well', async () => {
    const world = new World()
    const failures: StorageFailedError[] = []
    const wal = await world.open({ onFailure: (error) => void failures.push(error) })
    await world.settle(wal.group(group).append({ entries: [entry(1)] }))
    await world.pass(1_000)
    world.files.failNext('syncDirectory', 'EIO')
    // Fills the segment, so that the one after the next is begun.
    const entries = Array.from({ length: 8 }, (_, i) => entry(2 + i, 1_000))
    const outcome = world.settle(Promise.allSettled([wal.group(group).append({ entries })]))
    await outcome
    await world.pass(1_000)
    expect(failures).toHaveLength(1)
    await expect(wal.group(group).append({ entries: [] })).rejects.toBeInstanceOf(StorageFailedError)
  })

  test('what was resolved before is there after a restart', async () => {
    const world = new World()
    const wal = await world.open()
    await world.settle(wal.group(group).append({ entries: [entry(1)] }))
    await world.pass(1_000)
    world.files.failNext('write', 'EIO')
    await expect(world.settle(wal.group(group).append({ entries: [entry(2)] }))).rejects.toThrow()
    world.files.crash()
    const reopened = await world.open({ mustExist: true })
    const { lastIndex } = reopened.group(group).recovered()
    expect([1, 2]).toContain(lastIndex)
    expect((await world.settle(readWhole(reopened.group(group), lastIndex)))[0]!.data).toBe(bodies(1, 1)[0])
  })

  test('an open that cannot write rejects', async () => {
    const world = new World()
    world.files.failNext('write', 'ENOSPC')
    await expect(world.open()).rejects.toMatchObject({ code: 'NoSpace', message: expect.stringContaining('ENOSPC') })
  })
})
