/**
 * Tells from regular looks at what is first in line when it has stood still for long enough to be sent again: after one look,
 * then after two more, four, up to `LOOKS_MAX`. A cluster that is merely slow must not be given more to do the slower it is.
 */

const LOOKS_MAX = 16

export class Stall {
  #head: Uint8Array | undefined
  #pause = 1
  /** Looks until the head is to be sent again. */
  #left = 1

  /** To be called at each look. True: `head` is to be sent again now. */
  isDue(head: Uint8Array | undefined): boolean {
    if (head !== this.#head) {
      this.reset()
      this.#head = head
      return false
    }
    if (head === undefined || --this.#left > 0) return false
    this.#pause = Math.min(2 * this.#pause, LOOKS_MAX)
    this.#left = this.#pause
    return true
  }

  /** Everything was sent again just now: the head gets its time anew. */
  reset(): void {
    this.#head = undefined
    this.#pause = 1
    this.#left = 1
  }
}
