/**
 * Watches the free space of the disk that holds the node's log: below a reserve the cluster must stop taking messages in while it can still
 * write down that they are taken out.
 *
 * The reserve is for what goes on: settles, checkpoints, rewritten segments. Never: decides what is refused (proposer.ts).
 */
import type { Clock } from '../raft/index.ts'
import { every } from './clock.ts'
import type { Logger } from './logger.ts'

/** The disk counts as full until this part more than the reserve is free, so that it does not change from second to second. */
const HYSTERESIS = 0.25

const LOOK_MS = 1_000

export interface DiskSpaceOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** 0: the disk never counts as full. */
  readonly reserveBytes: number
  readonly freeBytes: () => Promise<number>
  /** At each look at which the disk counts as full. */
  readonly onFull: () => void
}

export class DiskSpace {
  readonly #options: DiskSpaceOptions
  #freeBytes: number | undefined
  #isFull = false
  #isLooking = false
  #end: (() => void) | undefined

  constructor(options: DiskSpaceOptions) {
    this.#options = options
  }

  /** Less than the reserve is free. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** Undefined until it was looked at, and where the system does not tell. */
  get freeBytes(): number | undefined {
    return this.#freeBytes
  }

  start(): void {
    this.#look()
    this.#end = every(this.#options.clock, LOOK_MS, () => this.#look())
  }

  stop(): void {
    this.#end?.()
  }

  #look(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    // A system that does not tell leaves things as they are: the disk itself will say when it is full.
    const unknown = () => undefined
    this.#options
      .freeBytes()
      .then((free) => this.#judge(free), unknown)
      .finally(() => {
        this.#isLooking = false
      })
  }

  #judge(freeBytes: number): void {
    const { logger, onFull, reserveBytes } = this.#options
    this.#freeBytes = freeBytes
    const isFull = freeBytes < (this.#isFull ? (1 + HYSTERESIS) * reserveBytes : reserveBytes)
    if (isFull) onFull()
    if (isFull === this.#isFull) return
    this.#isFull = isFull
    if (isFull) logger.error('the disk is nearly full: publishes are refused', { freeBytes, reserveBytes })
    else logger.warn('the disk has room again: publishes are taken', { freeBytes, reserveBytes })
  }
}
