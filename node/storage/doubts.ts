/**
 * The durable mark that this node may have forgotten something that it had promised: entries, a vote, a term. It is set before the
 * damaged part of the log is cut, so that no crash in between makes the node look whole; it goes once the cluster has found out
 * that nothing depends on what was forgotten.
 *
 * Never: what follows from a doubt (raft/ knows), or when one arises (open-storage.ts does).
 */
import { DamagedValueError, type Store } from './store.ts'
import { readRecord, recordPut } from './store-record.ts'

const KEY = 'doubt'
const FORMAT = 1

export interface DoubtMark {
  /** The boot id of the start at which it arose; above 0. */
  readonly number: number
  /** For people. */
  readonly reason: string
  /** Wall clock, milliseconds. */
  readonly at: number
}

export class Doubts {
  /** There was a mark, but what it said cannot be read any more. */
  readonly isDamaged: boolean
  readonly #store: Store
  #mark: DoubtMark | undefined

  private constructor(store: Store, mark: DoubtMark | undefined, isDamaged: boolean) {
    this.#store = store
    this.#mark = mark
    this.isDamaged = isDamaged
  }

  static async open(store: Store): Promise<Doubts> {
    try {
      return new Doubts(store, await readRecord<DoubtMark>(store, KEY, FORMAT), false)
    } catch (error) {
      if (error instanceof DamagedValueError) return new Doubts(store, undefined, true)
      throw error
    }
  }

  get mark(): DoubtMark | undefined {
    return this.#mark
  }

  /**
   * Durable when it resolves, together with `alongside`. It takes the place of an older doubt: whoever clears that one has judged
   * without what is forgotten now.
   */
  async raise(mark: DoubtMark, alongside: readonly (readonly [string, Uint8Array])[] = []): Promise<void> {
    this.#mark = mark
    await this.#store.write({ puts: [...alongside, recordPut(KEY, FORMAT, mark)] })
  }

  /** Without effect when another doubt, or none, is in force. */
  async clear(number: number): Promise<void> {
    if (this.#mark?.number !== number) return
    await this.#store.write({ deletes: [KEY] })
    // A doubt that arose meanwhile was written behind the delete.
    if (this.#mark.number === number) this.#mark = undefined
  }
}
