/**
 * The terms of a log, as runs: a log of millions of entries has as many runs as it had leaders.
 *
 * Invariant: both indexes and terms rise from run to run, because a log's terms never fall (paper §5.3).
 */
import type { LogIndex, Term } from '../../raft/index.ts'

export interface TermRun {
  readonly firstIndex: LogIndex
  readonly term: Term
}

export class TermRuns {
  #runs: TermRun[] = []
  #baseTerm: Term

  /** `baseTerm`: of the entry before the log's first; 0 when there is none. */
  constructor(baseTerm: Term = 0) {
    this.#baseTerm = baseTerm
  }

  get runs(): readonly TermRun[] {
    return this.#runs
  }

  get baseTerm(): Term {
    return this.#baseTerm
  }

  /** Term of the last entry, or of the one before the log when it is empty. */
  get lastTerm(): Term {
    return this.#runs.at(-1)?.term ?? this.#baseTerm
  }

  /** Of an entry of the log, or the one before it. */
  termAt(index: LogIndex): Term {
    let low = 0
    let high = this.#runs.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#runs[middle]!.firstIndex <= index) low = middle + 1
      else high = middle
    }
    return this.#runs[low - 1]?.term ?? this.#baseTerm
  }

  push(index: LogIndex, term: Term): void {
    if (this.#runs.length === 0 || term !== this.lastTerm) this.#runs.push({ firstIndex: index, term })
  }

  /** Forgets the entries from `index` on. */
  truncate(index: LogIndex): void {
    while (this.#runs.length > 0 && this.#runs.at(-1)!.firstIndex >= index) this.#runs.pop()
  }

  /** Forgets the entries before `index`, of a log that ends at `lastIndex`; the one before it becomes the base. */
  dropBefore(index: LogIndex, lastIndex: LogIndex): void {
    if (index > lastIndex) {
      this.restart(this.lastTerm)
      return
    }
    const first = this.#runs[0]
    if (first === undefined || first.firstIndex >= index) return
    this.#baseTerm = this.termAt(index - 1)
    const later = this.#runs.findIndex((run) => run.firstIndex >= index)
    const rest = later === -1 ? [] : this.#runs.slice(later)
    const before = this.#runs[(later === -1 ? this.#runs.length : later) - 1]!
    // The run that goes on past `index`, unless another begins right there.
    this.#runs = rest[0]?.firstIndex === index ? rest : [{ firstIndex: index, term: before.term }, ...rest]
  }

  restart(baseTerm: Term): void {
    this.#runs = []
    this.#baseTerm = baseTerm
  }
}
