/**
 * The messages of one queue that nobody got yet, first in first out: references (log index, position in the entry), 12 bytes each,
 * in blocks of typed arrays. No object per message, so a backlog of millions is nothing to the garbage collector.
 *
 * Never: bodies; messages that were delivered before (message-heap.ts).
 *
 * Invariant: (index, position) rises from head to tail, because messages come in the order of the log.
 */

/** Blocks double up to the largest, so that a hundred thousand quiet queues cost little and a backlog has few blocks. */
const BLOCK_ROWS_MIN = 16
const BLOCK_ROWS_MAX = 4096
/** An emptied queue keeps its block for the next frame if it is no larger than this. */
const BLOCK_ROWS_KEPT = 256

interface Block {
  readonly indexes: Float64Array
  readonly positions: Uint32Array
  /** First row not yet taken. */
  head: number
  /** First row not yet written. */
  tail: number
  next: Block | undefined
}

export class ReadyMessages {
  #first: Block | undefined
  #last: Block | undefined
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Log index of the first message. The list must not be empty. */
  get index(): number {
    const block = this.#first!
    return block.indexes[block.head]!
  }

  /** Position of the first message in its entry. The list must not be empty. */
  get position(): number {
    const block = this.#first!
    return block.positions[block.head]!
  }

  /** Appends `count` messages of the entry at `index`, with consecutive positions. */
  pushRun(index: number, firstPosition: number, count: number): void {
    this.#length += count
    let position = firstPosition
    const end = firstPosition + count
    while (position < end) {
      const block = this.#writable()
      const rows = Math.min(block.indexes.length - block.tail, end - position)
      const stop = block.tail + rows
      block.indexes.fill(index, block.tail, stop)
      for (let row = block.tail; row < stop; row++) block.positions[row] = position++
      block.tail = stop
    }
  }

  /** Takes the first message away. The list must not be empty. */
  shift(): void {
    const block = this.#first!
    block.head++
    this.#length--
    if (block.head < block.tail) return
    if (this.#length > 0) {
      this.#first = block.next
    } else if (block.indexes.length <= BLOCK_ROWS_KEPT) {
      block.head = 0
      block.tail = 0
    } else {
      this.clear()
    }
  }

  clear(): void {
    this.#first = undefined
    this.#last = undefined
    this.#length = 0
  }

  /** Visits all messages in order. */
  forEach(visit: (index: number, position: number) => void): void {
    for (let block = this.#first; block !== undefined; block = block.next) {
      for (let row = block.head; row < block.tail; row++) visit(block.indexes[row]!, block.positions[row]!)
    }
  }

  #writable(): Block {
    const last = this.#last
    if (last !== undefined && last.tail < last.indexes.length) return last
    const rows = last === undefined ? BLOCK_ROWS_MIN : Math.min(2 * last.indexes.length, BLOCK_ROWS_MAX)
    const block: Block = {
      indexes: new Float64Array(rows),
      positions: new Uint32Array(rows),
      head: 0,
      tail: 0,
      next: undefined,
    }
    if (last === undefined) this.#first = block
    else last.next = block
    this.#last = block
    return block
  }
}
