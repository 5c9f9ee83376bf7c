import { expect, it } from 'vitest'
import { DiskSpace } from '../../node/disk-space.ts'
import { HandClock, rest, silent } from './checkpointing/support.ts'

it('a disk counts as full below the reserve, and as having room again only some way above it', async () => {
  const clock = new HandClock()
  let free = 2_000
  const told: string[] = []
  let fullLooks = 0
  const logger = {
    ...silent,
    warn: (what: string) => void told.push(what),
    error: (what: string) => void told.push(what),
  }
  const disk = new DiskSpace({
    clock,
    logger,
    reserveBytes: 1_000,
    freeBytes: async () => free,
    onFull: () => fullLooks++,
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
  expect(fullLooks).toBe(4)
  disk.stop()
  expect(clock.timers).toBe(0)
})

it('a disk that does not tell changes nothing', async () => {
  const clock = new HandClock()
  let fails = false
  const freeBytes = () => (fails ? Promise.reject(new Error('ENOSYS')) : Promise.resolve(1))
  const disk = new DiskSpace({ clock, logger: silent, reserveBytes: 1_000, freeBytes, onFull: () => {} })
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
