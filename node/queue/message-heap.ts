/**
 * Messages that were delivered before and are back: a binary heap in columns, ordered by (due time, log index, position). A
 * queue has two: `returned`, all due at 0, hence in their old order (trap 41), and `delayed`, due when their nack said.
 *
 * The heap's layout depends on its history; whoever compares two heaps takes their rows in order. A capture shares the columns
 * until the heap changes, which copies them then: at the cost of a memory copy, and only for what changes.
 */
const ROWS_MIN = 16
/** What columns without rows share: most queues and consumers of a large cluster are idle. */
const NO_FLOATS = new Float64Array(0)
const NO_WORDS = new Uint32Array(0)
const NO_HALVES = new Uint16Array(0)

export class MessageHeap {
  #dueMs = NO_FLOATS
  #indexes = NO_FLOATS
  #positions = NO_WORDS
  #attempts = NO_HALVES
  #length = 0
  /** A capture reads the columns: they are copied before they change. */
  #isShared = false

  get length(): number {
    return this.#length
  }

  /** Of the first message; the heap must not be empty. The same holds for the next three. */
  get dueMs(): number {
    return this.#dueMs[0]!
  }

  get index(): number {
    return this.#indexes[0]!
  }

  get position(): number {
    return this.#positions[0]!
  }

  /** How often it was delivered so far. */
  get attempts(): number {
    return this.#attempts[0]!
  }

  push(dueMs: number, index: number, position: number, attempts: number): void {
    if (this.#isShared) this.#resize(this.#dueMs.length)
    if (this.#length === this.#dueMs.length) this.#resize(Math.max(ROWS_MIN, 2 * this.#length))
    let row = this.#length++
    while (row > 0) {
      const parent = (row - 1) >> 1
      if (!this.#isAfter(parent, dueMs, index, position)) break
      this.#move(parent, row)
      row = parent
    }
    this.#write(row, dueMs, index, position, attempts)
  }

  /** Takes the first message away. The heap must not be empty. */
  shift(): void {
    if (this.#isShared) this.#resize(this.#dueMs.length)
    const last = --this.#length
    const dueMs = this.#dueMs[last]!
    const index = this.#indexes[last]!
    const position = this.#positions[last]!
    const attempts = this.#attempts[last]!
    let row = 0
    for (;;) {
      let child = 2 * row + 1
      if (child >= last) break
      const right = child + 1
      if (right < last && this.#isAfter(child, this.#dueMs[right]!, this.#indexes[right]!, this.#positions[right]!)) {
        child = right
      }
      if (this.#isAfter(child, dueMs, index, position)) break
      this.#move(child, row)
      row = child
    }
    this.#write(row, dueMs, index, position, attempts)
    if (last === 0) this.clear()
    else if (last > ROWS_MIN && 4 * last < this.#dueMs.length) this.#resize(2 * last)
  }

  clear(): void {
    this.#length = 0
    if (this.#dueMs.length > ROWS_MIN) this.#resize(0)
  }

  /**
   * A heap of the same messages, which whoever asked for it may empty; undefined when there are none. Both share the columns until one
   * of them changes.
   */
  capture(): MessageHeap | undefined {
    if (this.#length === 0) return undefined
    const copy = new MessageHeap()
    copy.#dueMs = this.#dueMs
    copy.#indexes = this.#indexes
    copy.#positions = this.#positions
    copy.#attempts = this.#attempts
    copy.#length = this.#length
    copy.#isShared = true
    this.#isShared = true
    return copy
  }

  /** Whether the message in `row` comes after the given one. No two messages of a heap are equal. */
  #isAfter(row: number, dueMs: number, index: number, position: number): boolean {
    if (this.#dueMs[row] !== dueMs) return this.#dueMs[row]! > dueMs
    if (this.#indexes[row] !== index) return this.#indexes[row]! > index
    return this.#positions[row]! > position
  }

  #move(from: number, to: number): void {
    this.#dueMs[to] = this.#dueMs[from]!
    this.#indexes[to] = this.#indexes[from]!
    this.#positions[to] = this.#positions[from]!
    this.#attempts[to] = this.#attempts[from]!
  }

  #write(row: number, dueMs: number, index: number, position: number, attempts: number): void {
    this.#dueMs[row] = dueMs
    this.#indexes[row] = index
    this.#positions[row] = position
    this.#attempts[row] = attempts
  }

  #resize(rows: number): void {
    const kept = this.#length
    const dueMs = new Float64Array(rows)
    const indexes = new Float64Array(rows)
    const positions = new Uint32Array(rows)
    const attempts = new Uint16Array(rows)
    dueMs.set(this.#dueMs.subarray(0, kept))
    indexes.set(this.#indexes.subarray(0, kept))
    positions.set(this.#positions.subarray(0, kept))
    attempts.set(this.#attempts.subarray(0, kept))
    this.#dueMs = dueMs
    this.#indexes = indexes
    this.#positions = positions
    this.#attempts = attempts
    this.#isShared = false
  }
}
