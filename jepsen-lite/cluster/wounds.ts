/**
 * Who may be hurt: a replicated log keeps its promises while the disks of a majority are whole, so faults of disks and directories take turns.
 * A node is whole again when it says so itself, some time after its fault was mended.
 */
export class Wounds {
  readonly #woundsMax: number
  /** By node: faults that are not mended yet; and since when (monotonic milliseconds) there is none. */
  readonly #wounded = new Map<string, { open: number; mendedAtMs: number }>()

  constructor(nodes: number) {
    this.#woundsMax = Math.floor((nodes - 1) / 2)
  }

  /** False: too many would be hurt. */
  wound(node: string): boolean {
    const wounded = this.#wounded.get(node)
    if (wounded === undefined && this.#wounded.size >= this.#woundsMax) return false
    this.#wounded.set(node, { open: (wounded?.open ?? 0) + 1, mendedAtMs: 0 })
    return true
  }

  /** The fault is over; the node may still be mending itself. */
  mended(node: string, nowMs: number): void {
    const wounded = this.#wounded.get(node)
    if (wounded === undefined || wounded.open === 0) return
    this.#wounded.set(node, { open: wounded.open - 1, mendedAtMs: nowMs })
  }

  /** At `askedAtMs` or later the node said that it is whole. What it said before its fault was over does not count. */
  whole(node: string, askedAtMs: number): void {
    const wounded = this.#wounded.get(node)
    if (wounded !== undefined && wounded.open === 0 && wounded.mendedAtMs <= askedAtMs) this.#wounded.delete(node)
  }

  get nodes(): string[] {
    return [...this.#wounded.keys()]
  }
}
