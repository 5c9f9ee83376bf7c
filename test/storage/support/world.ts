/**
 * A simulated disk with its own time, and logs on it: what the storage tests stand on where they crash, tear or count.
 */

import { Wal, type WalOptions } from '../../../node/storage/wal.ts'
import type { GroupId, LogStorage } from '../../../raft/index.ts'
import { Scheduler } from '../../sim/scheduler.ts'
import { SimulatedFiles } from '../../sim/simulated-files.ts'
import { Random } from '../../support/random.ts'

export const identity = { nodeId: 'n1', incarnation: 'first-life' }
export const group: GroupId = { id: 0, incarnation: 1 }
export const otherGroup: GroupId = { id: 7, incarnation: 1 }
export const directory = '/data/wal'

export class World {
  readonly scheduler = new Scheduler()
  readonly files: SimulatedFiles

  constructor(seed = 1) {
    const schedule = (ms: number, callback: () => void): void => void this.scheduler.after(ms, callback)
    this.files = new SimulatedFiles({ schedule, random: new Random(seed) })
  }

  options(overrides: Partial<WalOptions> = {}): WalOptions {
    const clock = {
      now: () => this.scheduler.now(),
      setTimer: (ms: number, callback: () => void) => this.scheduler.after(ms, callback),
    }
    return { files: this.files, directory, identity, clock, segmentBytes: 8192, ...overrides }
  }

  open(overrides: Partial<WalOptions> = {}): Promise<Wal> {
    return this.settle(Wal.open(this.options(overrides)))
  }

  /** Begins to open a log that a crash will interrupt; `error` tells if it failed before. */
  start(overrides: Partial<WalOptions> = {}): { error: unknown } {
    const attempt: { error: unknown } = { error: undefined }
    Wal.open(this.options(overrides)).catch((error: unknown) => {
      attempt.error = error
    })
    return attempt
  }

  /** Lets time pass until the promise is settled; fails when nothing is left that could settle it. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let settled = false
    const mark = (): void => {
      settled = true
    }
    promise.then(mark, mark)
    for (let quiet = 0; !settled; ) {
      const { steps } = this.scheduler
      await this.scheduler.runUntil(
        this.scheduler.now() + 1_000,
        () => {},
        () => settled,
      )
      // What needs no event, only promises.
      await new Promise((resolve) => process.nextTick(resolve))
      quiet = this.scheduler.steps === steps ? quiet + 1 : 0
      if (quiet > 2) throw new Error('nothing happens any more, and the promise is pending')
    }
    return promise
  }

  async pass(ms: number): Promise<void> {
    await this.scheduler.runUntil(this.scheduler.now() + ms, () => {})
  }
}

/** All entries that a log holds, read back. */
export async function readWhole(
  log: LogStorage,
  last: number,
): Promise<{ index: number; term: number; data: string }[]> {
  const found: { index: number; term: number; data: string }[] = []
  while (found.length < last) {
    for (const { index, term, data } of await log.read(found.length + 1, 1_000_000)) {
      found.push({ index, term, data: Buffer.from(data).toString('latin1') })
    }
  }
  return found
}
