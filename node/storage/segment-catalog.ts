/**
 * Which segments the log consists of, and which of them may go.
 *
 * A segment may hold records that make records of older segments void: entries that replaced others, a restart of the log, damage
 * behind which something was given up. It *guards* them: were it removed first, the next start would take what it had made void for
 * good. So such a segment goes only when none is left between the lowest one in which such records may lie and itself. What those had
 * made void in their turn is gone by then, for they were guards too. Of a log with damage, no segment may go before an older one up
 * to where a start has told of the damage: any of them may be what proves that records before the damage still count.
 *
 * Never: I/O.
 */

export interface SegmentInfo {
  readonly sequence: number
  /** Size of the file. */
  readonly bytes: number
  /** It may go only when all from this one up to itself are gone. Its own sequence: at any time. */
  guardsFrom: number
}

export class SegmentCatalog {
  /** Rising. */
  readonly #segments = new Map<number, SegmentInfo>()
  #suspectUpTo = 0

  get size(): number {
    return this.#segments.size
  }

  /** The lowest sequence; there is one in use at any time that something is removed. */
  get first(): number {
    return this.#segments.keys().next().value as number
  }

  /** Adds one that is newer than all others. */
  add(sequence: number, bytes: number): void {
    this.#segments.set(sequence, { sequence, bytes, guardsFrom: sequence })
  }

  /** The segment has taken records that make records void in segments from `voidsFrom` on. */
  guard(sequence: number, voidsFrom: number): void {
    const segment = this.#segments.get(sequence)
    if (segment !== undefined) segment.guardsFrom = Math.min(segment.guardsFrom, voidsFrom)
  }

  /** Something is damaged in `sequence`, or it is missing, and segment `until` is the one that tells of it. */
  distrust(sequence: number, until: number): void {
    this.#suspectUpTo = Math.max(this.#suspectUpTo, sequence)
    for (const segment of this.#segments.values()) {
      if (segment.sequence <= until) segment.guardsFrom = 0
    }
  }

  /** Damage lies in it or behind it: it had better be rewritten, so that those which guard it can go. */
  isSuspect(sequence: number): boolean {
    return sequence <= this.#suspectUpTo
  }

  /** Those before `sequence`, rising. */
  before(sequence: number): SegmentInfo[] {
    return [...this.#segments.values()].filter((segment) => segment.sequence < sequence)
  }

  /** Of these candidates, rising, those that may go now, in one step. */
  removable(candidates: ReadonlySet<number>): number[] {
    const found: number[] = []
    /** The newest one so far that stays. */
    let kept = -1
    for (const { sequence, guardsFrom } of this.#segments.values()) {
      if (candidates.has(sequence) && kept < guardsFrom) found.push(sequence)
      else kept = sequence
    }
    return found
  }

  /** Returns what was known of those. */
  remove(sequences: readonly number[]): SegmentInfo[] {
    const removed = sequences.flatMap((sequence) => this.#segments.get(sequence) ?? [])
    for (const { sequence } of removed) this.#segments.delete(sequence)
    return removed
  }
}
