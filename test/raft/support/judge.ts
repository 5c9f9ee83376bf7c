/**
 * What must hold in a cluster at all times: one leader a term that holds all that was committed, equal committed entries, commits on a
 * synced majority, logs that match. Whatever does not throws.
 */
import { decodeMembership, type Entry, EntryType, type Member, type NodeId, type Term } from '../../../raft/index.ts'
import { textOf } from './entries.ts'
import type { TestNode } from './test-node.ts'

export class Judge {
  readonly #nodes: ReadonlyMap<NodeId, TestNode>
  readonly #leaders = new Map<Term, NodeId>()
  readonly #committed: Entry[] = []

  constructor(nodes: ReadonlyMap<NodeId, TestNode>) {
    this.#nodes = nodes
  }

  /** What was applied somewhere. */
  get committed(): readonly Entry[] {
    return this.#committed
  }

  /** Election safety and leader completeness (§5.2, §5.4.3): what was applied anywhere is in the leader's log, or was. */
  checkLeader(node: TestNode, term: Term): void {
    const leader = this.#leaders.get(term) ?? node.id
    if (leader !== node.id) throw new Error(`${leader} and ${node.id} lead in term ${term}`)
    this.#leaders.set(term, node.id)
    const { base, log } = node.writtenLog
    for (const entry of this.#committed) {
      if (entry === undefined || entry.index <= base.index || log[entry.index - base.index - 1]?.term === entry.term)
        continue
      throw new Error(
        `${node.id} leads in term ${term} without the committed entry ${entry.index} of term ${entry.term}`,
      )
    }
  }

  /** Log matching (§5.3): logs that agree at an index agree at all before it that both still hold. */
  checkLogs(): void {
    for (const one of this.#nodes.values()) {
      for (const other of this.#nodes.values()) {
        if (one.id < other.id) this.#checkMatching(one, other)
      }
    }
  }

  #checkMatching(one: TestNode, other: TestNode): void {
    const first = Math.max(one.base.index, other.base.index)
    let isEqual = false
    for (let index = one.base.index + one.log.length; index >= first; index--) {
      const term = one.durableTermAt(index)
      if (term === undefined || term !== other.durableTermAt(index)) {
        if (isEqual) throw new Error(`${one.id} and ${other.id} differ at ${index}, but agree behind it`)
      } else isEqual = true
    }
  }

  /** State machine safety, and that whatever is applied anywhere is synced by a majority. */
  checkCommitted(by: TestNode, entry: Entry): void {
    const known = this.#committed[entry.index - 1]
    if (known === undefined) {
      if (!this.#isOnQuorum(by, entry)) throw new Error(`${by.id} applied ${entry.index}, which no quorum has synced`)
      this.#committed[entry.index - 1] = entry
    } else if (known.term !== entry.term || textOf(known) !== textOf(entry)) {
      throw new Error(`${by.id} applied another entry ${entry.index} of term ${entry.term}, not ${known.term}`)
    }
  }

  /**
   * Whether a majority of each list has synced it, by the membership of then: the one in force at the entry, or a later one under
   * which it was counted.
   */
  #isOnQuorum(node: TestNode, entry: Entry): boolean {
    const forgotten = node.checkpoint === undefined ? [] : [node.checkpoint.mark.membership]
    const known = forgotten[0]?.index ?? 0
    const held = node.written.filter(({ type, index }) => type === EntryType.membership && index > known)
    const memberships = [...forgotten, ...held]
    const newest = memberships.findLastIndex(({ index }) => index <= entry.index)
    const hasMajority = (list: readonly Member[]) => {
      const holders = list.filter((member) => this.#nodes.get(member.id)?.hasSynced(member, entry) === true)
      return list.length === 0 || holders.length * 2 > list.length
    }
    return memberships.slice(Math.max(0, newest)).some(({ data }) => {
      const { voters, votersOutgoing } = decodeMembership(data)
      return hasMajority(voters) && hasMajority(votersOutgoing)
    })
  }
}
