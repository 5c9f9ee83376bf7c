import { type ChildProcess, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fakeClockLaunch, findFakeTime, setFakeClock } from '../../../jepsen-lite/files/fake-clock.ts'
import { eventually } from '../../support/eventually.ts'
import { realDiskFolder } from '../../support/place.ts'

/** Tells both of its clocks again and again. */
const teller = `setInterval(() => process.send({ wall: Date.now(), steady: performance.now() }), 20)`

let folder: string
let child: ChildProcess | undefined

beforeEach(() => {
  folder = realDiskFolder()
})

afterEach(() => {
  child?.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

describe('a fake clock', () => {
  it('jumps, drifts from where it is, and comes back, while the monotonic clock goes on', async () => {
    const file = path.join(folder, 'clock')
    // A machine without the library is told so; the rest can be seen only on one that has it.
    if (findFakeTime() === undefined)
      return void expect(() => fakeClockLaunch(file)).toThrow('libfaketime is not installed')
    const { env } = fakeClockLaunch(file)
    const startedAt = Date.now()
    child = spawn(process.execPath, ['-e', teller], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    /** How far off it is, milliseconds, and how fast it goes. */
    const seen = { offMs: 0, steady: 0, rates: [] as number[] }
    let last: { wall: number; steady: number } | undefined
    child.on('message', (now: { wall: number; steady: number }) => {
      seen.offMs = now.wall - Date.now()
      if (last !== undefined) {
        expect(now.steady - last.steady).toBeLessThan(10_000)
        seen.rates = [...seen.rates.slice(-9), (now.wall - last.wall) / (now.steady - last.steady)]
      }
      seen.steady = now.steady
      last = now
    })
    const isOff = (byMs: number) => Math.abs(seen.offMs - byMs) < 5_000
    const look = { withinMs: 15_000 }
    await eventually(() => seen.steady > 0 && isOff(0), look)
    setFakeClock(file, { offsetMs: 3_600_000, rate: 1, startedAt })
    await eventually(() => isOff(3_600_000), look)
    setFakeClock(file, { offsetMs: -3_600_000, rate: 5, startedAt })
    await eventually(() => seen.offMs < -3_500_000 && seen.rates.every((rate) => rate > 4 && rate < 6), look)
    setFakeClock(file, { offsetMs: 0, rate: 1, startedAt })
    await eventually(() => isOff(0) && seen.rates.every((rate) => rate > 0.5 && rate < 2), look)
  })
})
