/**
 * Where deliveries find their messages: in the recent entries that Raft keeps in memory, else read back from the log, a few
 * reads at a time and with read-ahead, since a backlog is read in order (idea 2 of docs/ARCHITECTURE.md).
 *
 * Never: copies of bodies; what it gives are views of entries.
 */
import type { Entry } from '../raft/index.ts'
import type { OutgoingDelivery } from '../wire/deliver-frame.ts'
import { LOG_HEADER_BYTES, logHeader, viewOf } from '../wire/frame.ts'
import { messageBounds } from '../wire/publish-frame.ts'
import { entryWallMs, frameStart, positionFrame, positionMessage } from './queue/index.ts'

/** One read from the log, bytes: a few entries of full size. */
const READ_BYTES = 1024 * 1024
/** Entries that were read back are kept up to this many bytes, for the consumers that follow close behind. */
const KEPT_BYTES_MAX = 16 * READ_BYTES
/** Reads at a time: the log's syncs must never queue behind them in the thread pool. */
const READS_MAX = 2

export interface EntrySource {
  /** From memory. */
  entry(index: number): Entry | undefined
  /** Entries up to here are committed, and stay what they are. */
  appliedIndex(): number
  /** Entries that are held from `from` on, in order, applied or not; those that are not held are left out. */
  readEntries(from: number, bytesMax: number): Promise<Entry[]>
  /**
   * An entry is not held: calls back when it may be read again (true), or tells that no message refers to it any more (false).
   */
  recover(index: number, done: (isHeld: boolean) => void): void
}

const decoder = new TextDecoder()

export class Bodies {
  readonly #source: EntrySource
  readonly #onFailure: (error: unknown) => void
  readonly #kept = new Map<number, Entry>()
  #keptBytes = 0
  /** Who waits for an entry, in order of asking: one for each consumer attached here, at most. */
  readonly #waiting = new Map<number, ((isHeld: boolean) => void)[]>()
  /** Entries whose read is under way. */
  readonly #reading = new Set<number>()
  /** Entries that are not held and come from elsewhere, in time. */
  readonly #recovering = new Set<number>()

  constructor(source: EntrySource, onFailure: (error: unknown) => void) {
    this.#source = source
    this.#onFailure = onFailure
  }

  /** The entry if it is at hand. */
  get(index: number): Entry | undefined {
    return this.#source.entry(index) ?? this.#kept.get(index)
  }

  /** Calls back when the entry is at hand (true), or when it is of no message any more (false); for one that is not now. */
  fetch(index: number, done: (isHeld: boolean) => void): void {
    const waiting = this.#waiting.get(index)
    if (waiting !== undefined) {
      waiting.push(done)
      return
    }
    this.#waiting.set(index, [done])
    this.#next()
  }

  #next(): void {
    for (const index of this.#waiting.keys()) {
      if (this.#reading.size >= READS_MAX) return
      if (this.#reading.has(index) || this.#recovering.has(index)) continue
      this.#reading.add(index)
      // What is read ahead beyond it may be replaced by another leader's entries, even before the read is over. What was asked for is
      // committed: this may be in the middle of its application.
      const last = Math.max(index, this.#source.appliedIndex())
      this.#source
        .readEntries(index, READ_BYTES)
        .then((entries) =>
          this.#fetched(
            index,
            entries.filter((entry) => entry.index <= last),
          ),
        )
        .catch(this.#onFailure)
    }
  }

  #fetched(index: number, entries: readonly Entry[]): void {
    for (const entry of entries) this.#keep(entry)
    this.#reading.delete(index)
    if (entries[0]?.index === index) this.#settle(index, true)
    else this.#recover(index)
    // Whoever waits for what was read along with it needs no read of its own.
    for (const { index: other } of entries) {
      if (this.#waiting.has(other) && !this.#reading.has(other) && !this.#recovering.has(other))
        this.#settle(other, true)
    }
    this.#next()
  }

  #recover(index: number): void {
    this.#recovering.add(index)
    this.#source.recover(index, (isHeld) => {
      this.#recovering.delete(index)
      if (isHeld) this.#next()
      else this.#settle(index, false)
    })
  }

  #settle(index: number, isHeld: boolean): void {
    const callbacks = this.#waiting.get(index) ?? []
    this.#waiting.delete(index)
    for (const callback of callbacks) callback(isHeld)
  }

  #keep(entry: Entry): void {
    if (this.#kept.has(entry.index)) return
    this.#kept.set(entry.index, entry)
    this.#keptBytes += entry.data.length
    // A Map iterates in order of insertion: the first is the oldest.
    for (const [index, oldest] of this.#kept) {
      if (this.#keptBytes <= KEPT_BYTES_MAX || index === entry.index) return
      this.#kept.delete(index)
      this.#keptBytes -= oldest.data.length
    }
  }
}

/** Reads messages out of entries, remembering the last frame, since deliveries come in runs. */
export class MessageReader {
  #entry: Entry | undefined
  #view: DataView = new DataView(new ArrayBuffer(0))
  #frame = -1
  #at = 0
  /** Topics of the frame, by number, as far as they were asked for. */
  #topics: string[] = []
  /** Where the topic behind them begins in the frame's table. */
  #topicAt = 0

  /** The message at `position` of an entry whose application enqueued it, hence well formed. */
  read(entry: Entry, position: number, attempt: number): OutgoingDelivery {
    if (entry !== this.#entry) {
      this.#entry = entry
      this.#view = viewOf(entry.data)
      this.#frame = -1
    }
    const frame = positionFrame(position)
    if (frame !== this.#frame) {
      this.#frame = frame
      this.#at = frameStart(this.#view, frame)
      this.#topics = []
      this.#topicAt = this.#at + LOG_HEADER_BYTES
    }
    const view = this.#view
    const at = this.#at
    const i = positionMessage(position)
    const topicColumn = at + LOG_HEADER_BYTES + logHeader.tableBytes(view, at)
    const { start, end } = messageBounds(view, at, i)
    return {
      session: logHeader.session(view, at),
      sequence: logHeader.sequence(view, at) + i,
      wallMs: entryWallMs(view),
      topic: this.#topic(entry.data, view.getUint16(topicColumn + 2 * i, true)),
      attempt,
      message: entry.data.subarray(start, end),
    }
  }

  /** Each topic of a frame's table is read once, however often neighbouring messages change their topic. */
  #topic(bytes: Uint8Array, number: number): string {
    while (this.#topics.length <= number) {
      const start = this.#topicAt + 2
      this.#topicAt = start + this.#view.getUint16(this.#topicAt, true)
      this.#topics.push(decoder.decode(bytes.subarray(start, this.#topicAt)))
    }
    return this.#topics[number]!
  }
}
