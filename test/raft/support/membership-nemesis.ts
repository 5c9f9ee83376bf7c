/**
 * Random moves against who belongs to a cluster and what its disks remember: members come, are promoted and removed, leadership
 * is handed over, directories are emptied and come back under another incarnation, disks lose the ends of their logs.
 *
 * It stays within what Raft promises to survive: in every membership that anybody holds, a majority of each list has forgotten
 * nothing. At the end mend() replaces the emptied ones, as a host does.
 */
import type { Member, Membership } from '../../../raft/index.ts'
import type { Random } from '../../support/random.ts'
import type { Cluster } from './cluster.ts'
import type { TestNode } from './test-node.ts'

const NODES_MAX = 7

export class MembershipNemesis {
  readonly #cluster: Cluster
  readonly #dice: Random
  /** How often each move was made: a test must see that they were. */
  readonly moves = { added: 0, promoted: 0, removed: 0, transferred: 0, wiped: 0, forgot: 0, brokeWord: 0 }
  #lives = 1

  constructor(cluster: Cluster, dice: Random) {
    this.#cluster = cluster
    this.#dice = dice
  }

  #chance(probability: number): boolean {
    return this.#dice.fraction() < probability
  }

  #any<T>(of: readonly T[]): T | undefined {
    return of[this.#dice.below(of.length)]
  }

  step(): void {
    const leader = this.#any([...this.#cluster.nodes.values()].filter((node) => node.isUp && isLeading(node)))
    if (leader !== undefined) this.#command(leader)
    const node = this.#any([...this.#cluster.nodes.values()])!
    if (this.#chance(0.01) && this.#mayForget(node)) this.#wipe(node)
    if (this.#chance(0.03) && this.#mayForget(node)) this.#forget(node)
    for (const each of this.#cluster.nodes.values()) if (this.#chance(0.2)) this.#breakWord(each)
  }

  #command(leader: TestNode): void {
    const membership = leader.status.membership!
    if (this.#chance(0.06)) this.#add(leader, membership)
    if (this.#chance(0.2)) this.#promote(leader, this.#any(membership.learners))
    if (this.#chance(0.04)) this.#remove(leader, membership)
    const to = this.#any([undefined, ...this.#cluster.ids])
    if (this.#chance(0.04) && leader.core.transferLeadership(to)) this.moves.transferred++
  }

  /** A new node, one that was removed, or one that has lost its directory. */
  #add(leader: TestNode, membership: Membership): void {
    const { nodes, ids } = this.#cluster
    const strangers = [...nodes.values()].filter((node) => !isListed(membership, node))
    const node = this.#any(strangers) ?? (ids.length < NODES_MAX ? this.#cluster.add(`n${ids.length + 1}`) : undefined)
    if (node === undefined) return
    const member = { id: node.id, incarnation: node.incarnation }
    if (typeof leader.core.changeMembership({ type: 'addLearner', member }) !== 'string') this.moves.added++
  }

  #promote(leader: TestNode, learner: Member | undefined): void {
    const { voters } = leader.status.membership!
    if (learner === undefined || !this.#isSound([...voters.filter(({ id }) => id !== learner.id), learner])) return
    const refused = typeof leader.core.changeMembership({ type: 'promote', id: learner.id }) === 'string'
    if (!refused) this.moves.promoted++
  }

  #remove(leader: TestNode, { voters, learners }: Membership): void {
    const { id } = this.#any([...voters, ...learners])!
    const left = voters.filter((voter) => voter.id !== id)
    if (left.length < 2 || !this.#isSound(left)) return
    if (typeof leader.core.changeMembership({ type: 'remove', id }) !== 'string') this.moves.removed++
  }

  #wipe(node: TestNode): void {
    this.#cluster.crash(node.id)
    node.wipe(`${node.id}.${++this.#lives}`)
    this.moves.wiped++
  }

  #forget(node: TestNode): void {
    this.#cluster.crash(node.id)
    node.forget(node.base.index + this.#dice.below(node.log.length + 1))
    this.moves.forgot++
  }

  /** The worst moment: it has just voted for somebody who does not lead yet, and is back at once without knowing of it. */
  #breakWord(node: TestNode): void {
    const { vote } = node.hardState
    const isFresh = vote !== '' && vote !== node.id && node.isUp && node.status.leader === undefined
    if (!isFresh || !this.#mayForget(node)) return
    this.#cluster.crash(node.id)
    node.forget(node.status.lastIndex)
    this.#cluster.restart(node.id)
    this.moves.brokeWord++
  }

  /** Whether a majority of each list that anybody counts by would still have forgotten nothing. */
  #mayForget(victim: TestNode): boolean {
    for (const { status } of this.#cluster.nodes.values()) {
      const { membership } = status
      if (membership === undefined) continue
      if (!this.#isSound(membership.voters, victim) || !this.#isSound(membership.votersOutgoing, victim)) return false
    }
    return this.#cluster.committedCount > 0
  }

  #isSound(voters: readonly Member[], victim?: TestNode): boolean {
    const sound = voters.filter(({ id, incarnation }) => {
      const node = this.#cluster.node(id)
      return node !== victim && node.incarnation === incarnation && node.doubt === 0
    })
    return voters.length === 0 || sound.length * 2 > voters.length
  }

  /** Brings the members that lost their directories back, a step at a time. */
  mend(): void {
    const { leader, nodes } = this.#cluster
    if (leader === undefined || !leader.status.established) return
    const membership = leader.status.membership!
    const [voters, learners] = [membership.voters, membership.learners]
    const emptied = voters.map(({ id }) => this.#cluster.node(id)).find((node) => !isListed(membership, node))
    if (emptied !== undefined) {
      leader.core.changeMembership({ type: 'addLearner', member: { id: emptied.id, incarnation: emptied.incarnation } })
    }
    for (const { id, incarnation } of learners) {
      const isReplacement = voters.some((voter) => voter.id === id)
      if (isReplacement && nodes.get(id)!.incarnation === incarnation) {
        leader.core.changeMembership({ type: 'promote', id })
      }
    }
  }

  /** Nodes that belong to the cluster as its leader sees it, under the incarnation that they have. */
  members(): TestNode[] {
    const membership = this.#cluster.leader!.status.membership!
    return [...this.#cluster.nodes.values()].filter((node) => isListed(membership, node))
  }
}

function isLeading({ status }: TestNode): boolean {
  return status.role === 'leader'
}

function isListed({ voters, votersOutgoing, learners }: Membership, { id, incarnation }: TestNode): boolean {
  return [...voters, ...votersOutgoing, ...learners].some((each) => each.id === id && each.incarnation === incarnation)
}

/** Whether each quorum of the one has a member in common with each of the other: by trying all divisions of the members. */
export function doQuorumsMeet(one: Membership, other: Membership): boolean {
  const keys = [...new Set([...votersOf(one), ...votersOf(other)])]
  for (let division = 0; division < 2 ** keys.length; division++) {
    const isOnOneSide = (key: string) => (division & (2 ** keys.indexOf(key))) !== 0
    if (isQuorum(one, isOnOneSide) && isQuorum(other, (key) => !isOnOneSide(key))) return false
  }
  return true
}

const keyOf = ({ id, incarnation }: Member) => `${id} ${incarnation}`

function votersOf({ voters, votersOutgoing }: Membership): string[] {
  return [...voters, ...votersOutgoing].map(keyOf)
}

function isQuorum({ voters, votersOutgoing }: Membership, has: (key: string) => boolean): boolean {
  return [voters, votersOutgoing].every((list) => {
    return list.length === 0 || list.map(keyOf).filter(has).length * 2 > list.length
  })
}
