/**
 * A checkpoint of the machine: what the state is at one log index, captured at once and encoded by and by, while the machine goes on
 * applying (checkpoint-capture.ts).
 *
 * Never: a look at the state after the capture.
 */
import { Capture } from './checkpoint-capture.ts'
import { ChunkWriter, Section } from './checkpoint-format.ts'
import type { Rows } from './checkpoint-rows.ts'
import { EntrySet } from './entry-set.ts'
import { InvariantError } from './invariant.ts'
import type { State } from './state.ts'

export class MachineCheckpoint {
  /** The last entry applied. */
  readonly index: number
  readonly #references = new EntrySet()
  readonly #chunks: IterableIterator<Uint8Array>
  #isWritten = false

  /** Captures the state. */
  constructor(state: State, group: number) {
    this.index = state.appliedIndex
    this.#chunks = this.#encode(new Capture(state, group, this.#references).rows)
  }

  /**
   * The bytes, each chunk at most 256 KiB; each `next` encodes one of them, which takes a few milliseconds. One iterator: whoever asks
   * again gets the rest.
   */
  chunks(): IterableIterator<Uint8Array> {
    return this.#chunks
  }

  /** Indexes of the entries that messages refer to, delivered ones included. Known once the last chunk was given. */
  references(): EntrySet {
    if (!this.#isWritten) throw new InvariantError('the references were asked for before the last chunk')
    return this.#references
  }

  *#encode(captured: readonly Rows[]): IterableIterator<Uint8Array> {
    const out = new ChunkWriter()
    for (const rows of captured) {
      while (!rows.isDone) {
        writePiece(out, rows)
        if (out.isFull) yield out.take()
      }
    }
    const { rows } = out
    out.begin(Section.end)
    out.number(out.chunks + 1)
    out.number(rows)
    out.end(1)
    this.#isWritten = true
    yield out.take()
  }
}

function writePiece(out: ChunkWriter, rows: Rows): void {
  out.begin(rows.section)
  rows.begin(out)
  let written = 0
  do {
    rows.write(out)
    written++
  } while (!rows.isDone && !out.isFull)
  out.end(written)
}
