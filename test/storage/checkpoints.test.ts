import { beforeEach, describe, expect, test } from 'vitest'
import { type CheckpointInfo, Checkpoints } from '../../node/storage/checkpoints.ts'
import { DamagedCheckpointError, StorageFailedError } from '../../node/storage/errors.ts'
import { SimulatedStore } from '../sim/simulated-store.ts'
import { fc } from '../support/property.ts'
import { Random } from '../support/random.ts'
import { chunkOf, markAt, simulatedStore, withStore } from './support/store.ts'
import { World } from './support/world.ts'

let disk: SimulatedStore

beforeEach(() => {
  disk = simulatedStore()
})

function opened<T>(use: (checkpoints: Checkpoints) => Promise<T>): Promise<T> {
  return withStore(disk, async (store) => use(await Checkpoints.open(store)))
}

/** Writes a checkpoint whose chunks tell where they belong. */
async function make(checkpoints: Checkpoints, index: number, chunks = 3): Promise<CheckpointInfo> {
  const writer = checkpoints.begin(markAt(index), 'local')
  for (let n = 0; n < chunks; n++) await writer.put(chunkOf(`${index}/${n};`))
  return writer.commit()
}

async function expectWhole(checkpoints: Checkpoints, index: number): Promise<void> {
  for (let n = 0; n < 3; n++) expect(await textOf(checkpoints, index, n)).toBe(text(index, n))
}

async function textOf(checkpoints: Checkpoints, index: number, n: number): Promise<string | undefined> {
  const chunk = await checkpoints.readChunk(index, n)
  return chunk && Buffer.from(chunk).toString()
}

const text = (index: number, n: number): string => Buffer.from(chunkOf(`${index}/${n};`)).toString()

const chunkKeys = (): string[] => [...disk.image().keys()].filter((key) => key.startsWith('chunk/'))

describe('a checkpoint', () => {
  test('is there, with its mark, after it was committed, and not before', async () => {
    await opened(async (checkpoints) => {
      expect(checkpoints.current).toBeUndefined()
      const writer = checkpoints.begin(markAt(7, 3), 'installed')
      await writer.put(chunkOf('7/0;'))
      await writer.put(chunkOf('7/1;', 10))
      expect(checkpoints.current).toBeUndefined()
      expect(await checkpoints.readChunk(7, 0)).toBeUndefined()
      expect(await writer.commit()).toBe(checkpoints.current)
    })
    await opened(async (checkpoints) => {
      expect(checkpoints.current).toEqual({ mark: markAt(7, 3), chunks: 2, bytes: 74, origin: 'installed' })
      expect(checkpoints.damaged).toBe(false)
      expect(await textOf(checkpoints, 7, 1)).toBe('7/1;7/1;7/')
    })
  })

  test('without a chunk is a checkpoint too', async () => {
    await opened((checkpoints) => checkpoints.begin(markAt(4), 'local').commit())
    await opened(async ({ current }) => expect(current).toMatchObject({ chunks: 0, bytes: 0 }))
  })

  test('takes the place of the former one in one change, whose chunks go with it', async () => {
    await opened(async (checkpoints) => {
      await make(checkpoints, 10)
      const writer = checkpoints.begin(markAt(20), 'local')
      for (let n = 0; n < 3; n++) await writer.put(chunkOf(`20/${n};`))
      await expectWhole(checkpoints, 10)
      const writes = disk.writes
      await writer.commit()
      expect(disk.writes).toBe(writes + 1)
      await expectWhole(checkpoints, 20)
      expect(await checkpoints.readChunk(10, 0)).toBeUndefined()
      expect(chunkKeys()).toHaveLength(3)
    })
  })

  test('has no chunk behind its last one', async () => {
    await opened(async (checkpoints) => {
      await make(checkpoints, 10)
      expect(await checkpoints.readChunk(10, 3)).toBeUndefined()
      expect(await checkpoints.readChunk(11, 0)).toBeUndefined()
    })
  })

  test('that was abandoned leaves nothing', async () => {
    await opened(async (checkpoints) => {
      await make(checkpoints, 10)
      const writer = checkpoints.begin(markAt(20), 'local')
      await writer.put(chunkOf('20/0;'))
      await writer.abandon()
      await writer.abandon()
      expect(chunkKeys()).toHaveLength(3)
      await expectWhole(checkpoints, 10)
    })
  })

  test('that was committed is not undone by a late abandon', async () => {
    await opened(async (checkpoints) => {
      const writer = checkpoints.begin(markAt(10), 'local')
      await writer.put(chunkOf('10/0;'))
      await writer.commit()
      await writer.abandon()
      expect(await textOf(checkpoints, 10, 0)).toBe(text(10, 0))
    })
  })

  test('that a newer one overtook does not take its place', async () => {
    await opened(async (checkpoints) => {
      const slow = checkpoints.begin(markAt(10), 'local')
      await slow.put(chunkOf('10/0;'))
      const fast = checkpoints.begin(markAt(20), 'installed')
      await fast.put(chunkOf('20/0;'))
      const [newer, older] = await Promise.all([fast.commit(), slow.commit()])
      expect(older).toBe(newer)
      expect(checkpoints.current?.mark.index).toBe(20)
      expect(chunkKeys()).toHaveLength(1)
    })
    await opened(async ({ current }) => expect(current?.mark.index).toBe(20))
  })

  test('of two that are committed at once, the newer one stays, and the older one leaves nothing', async () => {
    await opened(async (checkpoints) => {
      const older = checkpoints.begin(markAt(10), 'local')
      const newer = checkpoints.begin(markAt(20), 'local')
      await older.put(chunkOf('10/0;'))
      await newer.put(chunkOf('20/0;'))
      await Promise.all([older.commit(), newer.commit()])
      expect(chunkKeys()).toHaveLength(1)
    })
    await opened(async (checkpoints) => expect(await textOf(checkpoints, 20, 0)).toBe(text(20, 0)))
  })
})

describe('what an unfinished writer left', () => {
  test('is removed at the next start, and does not mix with what is written then', async () => {
    const store = await disk.open()
    const checkpoints = await Checkpoints.open(store)
    await make(checkpoints, 10)
    const writer = checkpoints.begin(markAt(20), 'local')
    for (let n = 0; n < 5; n++) await writer.put(chunkOf('stale;'))
    expect(chunkKeys()).toHaveLength(8)
    disk.crash()
    await opened(async (again) => {
      expect(chunkKeys()).toHaveLength(3)
      await expectWhole(again, 10)
      await make(again, 20)
      await expectWhole(again, 20)
    })
  })
})

describe('a pinned checkpoint', () => {
  test('stays readable until the last pin is released', async () => {
    await opened(async (checkpoints) => {
      await make(checkpoints, 10)
      const releases = [checkpoints.pin(10), checkpoints.pin(10)]
      await make(checkpoints, 20)
      await make(checkpoints, 30)
      await expectWhole(checkpoints, 10)
      await expectWhole(checkpoints, 30)
      expect(await checkpoints.readChunk(20, 0)).toBeUndefined()
      releases[0]?.()
      releases[0]?.()
      await expectWhole(checkpoints, 10)
      const third = checkpoints.pin(10)
      releases[1]?.()
      await expectWhole(checkpoints, 10)
      third()
      expect(await checkpoints.readChunk(10, 0)).toBeUndefined()
      // The change that deletes is on its way before this one.
      await make(checkpoints, 40)
      expect(chunkKeys()).toHaveLength(3)
    })
  })

  test('that is released while it is still in force stays', async () => {
    await opened(async (checkpoints) => {
      await make(checkpoints, 10)
      checkpoints.pin(10)()
      await expectWhole(checkpoints, 10)
      await make(checkpoints, 20)
      expect(chunkKeys()).toHaveLength(3)
    })
  })

  test('is removed at the next start when its process died', async () => {
    await opened(async (checkpoints) => {
      await make(checkpoints, 10)
      checkpoints.pin(10)
      await make(checkpoints, 20)
      expect(chunkKeys()).toHaveLength(6)
    })
    await opened(async () => expect(chunkKeys()).toHaveLength(3))
  })

  test('must be there', async () => {
    await opened(async (checkpoints) => {
      await make(checkpoints, 10)
      expect(() => checkpoints.pin(11)).toThrow(RangeError)
    })
  })
})

describe('a damaged checkpoint', () => {
  const firstChunk = (): string => chunkKeys()[0] as string

  test.each([
    ['whose record rotted', () => disk.rot('checkpoint')],
    ['one of whose chunks rotted', () => disk.rot(firstChunk())],
    [
      'one of whose chunks is gone',
      () => {
        const image = new Map(disk.image())
        image.delete(firstChunk())
        disk.restore(image)
      },
    ],
    [
      'one of whose chunks became shorter',
      () => {
        const image = new Map(disk.image())
        image.set(firstChunk(), chunkOf('10/0;', 5))
        disk.restore(image)
      },
    ],
  ])('(%s) is not taken, said so, and replaced by the next', async (_, damage) => {
    await opened((checkpoints) => make(checkpoints, 10))
    damage()
    await opened(async (checkpoints) => {
      expect(checkpoints).toMatchObject({ current: undefined, damaged: true })
      expect(await checkpoints.readChunk(10, 1)).toBeUndefined()
    })
    await opened(async (checkpoints) => {
      expect(checkpoints.damaged).toBe(true)
      await make(checkpoints, 5)
      expect(checkpoints.damaged).toBe(false)
      await expectWhole(checkpoints, 5)
      expect(chunkKeys()).toHaveLength(3)
    })
    await opened(async ({ damaged, current }) => expect([damaged, current?.mark.index]).toEqual([false, 5]))
  })

  test('that rotted while the node runs is noticed by its next reader', async () => {
    await opened(async (checkpoints) => {
      await make(checkpoints, 10)
      disk.rot(firstChunk())
      await expect(checkpoints.readChunk(10, 0)).rejects.toBeInstanceOf(DamagedCheckpointError)
      expect(await textOf(checkpoints, 10, 1)).toBe(text(10, 1))
      expect(checkpoints.damaged).toBe(true)
    })
  })
})

test('a checkpoint may have any number of chunks, at a start and when it is replaced', async () => {
  const chunks = 150_000
  await opened(async (checkpoints) => {
    const writer = checkpoints.begin(markAt(10), 'local')
    for (let n = 0; n < chunks; n++) await writer.put(chunkOf('x', 1))
    await writer.commit()
  })
  await opened(async (checkpoints) => {
    expect(checkpoints.current).toMatchObject({ chunks, bytes: chunks })
    await make(checkpoints, 20)
    await expectWhole(checkpoints, 20)
  })
  expect(chunkKeys()).toHaveLength(3)
})

test('a damaged checkpoint is replaced by one at the same index, and a whole one is not', async () => {
  await opened(async (checkpoints) => {
    const whole = await make(checkpoints, 10)
    expect(await make(checkpoints, 10)).toBe(whole)
    expect(chunkKeys()).toHaveLength(3)
    disk.rot(chunkKeys()[0] as string)
    await expect(checkpoints.readChunk(10, 0)).rejects.toBeInstanceOf(DamagedCheckpointError)
    // Whoever pulls it reads on in the one that takes its place: equal states have equal bytes.
    const release = checkpoints.pin(10)
    expect(await make(checkpoints, 10)).not.toBe(whole)
    expect(checkpoints.damaged).toBe(false)
    await expectWhole(checkpoints, 10)
    release()
    await expectWhole(checkpoints, 10)
    expect(chunkKeys()).toHaveLength(3)
  })
  await opened((checkpoints) => expectWhole(checkpoints, 10))
})

test('a checkpoint cannot be committed on a disk that failed', async () => {
  await opened(async (checkpoints) => {
    await make(checkpoints, 10)
    const writer = checkpoints.begin(markAt(20), 'local')
    await writer.put(chunkOf('20/0;'))
    disk.failNextWrite()
    await expect(writer.commit()).rejects.toBeInstanceOf(StorageFailedError)
  })
})

test('between two chunks the disk is left to the log for as long as the write took', async () => {
  const world = new World()
  const { scheduler } = world
  const schedule = (ms: number, callback: () => void): void => void scheduler.after(ms, callback)
  const slow = new SimulatedStore({ schedule, random: new Random(1), latencyMs: [30, 30] })
  const clock = { now: () => scheduler.now(), setTimer: (ms: number, back: () => void) => scheduler.after(ms, back) }
  const tenChunks = async (): Promise<number> => {
    const writer = (await Checkpoints.open(await slow.open(), clock)).begin(markAt(10), 'local')
    const startedAt = scheduler.now()
    for (let n = 0; n < 10; n++) await writer.put(chunkOf('10/0;'))
    return scheduler.now() - startedAt
  }
  expect(await world.settle(tenChunks())).toBeCloseTo(10 * (30 + 30))
})

test('whenever the power goes, the old checkpoint or the new one is there, whole, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 6 }), async (seed, lives) => {
      disk = simulatedStore(seed)
      let committed = 0
      for (const steps of lives) {
        const started = committed
        const store = await disk.open()
        const checkpoints = await Checkpoints.open(store)
        const found = checkpoints.current?.mark.index ?? 0
        expect(checkpoints.damaged).toBe(false)
        expect([started, started + 1]).toContain(found)
        if (found > 0) await expectWhole(checkpoints, found)
        expect(chunkKeys()).toHaveLength(found > 0 ? 3 : 0)
        committed = found
        // The crash comes after so many turns of the disk, wherever the writer is then.
        void make(checkpoints, found + 1).then(() => {
          committed = found + 1
        })
        for (let turn = 0; turn < steps; turn++) await new Promise((resolve) => setImmediate(resolve))
        disk.crash()
      }
    }),
    { numRuns: 100 },
  )
})
