/**
 * What the cluster can bear: it promises to survive only so much at a time, and the nemesis keeps to that.
 */
import type { Member, RaftStatus } from '../../../raft/index.ts'
import type { SimulatedNode } from '../node.ts'
import type { Realm } from './realm.ts'

export class Bearable {
  readonly #realm: Realm

  constructor(realm: Realm) {
    this.#realm = realm
  }

  /** How many members may be missing. */
  get #bearable(): number {
    return Math.floor((this.#voters().length - 1) / 2)
  }

  get #isFounded(): boolean {
    return this.#realm.nodes.some(({ core }) => core?.group.driver.status().membership !== undefined)
  }

  /** A minority may lose what it had synced: with this node, and with those that are down and may have a torn end as well. */
  mayLose(node: SimulatedNode): boolean {
    const others = this.#realm.nodes.filter((other) => other !== node && !this.isWhole(other))
    return this.#isFounded && this.isWhole(node) && others.length < this.#bearable
  }

  /**
   * A crash may tear the log's end, and a node in doubt votes only if all voters answer; one whose directory was emptied never
   * will. So while there is one of those, the others go down only as far as a majority remains that needs nobody's word.
   */
  mayCrash(node: SimulatedNode): boolean {
    const { nodes } = this.#realm
    if (nodes.every((other) => !other.isReplaced(this.#voters()))) return true
    const others = nodes.filter((other) => other !== node && !this.isWhole(other))
    return others.length < this.#bearable
  }

  /** It is up and about to stay so, its word counts, and it is the member that the cluster knows. */
  isWhole(node: SimulatedNode): boolean {
    const status = node.core?.group.driver.status()
    const { isFailing, isRotten } = node.disk
    return status?.doubt === 0 && !isFailing && !isRotten && node.isAmong(this.#voters())
  }

  /**
   * Voters by the word of whoever has applied most; none while anybody has begun a change: of fewer voters, which are to be, a minority may
   * be nobody.
   */
  #voters(): readonly Member[] {
    const statuses = this.#realm.nodes.flatMap(({ core }) => core?.group.driver.status() ?? [])
    if (statuses.some(({ membership }) => (membership?.votersOutgoing.length ?? 0) > 0)) return []
    let best: RaftStatus | undefined
    for (const status of statuses) if (status.appliedIndex >= (best?.appliedIndex ?? 0)) best = status
    return best?.membership?.voters ?? []
  }
}
