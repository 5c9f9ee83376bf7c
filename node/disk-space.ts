/**
 * Watches the free space of the disk that holds the node's log: below a reserve the cluster must stop taking messages in while it can still
 * write down that they are taken out.
 *
 * Looking takes time, and a fast disk fills between two looks. So what this node writes meanwhile counts, too, at its worst: a look is
 * good for as many bytes of it as can be taken off what is left above the reserve, however much more of the disk each of them costs.
 *
 * The reserve is for what goes on: settles, checkpoints, rewritten segments. Never: decides what is refused (proposer.ts).
 */
import type { Clock } from '../raft/index.ts'
import type { Logger } from './logger.ts'

/** The disk counts as full until this part more than the reserve is free, so that it does not change from second to second. */
const HYSTERESIS = 0.25

const LOOK_MS = 1_000
/** While the free space is near the reserve: others may write to the disk, too. */
const NEAR_LOOK_MS = 100
/** In terms of the reserve. */
const NEAR = 4

/**
 * What one byte written may take of the disk, at the most: zeros that are prepared ahead at twice the log's pace, sectors that small
 * batches do not fill, the store's log and tables, and the other nodes, if they are on the same disk.
 */
const COST_MAX = 8
/** A look is due when that part of what is left may be gone: early, so that its answer is there before it is needed. */
const LOOK_SHARE = 1 / 8

export interface DiskSpaceOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** 0: the disk never counts as full. */
  readonly reserveBytes: () => number
  readonly freeBytes: () => Promise<number>
  /** What this node has written so far, bytes. Never falls. Asked for each publish, so it is cheap. */
  readonly writtenBytes: () => number
  /** At each look at which the disk counts as full. */
  readonly onFull: () => void
  /** It does not any more. */
  readonly onRoom: () => void
}

export class DiskSpace {
  readonly #options: DiskSpaceOptions
  #freeBytes: number | undefined
  /** When the last look began. */
  #writtenBefore = 0
  #isFull = false
  #isLooking = false
  #isStopped = false
  #cancelLook: (() => void) | undefined

  constructor(options: DiskSpaceOptions) {
    this.#options = options
  }

  /** Less than the reserve is free, or may be by now. */
  get isFull(): boolean {
    if (this.#isFull || this.#freeBytes === undefined) return this.#isFull
    const reserveBytes = this.#options.reserveBytes()
    if (reserveBytes === 0) return false
    const cost = COST_MAX * (this.#options.writtenBytes() - this.#writtenBefore)
    const left = this.#freeBytes - reserveBytes
    if (cost > LOOK_SHARE * left) this.#look()
    return cost > left
  }

  /** Undefined until it was looked at, and where the system does not tell. */
  get freeBytes(): number | undefined {
    return this.#freeBytes
  }

  start(): void {
    this.#look()
  }

  stop(): void {
    this.#isStopped = true
    this.#cancelLook?.()
  }

  #look(): void {
    if (this.#isLooking || this.#isStopped) return
    this.#isLooking = true
    this.#cancelLook?.()
    const written = this.#options.writtenBytes()
    // A system that does not tell leaves things as they are: the disk itself will say when it is full.
    const unknown = () => undefined
    this.#options
      .freeBytes()
      .then((free) => this.#judge(free), unknown)
      .finally(() => {
        this.#writtenBefore = written
        this.#isLooking = false
        if (!this.#isStopped) this.#lookAgain()
      })
  }

  #lookAgain(): void {
    const isNear = this.#freeBytes !== undefined && this.#freeBytes < NEAR * this.#options.reserveBytes()
    this.#cancelLook = this.#options.clock.setTimer(isNear ? NEAR_LOOK_MS : LOOK_MS, () => this.#look())
  }

  #judge(freeBytes: number): void {
    const { logger, onFull, onRoom } = this.#options
    const reserveBytes = this.#options.reserveBytes()
    this.#freeBytes = freeBytes
    const isFull = freeBytes < (this.#isFull ? (1 + HYSTERESIS) * reserveBytes : reserveBytes)
    if (isFull) onFull()
    if (isFull === this.#isFull) return
    this.#isFull = isFull
    if (isFull) logger.error('the disk is nearly full: publishes are refused', { freeBytes, reserveBytes })
    else {
      logger.warn('the disk has room again: publishes are taken', { freeBytes, reserveBytes })
      onRoom()
    }
  }
}
