/**
 * One node's data directory through all lives of its process: simulated files and a simulated store on one disk, with a pace
 * that faults can change, opened by the production code.
 *
 * Never: a decision about what a crash keeps; simulated-files.ts and simulated-store.ts throw those dice.
 */
import { GROUP } from '../../node/core.ts'
import { type NodeStorage, openStorage } from '../../node/storage/open-storage.ts'
import type { NodeClock } from '../sim/node-clock.ts'
import type { Scheduler } from '../sim/scheduler.ts'
import { SimulatedFiles } from '../sim/simulated-files.ts'
import { SimulatedStore } from '../sim/simulated-store.ts'
import { type DiskPace, fastDisk } from '../sim/swarm.ts'
import type { Random } from '../support/random.ts'

/** The process that opens the directory. */
export interface Opener {
  readonly clock: NodeClock
  readonly wallNow: () => number
  readonly segmentBytes: number
  /** The cluster has no other member. */
  readonly alone: boolean
  readonly onFailure: (error: Error) => void
}

export class DataDirectory {
  readonly #node: string
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #run: (callback: () => void) => void
  #files: SimulatedFiles
  #store: SimulatedStore
  #incarnations = 0
  pace: DiskPace = fastDisk
  /** Longer by this, while a fault slows the disk down. */
  slownessMs = 0
  bytesLost = 0
  /** A write was made to fail, or is about to be. A crash ends that: whoever comes back finds a disk that works. */
  isFailing = false
  /** Bytes of the log have changed under a process that runs, and no later one has looked through it. */
  isRotten = false

  /** `run` calls back inside the process that uses the directory: later if it is paused, never if it is dead. */
  constructor(node: string, scheduler: Scheduler, random: Random, run: (callback: () => void) => void) {
    this.#node = node
    this.#scheduler = scheduler
    this.#random = random
    this.#run = run
    this.#files = new SimulatedFiles(this.#disk())
    this.#store = new SimulatedStore(this.#disk())
  }

  open({ clock, wallNow, segmentBytes, alone, onFailure }: Opener): Promise<NodeStorage> {
    this.isRotten = false
    return openStorage({
      files: this.#files,
      dataDir: '/',
      openStore: () => this.#store.open(),
      group: GROUP,
      alone,
      nodeId: this.#node,
      mintIncarnation: () => `${this.#node}-${++this.#incarnations}`,
      wallNow,
      clock,
      segmentBytes,
      onFailure,
    })
  }

  /** The bytes of writes under way that did not survive. */
  crash(): number {
    const { counts } = this.#files
    const before = counts.bytesLost
    this.isFailing = false
    this.#files.forgetFailures()
    this.#files.crash()
    this.#store.crash()
    const lost = counts.bytesLost - before
    this.bytesLost += lost
    return lost
  }

  /** The next write fails, part of it perhaps written. */
  failNextWrite(): void {
    this.isFailing = true
    if (this.#random.chance(0.8)) this.#files.failNext('write', this.#random.pick(['EIO', 'ENOSPC']))
    else this.#store.failNextWrite()
  }

  /** Some bytes of what was written to the log change, under the eyes of the process that has it open. */
  rotLive(): void {
    for (let left = 10; left > 0; left--) this.isRotten = this.rotLog() || this.isRotten
  }

  /** A byte of what was written to the log changes. False: there is none to change. */
  rotLog(): boolean {
    const bytes = this.#files.contents(this.#random.pick(this.#segments()))
    for (let tries = 0; tries < 20; tries++) {
      const at = this.#random.below(bytes.length)
      if (bytes[at] === 0) continue
      bytes[at] = bytes[at]! ^ (1 << this.#random.below(8))
      return true
    }
    return false
  }

  /** A segment of the log is gone. */
  loseSegment(): void {
    this.#files.lose(this.#random.pick(this.#segments()))
  }

  /** A value of the store changes. */
  rotStore(): void {
    this.#store.rot(this.#random.pick([...this.#store.image().keys()]))
  }

  /** The store is gone, and the log is not. */
  loseStore(): void {
    this.#store.lose()
  }

  /** No room is left; or there is again. */
  fill(isFull: boolean): void {
    this.#files.free = isFull ? 0 : 1e12
  }

  /** Everything is gone, as on a new machine. */
  wipe(): void {
    this.isFailing = false
    this.#files = new SimulatedFiles(this.#disk())
    this.#store = new SimulatedStore(this.#disk())
  }

  #segments(): string[] {
    return this.#files.paths('/wal').filter((path) => path.endsWith('.wal'))
  }

  #disk() {
    return {
      schedule: (_: number, callback: () => void) => {
        this.#scheduler.after(this.#delay(), () => this.#run(callback))
      },
      random: this.#random.fork(),
    }
  }

  #delay(): number {
    const { syncMs, stallChance, stallMs } = this.pace
    const stall = stallChance > 0 && this.#random.chance(stallChance) ? this.#random.fraction() * stallMs : 0
    return this.#random.between(syncMs[0], syncMs[1]) + this.slownessMs * this.#random.fraction() + stall
  }
}
