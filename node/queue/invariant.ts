/** A broken invariant: a defect of ours. Nobody catches it; the process ends before it can do harm. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}
