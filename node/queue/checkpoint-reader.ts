/**
 * Reads a checkpoint, chunk by chunk as they come from the disk or from another node, and holds the state that it describes until
 * a machine takes it over.
 *
 * Chunks are numbered and carry checksums, sections come in their order, the last chunk says how many there were: what is missing,
 * repeated or changed is found.
 */
import { CheckpointFormatError, ChunkReader, Section } from './checkpoint-format.ts'
import type { EntrySet } from './entry-set.ts'
import { InvariantError } from './invariant.ts'
import { Restoration } from './restore.ts'
import type { State } from './state.ts'

export class CheckpointReader {
  readonly #restoration = new Restoration()
  #chunks = 0
  #rows = 0
  #section = 0
  #isWhole = false
  /** Set while a chunk is read, hence ever after one that could not be. */
  #isBroken = false

  /** Takes the next chunk, which is not kept. Throws CheckpointFormatError, and then no further chunk helps. */
  push(chunk: Uint8Array): void {
    if (this.#isBroken || this.#isWhole) throw new CheckpointFormatError('a chunk behind the last one that can be read')
    this.#isBroken = true
    const from = new ChunkReader(chunk, this.#chunks++)
    while (!from.isAtEnd) this.#readPiece(from)
    this.#isBroken = false
  }

  /** After the last chunk. Throws CheckpointFormatError when there must be more. */
  finish(): RestoredState {
    if (!this.#isWhole || this.#isBroken) throw new CheckpointFormatError('the checkpoint is not whole')
    return new RestoredState(this.#restoration)
  }

  #readPiece(from: ChunkReader): void {
    const section = from.byte()
    const rows = from.rows()
    const isFirst = this.#section === 0
    if (isFirst !== (section === Section.machine) || section < this.#section || this.#isWhole || rows === 0) {
      throw new CheckpointFormatError(`section ${section} is not expected here`)
    }
    this.#section = section
    if (section === Section.end) {
      if (from.integer() !== this.#chunks || from.integer() !== this.#rows || rows !== 1) {
        throw new CheckpointFormatError('the checkpoint has more or fewer rows than it says')
      }
      this.#restoration.check()
      this.#isWhole = true
      return
    }
    this.#rows += rows
    this.#restoration.read(section, rows, from)
  }
}

/** A state that came from a checkpoint, for one machine (`Machine.restore`). */
export class RestoredState {
  /** The last entry applied. */
  readonly index: number
  readonly group: number
  readonly #references: EntrySet
  #state: State | undefined

  constructor({ state, group, references }: Restoration) {
    this.index = state.appliedIndex
    this.group = group
    this.#state = state
    this.#references = references
  }

  /** Indexes of the entries that its messages refer to. */
  references(): EntrySet {
    return this.#references
  }

  /** Hands the state over: two machines must not share one. */
  take(): State {
    const state = this.#state
    if (state === undefined) throw new InvariantError('a restored state was taken twice')
    this.#state = undefined
    return state
  }
}
