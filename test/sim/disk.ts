/**
 * One node's disk through all lives of its process: simulated files with a pace that faults can change.
 *
 * Never: a decision about what a crash keeps; simulated-files.ts throws those dice.
 */
import type { Random } from '../support/random.ts'
import type { Scheduler } from './scheduler.ts'
import { SimulatedFiles } from './simulated-files.ts'
import { type DiskPace, fastDisk } from './swarm.ts'

export class NodeDisk {
  /** The log was opened once: from then on its absence is damage. */
  wasOpened = false
  pace: DiskPace = fastDisk
  /** Longer by this, while a fault slows the disk down. */
  slownessMs = 0
  bytesLost = 0
  /** A write was made to fail, or is about to be. A crash ends that: whoever comes back finds a disk that works. */
  isFailing = false
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #run: (callback: () => void) => void
  #files: SimulatedFiles

  /** `run` calls back inside the process that uses the disk: later if it is paused, never if it is dead. */
  constructor(scheduler: Scheduler, random: Random, run: (callback: () => void) => void) {
    this.#scheduler = scheduler
    this.#random = random
    this.#run = run
    this.#files = this.#format()
  }

  get files(): SimulatedFiles {
    return this.#files
  }

  /** The bytes of writes under way that did not survive. */
  crash(): number {
    const { counts } = this.#files
    const before = counts.bytesLost
    this.isFailing = false
    this.#files.forgetFailures()
    this.#files.crash()
    const lost = counts.bytesLost - before
    this.bytesLost += lost
    return lost
  }

  /** The next write fails, part of it perhaps written. */
  failNextWrite(code: 'EIO' | 'ENOSPC'): void {
    this.isFailing = true
    this.#files.failNext('write', code)
  }

  wipe(): void {
    this.isFailing = false
    this.wasOpened = false
    this.#files = this.#format()
  }

  #format(): SimulatedFiles {
    return new SimulatedFiles({
      schedule: (_, callback) => {
        this.#scheduler.after(this.#delay(), () => this.#run(callback))
      },
      random: this.#random.fork(),
    })
  }

  #delay(): number {
    const { syncMs, stallChance, stallMs } = this.pace
    const stall = stallChance > 0 && this.#random.chance(stallChance) ? this.#random.fraction() * stallMs : 0
    return this.#random.between(syncMs[0], syncMs[1]) + this.slownessMs * this.#random.fraction() + stall
  }
}
