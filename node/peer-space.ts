/**
 * Which members say that their disks are nearly full. A node whose disk is full stops; so a leader takes no more messages in when those with
 * room are no majority any more: they would be the last ones that the cluster takes, and nobody could take them out.
 *
 * A saying holds for a while and is repeated while it is true: a node that has gone has said nothing. One that comes back says how it stands.
 *
 * Never: looks at this node's own disk (disk-space.ts).
 */
import { type Clock, type Electorate, type NodeId, reachedByQuorum } from '../raft/index.ts'

/** Three looks of a node at its disk, milliseconds. */
const HOLDS_MS = 3_000

export interface PeerSpaceOptions {
  readonly clock: Clock
  /** Undefined: not known yet. */
  readonly electorate: () => Electorate<{ readonly id: NodeId }> | undefined
}

export class PeerSpace {
  readonly #options: PeerSpaceOptions
  /** Node to what takes its saying back. */
  readonly #full = new Map<NodeId, () => void>()

  constructor(options: PeerSpaceOptions) {
    this.#options = options
  }

  /** What the node says of its disk. */
  heard(node: NodeId, isFull: boolean): void {
    this.#full.get(node)?.()
    this.#full.delete(node)
    if (!isFull) return
    const cancel = this.#options.clock.setTimer(HOLDS_MS, () => this.#full.delete(node))
    this.#full.set(node, cancel)
  }

  /** The voters with room are no majority. Asked for each publish: mostly nobody says anything. */
  get isShort(): boolean {
    if (this.#full.size === 0) return false
    const electorate = this.#options.electorate()
    return electorate !== undefined && reachedByQuorum(electorate, ({ id }) => (this.#full.has(id) ? 0 : 1)) < 1
  }

  stop(): void {
    for (const cancel of this.#full.values()) cancel()
    this.#full.clear()
  }
}
