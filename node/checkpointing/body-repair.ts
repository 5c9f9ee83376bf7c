/**
 * Messages whose bodies this node lost (a rotten sector, a file that is gone) are fetched from any peer, in the background; whoever
 * waits for one is called back when it is here. Committed entries are the same everywhere, so this needs no ceremony.
 *
 * Bounded: as many indexes as the checkpoint and the open deliveries refer to; the fetcher bounds what is in flight.
 */
import type { BodyFetcher } from './body-fetcher.ts'
import type { CheckpointingBasics, LogIndex } from './ports.ts'

/** Between rounds that left something missing, milliseconds. */
const PAUSE_MS_MIN = 200
const PAUSE_MS_MAX = 10_000

/** What no peer had for so long is told to operators, milliseconds. */
const LONG_MS = 10_000

export interface BodyRepairOptions extends CheckpointingBasics {
  readonly bodies: BodyFetcher
  /** Peers that can be asked now. */
  readonly peers: () => readonly string[]
}

interface Wanted {
  readonly sinceMs: number
  readonly waiters: (() => void)[]
}

export class BodyRepair {
  readonly #options: BodyRepairOptions
  readonly #wanted = new Map<LogIndex, Wanted>()
  readonly #controller = new AbortController()
  #running = false
  #wake: (() => void) | undefined
  #repaired = 0

  constructor(options: BodyRepairOptions) {
    this.#options = options
  }

  /** Bodies that are missing now. */
  get missing(): number {
    return this.#wanted.size
  }

  /** Bodies that were missing and are here again, since the process began. */
  get repaired(): number {
    return this.#repaired
  }

  /** How many have been missing for so long that no peer may have them. */
  get missingLong(): number {
    const nowMs = this.#options.clock.now()
    let count = 0
    for (const { sinceMs } of this.#wanted.values()) if (nowMs - sinceMs >= LONG_MS) count++
    return count
  }

  /** Fetches this entry; `done` is called when it is held. */
  want(index: LogIndex, done?: () => void): void {
    let wanted = this.#wanted.get(index)
    if (wanted === undefined) {
      wanted = { sinceMs: this.#options.clock.now(), waiters: [] }
      this.#wanted.set(index, wanted)
    }
    if (done !== undefined) wanted.waiters.push(done)
    this.#start()
  }

  /** A peer has come into reach: it may have what the others lack. */
  peerUp(): void {
    this.#wake?.()
  }

  /** Lets go of what no message refers to any more. Those who wait look again. */
  forget(isObsolete: (index: LogIndex) => boolean): void {
    for (const [index, { waiters }] of [...this.#wanted]) {
      if (!isObsolete(index)) continue
      this.#wanted.delete(index)
      for (const waiter of waiters) waiter()
    }
  }

  stop(): void {
    this.#controller.abort()
    this.#wake?.()
  }

  #start(): void {
    if (this.#running || this.#controller.signal.aborted) return
    this.#running = true
    this.#run().catch(this.#options.onFatal)
  }

  async #run(): Promise<void> {
    const { bodies, logger, peers } = this.#options
    const { signal } = this.#controller
    let pauseMs = PAUSE_MS_MIN
    while (this.#wanted.size > 0 && !signal.aborted) {
      const asked = [...this.#wanted.keys()]
      const left = new Set(await bodies.fetch(asked, peers(), signal))
      const repaired = asked.filter((index) => !left.has(index))
      if (repaired.length > 0) logger.warn('fetched bodies that were missing here', { entries: repaired.length })
      for (const index of repaired) this.#settle(index)
      if (left.size === 0) continue
      await this.#pause(pauseMs)
      pauseMs = repaired.length > 0 ? PAUSE_MS_MIN : Math.min(2 * pauseMs, PAUSE_MS_MAX)
    }
    // In the same turn as the loop's last look, so that nothing is wanted between the two.
    this.#running = false
  }

  #settle(index: LogIndex): void {
    const wanted = this.#wanted.get(index)
    if (wanted === undefined) return
    this.#wanted.delete(index)
    this.#repaired++
    for (const waiter of wanted.waiters) waiter()
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancelTimer = this.#options.clock.setTimer(ms, resolve)
      this.#wake = () => {
        this.#wake = undefined
        cancelTimer()
        resolve()
      }
    })
  }
}
