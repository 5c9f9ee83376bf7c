/**
 * The deliveries of one consumer that are not settled yet, in columns ordered by delivery number. Numbers rise by one, so
 * a run of settles is one search and a walk. A settled row stays as a hole until the rows before it are gone too, or
 * until the columns are full and holes are squeezed out; so memory follows what is open, not how long the oldest stays open.
 *
 * A row number is valid until the next `add`. Callers ask `isOpen` before they read or remove a row. A capture shares the columns until
 * one of the two changes, which copies them then.
 */
const ROWS_MIN = 16
/** What columns without rows share: most queues and consumers of a large cluster are idle. */
const NO_FLOATS = new Float64Array(0)
const NO_WORDS = new Uint32Array(0)
const NO_HALVES = new Uint16Array(0)
/** Columns that are emptied are kept for the next deliveries if they have no more rows than this. */
const ROWS_KEPT = 1024

export class OpenDeliveries {
  #deliveries = NO_FLOATS
  #indexes = NO_FLOATS
  #positions = NO_WORDS
  /** 0 marks a hole: attempts count from 1. */
  #attempts = NO_HALVES
  #deadlines = NO_FLOATS
  #start = 0
  #end = 0
  #size = 0
  /** A capture reads the columns: they are copied before they change. */
  #isShared = false

  /** Deliveries that are open. */
  get size(): number {
    return this.#size
  }

  /** First row; rows go up to `endRow`, which is none. */
  get startRow(): number {
    return this.#start
  }

  get endRow(): number {
    return this.#end
  }

  /** Appends; `delivery` is above all former ones. A capture does not see rows behind its own. */
  add(delivery: number, index: number, position: number, attempt: number, deadlineMs: number): void {
    if (this.#end === this.#deliveries.length) this.#makeRoom()
    const row = this.#end++
    this.#deliveries[row] = delivery
    this.#indexes[row] = index
    this.#positions[row] = position
    this.#attempts[row] = attempt
    this.#deadlines[row] = deadlineMs
    this.#size++
  }

  /** The first row whose delivery number is not below `delivery`; `endRow` if there is none. */
  lowerBound(delivery: number): number {
    if (this.#start === this.#end) return this.#end
    const guess = this.#start + (delivery - this.#deliveries[this.#start]!)
    if (guess >= this.#start && guess < this.#end && this.#deliveries[guess] === delivery) return guess
    let low = this.#start
    let high = this.#end
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#deliveries[middle]! < delivery) low = middle + 1
      else high = middle
    }
    return low
  }

  isOpen(row: number): boolean {
    return this.#attempts[row]! > 0
  }

  deliveryAt(row: number): number {
    return this.#deliveries[row]!
  }

  indexAt(row: number): number {
    return this.#indexes[row]!
  }

  positionAt(row: number): number {
    return this.#positions[row]!
  }

  attemptAt(row: number): number {
    return this.#attempts[row]!
  }

  /** Machine time, milliseconds. */
  deadlineAt(row: number): number {
    return this.#deadlines[row]!
  }

  setDeadline(row: number, deadlineMs: number): void {
    if (this.#isShared) this.#own()
    this.#deadlines[row] = deadlineMs
  }

  /** Makes an open row a hole. */
  remove(row: number): void {
    if (this.#isShared) this.#own()
    this.#attempts[row] = 0
    if (--this.#size === 0) return this.clear()
    while (this.#attempts[this.#start] === 0) this.#start++
  }

  clear(): void {
    this.#start = 0
    this.#end = 0
    this.#size = 0
    if (this.#deliveries.length > ROWS_KEPT) this.#columns(new OpenDeliveries())
  }

  /** What is open now, to be read later whatever happens here; undefined when nothing is. */
  capture(): OpenDeliveries | undefined {
    if (this.#size === 0) return undefined
    const copy = new OpenDeliveries()
    copy.#columns(this)
    copy.#start = this.#start
    copy.#end = this.#end
    copy.#size = this.#size
    copy.#isShared = true
    this.#isShared = true
    return copy
  }

  /** Takes the columns of another one over. */
  #columns(of: OpenDeliveries): void {
    this.#deliveries = of.#deliveries
    this.#indexes = of.#indexes
    this.#positions = of.#positions
    this.#attempts = of.#attempts
    this.#deadlines = of.#deadlines
    this.#isShared = of.#isShared
  }

  #own(): void {
    this.#deliveries = this.#deliveries.slice()
    this.#indexes = this.#indexes.slice()
    this.#positions = this.#positions.slice()
    this.#attempts = this.#attempts.slice()
    this.#deadlines = this.#deadlines.slice()
    this.#isShared = false
  }

  /** Squeezes holes out, into larger columns when more than half of the rows are open, and never where a capture reads. */
  #makeRoom(): void {
    const rows = Math.max(ROWS_MIN, 2 * this.#size > this.#end ? 2 * this.#end : this.#end)
    const moves = rows > this.#deliveries.length || this.#isShared
    const deliveries = moves ? new Float64Array(rows) : this.#deliveries
    const indexes = moves ? new Float64Array(rows) : this.#indexes
    const positions = moves ? new Uint32Array(rows) : this.#positions
    const attempts = moves ? new Uint16Array(rows) : this.#attempts
    const deadlines = moves ? new Float64Array(rows) : this.#deadlines
    let to = 0
    for (let row = this.#start; row < this.#end; row++) {
      if (this.#attempts[row] === 0) continue
      deliveries[to] = this.#deliveries[row]!
      indexes[to] = this.#indexes[row]!
      positions[to] = this.#positions[row]!
      attempts[to] = this.#attempts[row]!
      deadlines[to] = this.#deadlines[row]!
      to++
    }
    this.#deliveries = deliveries
    this.#indexes = indexes
    this.#positions = positions
    this.#attempts = attempts
    this.#deadlines = deadlines
    this.#isShared = false
    this.#start = 0
    this.#end = to
  }
}
