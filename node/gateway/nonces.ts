/**
 * Numbers that nobody can guess, 53 bits each, drawn from the system many at a time: a draw for each request would cost more
 * than the request.
 */
import { randomFillSync } from 'node:crypto'

const DRAWN_AT_A_TIME = 1_024

export class Nonces {
  readonly #words = new Uint32Array(2 * DRAWN_AT_A_TIME)
  #used = this.#words.length

  /** A safe integer, at least 0. */
  next(): number {
    if (this.#used === this.#words.length) {
      randomFillSync(this.#words)
      this.#used = 0
    }
    const high = this.#words[this.#used++]! >>> 11
    return high * 2 ** 32 + this.#words[this.#used++]!
  }
}
