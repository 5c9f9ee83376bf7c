/**
 * A set of log indexes as pages of bits: which entries messages still refer to, hence which bodies must be kept. A dense range costs
 * a bit an entry, a lonely index one page.
 *
 * Never: removal; a set is gathered once, from one state.
 */
const PAGE_BITS = 2 ** 15
const PAGE_WORDS = PAGE_BITS / 32

export class EntrySet {
  readonly #pages = new Map<number, Uint32Array>()
  #size = 0
  /** The page written last, which is mostly the next one too. */
  #page: Uint32Array | undefined
  #pageNumber = -1

  get size(): number {
    return this.#size
  }

  has(index: number): boolean {
    const bit = index % PAGE_BITS
    const word = this.#pages.get((index - bit) / PAGE_BITS)?.[bit >> 5] ?? 0
    return (word & (1 << (bit & 31))) !== 0
  }

  /** `index` is a log index: an integer that is not negative. */
  add(index: number): void {
    const bit = index % PAGE_BITS
    const page = this.#pageOf((index - bit) / PAGE_BITS)
    const mask = 1 << (bit & 31)
    const word = page[bit >> 5]!
    if ((word & mask) !== 0) return
    page[bit >> 5] = word | mask
    this.#size++
  }

  /** In rising order. */
  *[Symbol.iterator](): IterableIterator<number> {
    for (const number of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const page = this.#pages.get(number)!
      for (let at = 0; at < PAGE_WORDS; at++) {
        for (let word = page[at]!; word !== 0; word &= word - 1) {
          yield number * PAGE_BITS + at * 32 + (31 - Math.clz32(word & -word))
        }
      }
    }
  }

  #pageOf(number: number): Uint32Array {
    if (number === this.#pageNumber && this.#page !== undefined) return this.#page
    let page = this.#pages.get(number)
    if (page === undefined) {
      page = new Uint32Array(PAGE_WORDS)
      this.#pages.set(number, page)
    }
    this.#page = page
    this.#pageNumber = number
    return page
  }
}
