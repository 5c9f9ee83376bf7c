/**
 * The giving side of an install and of repairs: answers peers' questions for chunks of this node's checkpoint and for committed entries.
 *
 * Whoever pulls a checkpoint has it pinned, and with it the bodies that it refers to and the log above its mark, until PIN_MS
 * after its last question (trap 28): a newer checkpoint must not make every install begin again. Bounded: SERVES_MAX questions of a
 * peer are answered at a time and the rest is dropped, since the asker asks again; one pin a peer.
 *
 * Never: gives an entry that is not applied here, since another leader's may come to be committed in its place.
 */

import { FETCH_BYTES_MAX, type FetchAnswer, type FetchQuestion, type FetchResponse } from '../peers/fetch-codec.ts'
import { DamagedCheckpointError } from '../storage/errors.ts'
import type {
  CheckpointInfo,
  CheckpointingBasics,
  CheckpointStore,
  Entry,
  HeldEntries,
  LiveEntries,
  LogIndex,
} from './ports.ts'

/** A pin outlives the last question of its peer by this, milliseconds. */
export const PIN_MS = 15_000

/** Questions of one peer that are answered at a time. */
const SERVES_MAX = 4

export interface InstallSourceOptions extends CheckpointingBasics {
  readonly checkpoints: Pick<CheckpointStore, 'current' | 'readChunk' | 'pin'>
  readonly entries: Pick<HeldEntries, 'readHeld'>
  /** What the current checkpoint refers to. */
  readonly references: () => LiveEntries
  readonly appliedIndex: () => LogIndex
  /** Dropped when there is no way or too much is on the way: the asker asks again. */
  readonly send: (to: string, response: FetchResponse) => void
  /** A chunk of the current checkpoint is damaged: it is of no use to anybody. */
  readonly onDamaged: (error: Error) => void
}

interface Pin {
  readonly info: CheckpointInfo
  readonly references: LiveEntries
  readonly release: () => void
  lastUseMs: number
}

export class InstallSource {
  readonly #options: InstallSourceOptions
  /** By peer. */
  readonly #pins = new Map<string, Pin>()
  /** Questions under way, by peer. */
  readonly #serving = new Map<string, number>()
  #cancelTimer: (() => void) | undefined

  constructor(options: InstallSourceOptions) {
    this.#options = options
  }

  /** What compaction must leave alone beside the live entries. */
  pinned(): LiveEntries[] {
    return [...new Set([...this.#pins.values()].map(({ references }) => references))]
  }

  /** The log must not begin above this index, or those who install now could not go on from it. */
  logFloor(): LogIndex | undefined {
    const marks = [...this.#pins.values()].map(({ info }) => info.mark.index + 1)
    return marks.length === 0 ? undefined : Math.min(...marks)
  }

  /** Peers that pull a checkpoint now. */
  get peers(): string[] {
    return [...this.#pins.keys()]
  }

  stop(): void {
    this.#cancelTimer?.()
    for (const pin of this.#pins.values()) pin.release()
    this.#pins.clear()
  }

  onRequest(from: string, { id, question }: { readonly id: number; readonly question: FetchQuestion }): void {
    const serving = this.#serving.get(from) ?? 0
    if (serving >= SERVES_MAX) return
    this.#serving.set(from, serving + 1)
    this.#answer(from, question)
      .then((answer) => this.#options.send(from, { id, answer }), this.#options.onFatal)
      .finally(() => this.#served(from))
  }

  #served(from: string): void {
    const serving = this.#serving.get(from)! - 1
    if (serving > 0) this.#serving.set(from, serving)
    else this.#serving.delete(from)
  }

  #answer(from: string, question: FetchQuestion): Promise<FetchAnswer> {
    if (question.what === 'chunk') return this.#chunk(from, question.mark, question.n)
    const pin = this.#pins.get(from)
    if (pin !== undefined) pin.lastUseMs = this.#options.clock.now()
    return this.#entries(question.indexes)
  }

  async #chunk(from: string, mark: LogIndex, n: number): Promise<FetchAnswer> {
    const pin = this.#pin(from, mark)
    if (pin === undefined || n >= pin.info.chunks) return { what: 'gone' }
    try {
      const bytes = await this.#options.checkpoints.readChunk(mark, n)
      return bytes === undefined ? { what: 'gone' } : { what: 'chunk', chunks: pin.info.chunks, bytes }
    } catch (error) {
      if (!(error instanceof DamagedCheckpointError)) throw error
      this.#options.onDamaged(error)
      return { what: 'gone' }
    }
  }

  /** The peer's pin on that checkpoint, made if it is the current one. */
  #pin(from: string, mark: LogIndex): Pin | undefined {
    const { checkpoints, clock, references } = this.#options
    const held = this.#pins.get(from)
    const info = checkpoints.current
    // One that was damaged may have been replaced at its own index.
    if (held?.info.mark.index === mark && (info?.mark.index !== mark || info === held.info)) {
      held.lastUseMs = clock.now()
      return held
    }
    if (info?.mark.index !== mark) return undefined
    held?.release()
    const pin = { info, references: references(), release: checkpoints.pin(mark), lastUseMs: clock.now() }
    this.#pins.set(from, pin)
    this.#watchPins()
    return pin
  }

  #watchPins(): void {
    if (this.#cancelTimer !== undefined) return
    this.#cancelTimer = this.#options.clock.setTimer(PIN_MS / 5, () => {
      this.#cancelTimer = undefined
      const nowMs = this.#options.clock.now()
      for (const [peer, pin] of this.#pins) {
        if (nowMs - pin.lastUseMs < PIN_MS) continue
        this.#pins.delete(peer)
        pin.release()
      }
      if (this.#pins.size > 0) this.#watchPins()
    })
  }

  async #entries(indexes: readonly LogIndex[]): Promise<FetchAnswer> {
    const found: Entry[] = []
    let bytes = 0
    let dealt = 0
    while (dealt < indexes.length) {
      // What is asked for alone is read alone: old messages lie far apart.
      const isRun = indexes[dealt + 1] === indexes[dealt]! + 1
      const read = await this.#read(indexes[dealt]!, isRun ? FETCH_BYTES_MAX - bytes : 1)
      // Nothing from here on is held.
      if (read.length === 0) dealt = indexes.length
      for (const entry of read) {
        while (dealt < indexes.length && indexes[dealt]! < entry.index) dealt++
        if (indexes[dealt] !== entry.index) continue
        if (found.length > 0 && bytes + entry.data.length > FETCH_BYTES_MAX) {
          return { what: 'entries', dealt, entries: found }
        }
        found.push(entry)
        bytes += entry.data.length
        dealt++
      }
    }
    return { what: 'entries', dealt, entries: found }
  }

  /** Above what is applied here, entries are not known to be committed. */
  async #read(from: LogIndex, bytesMax: number): Promise<Entry[]> {
    const { appliedIndex, entries } = this.#options
    const through = appliedIndex()
    if (from > through) return []
    const read = await entries.readHeld(from, Math.max(1, bytesMax))
    return read.filter(({ index }) => index <= through)
  }
}
