/**
 * The driver's book of those who wait for a linearizable read: gathered by turn, asked for under one request id,
 * confirmed by a leader, and released once the state machine has applied that far (dissertation §6.4).
 *
 * Never: makes promises (driver.ts does), reads a clock, reuses a request id: a retry is a new question (trap 10).
 */
import type { ReadResult } from './ready.ts'
import type { LogIndex } from './types.ts'

/** No leader confirmed the read in time, or the driver stopped. Nothing was read; it may be tried again. */
export class ReadUnavailable extends Error {
  override readonly name = 'ReadUnavailable'
}

export interface Reader {
  readonly resolve: (index: LogIndex) => void
  readonly reject: (error: ReadUnavailable) => void
  readonly deadlineMs: number
}

/** Readers that wait until `index` is applied. */
interface Confirmed {
  readonly index: LogIndex
  readonly readers: readonly Reader[]
}

/** Beyond so many, new readers are refused. */
const READERS_MAX = 10_000

/** A question without an answer for so long was lost. */
const ASK_AGAIN_TICKS = 20

/** Invariant: each open reader is in exactly one of the four places, and #count counts them. */
export class Readers {
  /** To be asked for in this turn. */
  #gathered: Reader[] = []
  /** Were refused: to be asked for again with the next tick. */
  #resting: Reader[] = []
  readonly #asked = new Map<number, { readonly readers: Reader[]; readonly tick: number }>()
  #confirmed: Confirmed[] = []
  #count = 0
  #tick = 0
  #lastRequestId: number

  /** `firstRequestId` should be random: answers to a former process of this node must not meet our questions. */
  constructor(firstRequestId: number) {
    this.#lastRequestId = firstRequestId
  }

  add(reader: Reader): void {
    if (this.#count >= READERS_MAX) {
      reader.reject(new ReadUnavailable(`more than ${READERS_MAX} reads wait`))
      return
    }
    this.#count++
    this.#gathered.push(reader)
  }

  /** The id under which to ask for all gathered readers; undefined if there are none. */
  takeRequest(): number | undefined {
    if (this.#gathered.length === 0) return undefined
    this.#lastRequestId++
    this.#asked.set(this.#lastRequestId, { readers: this.#gathered, tick: this.#tick })
    this.#gathered = []
    return this.#lastRequestId
  }

  answered({ requestId, index }: ReadResult): void {
    const asked = this.#asked.get(requestId)
    if (asked === undefined) return
    this.#asked.delete(requestId)
    if (index < 0) this.#resting.push(...asked.readers)
    else this.#confirmed.push({ index, readers: asked.readers })
  }

  applied(index: LogIndex): void {
    if (this.#confirmed.length === 0) return
    const still: Confirmed[] = []
    for (const group of this.#confirmed) {
      if (group.index > index) {
        still.push(group)
        continue
      }
      this.#count -= group.readers.length
      for (const reader of group.readers) reader.resolve(group.index)
    }
    this.#confirmed = still
  }

  /** Gives up on those whose time is over, and asks again for the refused and the unanswered. */
  tick(nowMs: number): void {
    this.#tick++
    if (this.#count === 0) return
    for (const [requestId, { readers, tick }] of this.#asked) {
      if (this.#tick - tick < ASK_AGAIN_TICKS) continue
      this.#asked.delete(requestId)
      this.#resting.push(...readers)
    }
    this.#gathered = this.#expire([...this.#gathered, ...this.#resting], nowMs)
    this.#resting = []
    this.#confirmed = this.#confirmed.map((group) => ({ ...group, readers: this.#expire(group.readers, nowMs) }))
    for (const [requestId, asked] of this.#asked) {
      this.#asked.set(requestId, { ...asked, readers: this.#expire(asked.readers, nowMs) })
    }
  }

  #expire(readers: readonly Reader[], nowMs: number): Reader[] {
    const late = readers.filter((reader) => reader.deadlineMs <= nowMs)
    this.#count -= late.length
    for (const reader of late) reader.reject(new ReadUnavailable('no leader confirmed the read in time'))
    return readers.filter((reader) => reader.deadlineMs > nowMs)
  }

  /** Rejects everybody: the driver stops. */
  abandon(reason: string): void {
    const groups = [...this.#asked.values(), ...this.#confirmed]
    const all = [...this.#gathered, ...this.#resting, ...groups.flatMap((group) => group.readers)]
    this.#gathered = []
    this.#resting = []
    this.#asked.clear()
    this.#confirmed = []
    this.#count = 0
    for (const reader of all) reader.reject(new ReadUnavailable(reason))
  }
}
