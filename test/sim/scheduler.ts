/**
 * Simulated time: one heap of events, ordered by (time, order of arrival), and the loop that runs them one by one.
 *
 * Never: real time. After each event the loop lets every promise settle before the next one starts, so that a run is a
 * function of its seed: Node runs its nextTick queue only when the microtask queue is empty, so one awaited nextTick is a complete
 * drain where nothing that is simulated uses nextTick; where something does, each link of a chain of them takes one more.
 */

interface Event {
  readonly time: number
  readonly order: number
  /** Undefined once cancelled; the empty event stays in the heap until its time. */
  run: (() => void) | undefined
}

function before(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order)
}

/** Resolves when no microtask is left. */
function microtasksDrained(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve))
}

export class Scheduler {
  readonly #heap: Event[] = []
  #arrivals = 0
  #time = 0
  #executed = 0
  readonly #drains: number

  constructor(drains = 1) {
    this.#drains = drains
  }

  /** Milliseconds since the run began. */
  now(): number {
    return this.#time
  }

  /** How many events have run. */
  get steps(): number {
    return this.#executed
  }

  /** Runs `callback` after `ms`; the returned function cancels. Events of equal time run in the order of their calls. */
  after(ms: number, callback: () => void): () => void {
    const event: Event = { time: this.#time + Math.max(0, ms), order: this.#arrivals++, run: callback }
    this.#push(event)
    return () => {
      event.run = undefined
    }
  }

  /**
   * Runs events until `time` (inclusive) or until `stop` says so; `afterEach` sees the state when all promises of
   * an event have settled.
   */
  async runUntil(time: number, afterEach: () => void, stop: () => boolean = () => false): Promise<void> {
    for (;;) {
      const event = this.#heap[0]
      if (event === undefined || event.time > time) break
      this.#pop()
      if (event.run === undefined) continue
      this.#time = event.time
      this.#executed++
      event.run()
      for (let i = 0; i < this.#drains; i++) await microtasksDrained()
      afterEach()
      if (stop()) return
    }
    this.#time = Math.max(this.#time, time)
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(event, heap[parent] as Event)) break
      heap[at] = heap[parent] as Event
      at = parent
    }
    heap[at] = event
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as Event
    const size = heap.length
    if (size === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      if (child + 1 < size && before(heap[child + 1] as Event, heap[child] as Event)) child++
      if (!before(heap[child] as Event, last)) break
      heap[at] = heap[child] as Event
      at = child
    }
    heap[at] = last
  }
}
