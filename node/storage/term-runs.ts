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
  readonly #runs: TermRun[] = []

  get runs(): readonly TermRun[] {
    return this.#runs
  }

  /** Term of the last entry; 0 when there is none. */
  get lastTerm(): Term {
    return this.#runs.at(-1)?.term ?? 0
  }

  push(index: LogIndex, term: Term): void {
    if (this.#runs.length === 0 || term !== this.lastTerm) this.#runs.push({ firstIndex: index, term })
  }

  /** Forgets the entries from `index` on. */
  truncate(index: LogIndex): void {
    while (this.#runs.length > 0 && this.#runs.at(-1)!.firstIndex >= index) this.#runs.pop()
  }
}
