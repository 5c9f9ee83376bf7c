/** Operators who take members out, bring them back, and hand leadership over. */
import type { NodeCore } from '../../../node/core.ts'
import type { MembershipOperation } from '../../../node/membership-operations.ts'
import { MeshError } from '../../../wire/errors.ts'
import type { SimulatedNode } from '../node.ts'
import type { Bearable } from './bearable.ts'
import type { Realm, Undo } from './realm.ts'

/** Between two calls of an operator, milliseconds. */
const operatorPauseMs = 500

export class Operators {
  readonly #realm: Realm
  readonly #bearable: Bearable

  constructor(realm: Realm, bearable: Bearable) {
    this.#realm = realm
    this.#bearable = bearable
  }

  /** Takes a member out of the cluster; the returned function brings it back. */
  remove(node: SimulatedNode): Undo | undefined {
    const { nodes, trace } = this.#realm
    const leader = this.#realm.leader()
    if (nodes.length < 3 || leader === undefined || !nodes.every((each) => this.#bearable.isWhole(each)))
      return undefined
    this.#realm.counts.removals++
    trace.note('remove', node.id)
    let isTried = false
    let isWanted = false
    const next = () => {
      if (isTried && isWanted) this.#bringBack(node)
    }
    this.#operate(leader, { what: 'remove', id: node.id, timeoutMs: 2_000 }, () => {
      isTried = true
      next()
    })
    return () => {
      isWanted = true
      next()
    }
  }

  /** Asks whoever leads until the node is a voter. */
  #bringBack(node: SimulatedNode): void {
    const { nodes, scheduler } = this.#realm
    const leader = this.#realm.leader()
    const status = leader?.group.driver.status()
    const { voters, votersOutgoing } = status?.membership ?? { voters: [], votersOutgoing: [] }
    // A removal that nobody has heard the end of may still be on its way through the log.
    // And a leader that was replaced while it stood still does not know that yet: all must be in its term.
    const isCertain =
      status?.commitIndex === status?.lastIndex &&
      votersOutgoing.length === 0 &&
      nodes.every(({ core }) => core?.group.driver.status().term === status?.term)
    if (isCertain && node.isAmong(voters)) return
    const again = () => void scheduler.after(operatorPauseMs, () => this.#bringBack(node))
    if (leader === undefined) again()
    else this.#operate(leader, { what: 'add', id: node.id, promote: true, timeoutMs: 2_000 }, again)
  }

  transfer(): undefined {
    const leader = this.#realm.leader()
    if (leader === undefined) return
    this.#realm.counts.transfers++
    this.#realm.trace.note('transfer', '')
    this.#operate(leader, { what: 'transfer', to: undefined, timeoutMs: 2_000 }, () => {})
  }

  /** What the operator is told is not believed; a node that dies meanwhile tells nothing. */
  #operate(leader: NodeCore, operation: MembershipOperation, done: () => void): void {
    let isOver = false
    const once = () => {
      if (!isOver) done()
      isOver = true
    }
    this.#realm.scheduler.after(2 * operation.timeoutMs, once)
    leader.operations.run(operation).then(once, (error: unknown) => {
      if (!(error instanceof MeshError)) this.#realm.onFailure(error)
      once()
    })
  }
}
