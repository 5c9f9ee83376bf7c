/**
 * The one way to say "this cannot be": a broken invariant ends the process, it is never handled.
 *
 * Never: used for bad input or for failures of disk and network. Those are values or rejections; an InvariantError means
 * that this program, or the data it trusts, is wrong, and that going on could destroy more.
 */

/** A promise that the code makes to itself does not hold. Nobody catches it but to stop. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** Throws InvariantError unless `condition` holds. Pass a function when building the text costs something. */
export function invariant(condition: unknown, message: string | (() => string)): asserts condition {
  if (!condition) throw new InvariantError(typeof message === 'string' ? message : message())
}
