/**
 * Timers as part of the state (trap 33): a binary heap by (time, rank, id), a total order, so that every replica runs due timers
 * alike whatever the heap's history. A timer knows its slot, so that moving or stopping it leaves nothing behind.
 *
 * Never: a clock. Time is the machine's own, from the stamps of entries.
 */
export class Timer<T> {
  /** What it is for. */
  readonly due: T
  /** Order among timers of the same time: kind first, then the owner's id. No two timers share both. */
  readonly rank: number
  readonly id: number
  /** Machine time, milliseconds; Infinity while stopped. Written by TimerHeap alone. */
  atMs = Number.POSITIVE_INFINITY
  /** Place in the heap; -1 while stopped. Written by TimerHeap alone. */
  slot = -1

  constructor(due: T, rank: number, id: number) {
    this.due = due
    this.rank = rank
    this.id = id
  }
}

export class TimerHeap<T> {
  readonly #heap: Timer<T>[] = []

  get first(): Timer<T> | undefined {
    return this.#heap[0]
  }

  /** Starts the timer, or moves it. */
  set(timer: Timer<T>, atMs: number): void {
    if (timer.slot < 0) {
      timer.slot = this.#heap.length
      this.#heap.push(timer)
    }
    timer.atMs = atMs
    this.#rise(timer)
    this.#sink(timer)
  }

  /** Makes sure that it runs at `atMs` or before. */
  setNoLater(timer: Timer<T>, atMs: number): void {
    if (atMs < timer.atMs) this.set(timer, atMs)
  }

  stop(timer: Timer<T>): void {
    if (timer.slot < 0) return
    const last = this.#heap.pop()!
    if (last !== timer) {
      this.#place(last, timer.slot)
      this.#rise(last)
      this.#sink(last)
    }
    timer.slot = -1
    timer.atMs = Number.POSITIVE_INFINITY
  }

  #rise(timer: Timer<T>): void {
    let slot = timer.slot
    while (slot > 0) {
      const parent = this.#heap[(slot - 1) >> 1]!
      if (!isBefore(timer, parent)) break
      const above = parent.slot
      this.#place(parent, slot)
      slot = above
    }
    this.#place(timer, slot)
  }

  #sink(timer: Timer<T>): void {
    let slot = timer.slot
    for (;;) {
      const left = this.#heap[2 * slot + 1]
      const right = this.#heap[2 * slot + 2]
      if (left === undefined) break
      const child = right !== undefined && isBefore(right, left) ? right : left
      if (!isBefore(child, timer)) break
      const below = child.slot
      this.#place(child, slot)
      slot = below
    }
    this.#place(timer, slot)
  }

  #place(timer: Timer<T>, slot: number): void {
    this.#heap[slot] = timer
    timer.slot = slot
  }
}

function isBefore<T>(a: Timer<T>, b: Timer<T>): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs
  if (a.rank !== b.rank) return a.rank < b.rank
  return a.id < b.id
}
