/** A broken promise of Raft, of the log or of the cluster, found by a checker: ends the run that it happened in. */
export class Violation extends Error {
  /** The checker's name for what was broken; the same word for the same rule, so that reports can be compared. */
  readonly invariant: string

  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`)
    this.name = 'Violation'
    this.invariant = invariant
  }
}
