import { expect, it } from 'vitest'
import { DiskSpace } from '../../node/disk-space.ts'
import { HandClock, rest, silent } from './checkpointing/support.ts'

it('a disk counts as full below the reserve, and as having room again only some way above it', async () => {
  const clock = new HandClock()
  let free = 2_000
  const told: string[] = []
  let fullLooks = 0
  let roomLooks = 0
  const logger = {
    ...silent,
    warn: (what: string) => void told.push(what),
    error: (what: string) => void told.push(what),
  }
  const disk = new DiskSpace({
    clock,
    logger,
    reserveBytes: () => 1_000,
    freeBytes: async () => free,
    writtenBytes: () => 0,
    onFull: () => fullLooks++,
    onRoom: () => roomLooks++,
  })
  disk.start()
  await rest()
  const seen: boolean[] = []
  for (free of [1_000, 999, 1_000, 1_249, 1_250, 1_001, 999]) {
    await clock.advance(1_000)
    seen.push(disk.isFull)
  }
  expect(seen).toEqual([false, true, true, true, false, false, true])
  expect(disk.freeBytes).toBe(999)
  expect(told).toHaveLength(3)
  expect([fullLooks, roomLooks]).toEqual([4, 1])
  disk.stop()
  expect(clock.timers).toBe(0)
})

it('a disk that does not tell changes nothing', async () => {
  const clock = new HandClock()
  let fails = false
  const freeBytes = () => (fails ? Promise.reject(new Error('ENOSYS')) : Promise.resolve(1))
  const options = { clock, logger: silent, reserveBytes: () => 1_000, writtenBytes: () => 0 }
  const disk = new DiskSpace({ ...options, freeBytes, onFull: () => {}, onRoom: () => {} })
  disk.start()
  await rest()
  expect(disk.isFull).toBe(true)
  fails = true
  await clock.advance(1_000)
  expect(disk.isFull).toBe(true)
  fails = false
  await clock.advance(1_000)
  expect(disk).toMatchObject({ isFull: true, freeBytes: 1 })
})

/** A disk that one writes to, and what it knows of it. */
class World {
  readonly clock = new HandClock()
  reserve = 1_000
  free = 0
  written = 0
  looks = 0
  #answer: (() => void) | undefined
  #isHeld = false
  readonly disk = new DiskSpace({
    clock: this.clock,
    logger: silent,
    reserveBytes: () => this.reserve,
    writtenBytes: () => this.written,
    freeBytes: async () => {
      this.looks++
      const { free } = this
      if (this.#isHeld) {
        await new Promise<void>((resolve) => {
          this.#answer = resolve
        })
      }
      return free
    },
    onFull: () => {},
    onRoom: () => {},
  })

  async start(free: number): Promise<void> {
    this.free = free
    this.disk.start()
    await rest()
  }

  /** Answers take until `answer`. */
  hold(): void {
    this.#isHeld = true
  }

  async answer(): Promise<void> {
    this.#answer?.()
    await rest()
  }
}

it('what was written since the last look counts at its worst, until the next one tells', async () => {
  const world = new World()
  await world.start(33_000)
  expect(world.looks).toBe(1)
  world.hold()
  world.written = 500
  expect(world.disk.isFull).toBe(false)
  expect(world.looks).toBe(1)
  world.written = 501
  expect(world.disk.isFull).toBe(false)
  expect(world.looks).toBe(2)
  world.written = 4_001
  expect(world.disk.isFull).toBe(true)
  // It had cost less than the worst. What came while the system was asked counts on.
  await world.answer()
  expect(world.disk.isFull).toBe(false)
  expect(world.looks).toBe(3)
  world.written = 4_502
  expect(world.disk.isFull).toBe(true)
})

it('looks come more often while the free space is near the reserve', async () => {
  const world = new World()
  await world.start(4_000)
  await world.clock.advance(999)
  expect(world.looks).toBe(1)
  world.free = 3_999
  await world.clock.advance(1)
  expect(world.looks).toBe(2)
  await world.clock.advance(100)
  expect(world.looks).toBe(3)
  // The reserve grows with what has to be written in any case.
  world.reserve = 4_000
  await world.clock.advance(100)
  expect(world.disk.isFull).toBe(true)
  world.disk.stop()
  expect(world.clock.timers).toBe(0)
})

it('without a reserve nothing is ever refused', async () => {
  const world = new World()
  world.reserve = 0
  await world.start(10)
  world.written = 1e9
  expect(world.disk.isFull).toBe(false)
})
