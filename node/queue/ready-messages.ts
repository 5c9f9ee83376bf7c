/**
 * The messages of one queue that nobody got yet, first in first out: references (log index, position in the entry), as runs of
 * consecutive positions in blocks of typed arrays. A frame of a hundred messages is one row, and a backlog of millions is nothing to
 * the garbage collector.
 *
 * A block is written once, from its first row to its last, so that a capture shares it by reference; only a small block that
 * was emptied is written again, and not while a capture may read it.
 *
 * Never: bodies; messages that were delivered before (message-heap.ts).
 *
 * Invariants: (1) (index, position) rises from head to tail, because messages come in the order of the log; (2) two neighbouring runs
 * are never one run cut in two, so equal lists hold equal runs.
 */

/** Blocks double up to the largest, so that a hundred thousand quiet queues cost little and a backlog has few blocks. */
const BLOCK_ROWS_MIN = 8
const BLOCK_ROWS_MAX = 4096
/** An emptied queue keeps its block for the next frame if it is no larger than this. */
const BLOCK_ROWS_KEPT = 64

interface Block {
  readonly indexes: Float64Array
  /** Position of each run's first message. */
  readonly positions: Uint32Array
  readonly counts: Uint32Array
  /** First row not yet written. */
  tail: number
  next: Block | undefined
  /** A capture may read it: it must not be written from its first row again. */
  captured: boolean
}

export class ReadyMessages {
  #first: Block | undefined
  #last: Block | undefined
  /** Row of the first message's run, in the first block. */
  #head = 0
  /** Messages of that run that are gone. */
  #taken = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Log index of the first message. The list must not be empty. */
  get index(): number {
    return this.#first!.indexes[this.#head]!
  }

  /** Position of the first message in its entry. The list must not be empty. */
  get position(): number {
    return this.#first!.positions[this.#head]! + this.#taken
  }

  /** Appends `count` messages, at least one, of the entry at `index`, with consecutive positions. */
  pushRun(index: number, firstPosition: number, count: number): void {
    this.#length += count
    const last = this.#last
    if (last !== undefined && this.#length > count) {
      const row = last.tail - 1
      if (last.indexes[row] === index && last.positions[row]! + last.counts[row]! === firstPosition) {
        last.counts[row] = last.counts[row]! + count
        return
      }
    }
    const block = this.#writable()
    const row = block.tail++
    block.indexes[row] = index
    block.positions[row] = firstPosition
    block.counts[row] = count
  }

  /** Takes the first message away. The list must not be empty. */
  shift(): void {
    const block = this.#first!
    this.#length--
    if (++this.#taken < block.counts[this.#head]!) return
    this.#taken = 0
    if (++this.#head < block.tail) return
    this.#head = 0
    if (this.#length > 0) {
      this.#first = block.next
    } else if (block.indexes.length <= BLOCK_ROWS_KEPT && !block.captured) {
      block.tail = 0
    } else {
      this.clear()
    }
  }

  clear(): void {
    this.#first = undefined
    this.#last = undefined
    this.#head = 0
    this.#taken = 0
    this.#length = 0
  }

  /** What is in the list now, to be read later, whatever happens to the list. Costs the same whatever its length. */
  capture(): CapturedMessages | undefined {
    if (this.#length === 0) return undefined
    // Only the last block is ever emptied with its queue, hence kept.
    this.#last!.captured = true
    return new CapturedMessages(this.#first!, this.#head, this.#taken, this.#length)
  }

  /** Visits all messages in order, as runs. */
  forEachRun(visit: (index: number, firstPosition: number, count: number) => void): void {
    let row = this.#head
    let taken = this.#taken
    for (let block = this.#first; block !== undefined; block = block.next) {
      for (; row < block.tail; row++) {
        visit(block.indexes[row]!, block.positions[row]! + taken, block.counts[row]! - taken)
        taken = 0
      }
      row = 0
    }
  }

  #writable(): Block {
    const last = this.#last
    if (last !== undefined && last.tail < last.indexes.length) return last
    const rows = last === undefined ? BLOCK_ROWS_MIN : Math.min(2 * last.indexes.length, BLOCK_ROWS_MAX)
    const block: Block = {
      indexes: new Float64Array(rows),
      positions: new Uint32Array(rows),
      counts: new Uint32Array(rows),
      tail: 0,
      next: undefined,
      captured: false,
    }
    if (last === undefined) this.#first = block
    else last.next = block
    this.#last = block
    return block
  }
}

/** A list as it was when it was captured, read once from its first run to its last. */
export class CapturedMessages {
  #block: Block | undefined
  #row: number
  #taken: number
  /** Messages that are left. The last run of the list may have grown since; this says how much of it was captured. */
  #left: number

  constructor(first: Block, head: number, taken: number, length: number) {
    this.#block = first
    this.#row = head
    this.#taken = taken
    this.#left = length
  }

  get left(): number {
    return this.#left
  }

  /** Of the first run that is left; there must be one. The same holds for the next two. */
  get index(): number {
    return this.#block!.indexes[this.#row]!
  }

  get position(): number {
    return this.#block!.positions[this.#row]! + this.#taken
  }

  get count(): number {
    return Math.min(this.#block!.counts[this.#row]! - this.#taken, this.#left)
  }

  /** Goes on to the next run. */
  shift(): void {
    const block = this.#block!
    this.#left -= this.count
    this.#taken = 0
    if (++this.#row < block.indexes.length) return
    this.#block = block.next
    this.#row = 0
  }
}
