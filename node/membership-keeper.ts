/**
 * The leader's care for members whose directory was emptied: such a node comes back under its id with another incarnation, whose word counts
 * for nothing (trap 19). It gets the log as a learner, and takes the place of the one that it was once it has caught up.
 *
 * The other way round a directory that was a member once, and that another one has replaced, is not taken in again: it is somebody's old disk
 * beside the node that has its place now. It is told, and stops itself. Whoever merely holds some of the log was never a member: a leader that
 * did not live to commit its addition may have sent it.
 *
 * Whoever is no member by its id stays none, however often it calls (trap 18): adding is an operator's decision. The keeper begins
 * one change at a time; what the core refuses now is looked at again later. On every node it tells of members that this one cannot dial.
 */
import type { ChangeRefusal, Clock, LogIndex, Member, Membership, MembershipChange, RaftStatus } from '../raft/index.ts'
import { every } from './clock.ts'
import type { Logger } from './logger.ts'
import type { PeerIdentity } from './peers/handshake.ts'
import type { Replacement } from './peers/replaced-codec.ts'

const LOOK_MS = 500

/** Looks at which an incarnation must have been seen before it replaces another: two processes of one id are no reason. */
const LOOKS_MIN = 3

export interface MembershipKeeperOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** This node's id. */
  readonly own: string
  /** Ids that this node has an address for. */
  readonly configured: readonly string[]
  readonly driver: {
    status(): Pick<RaftStatus, 'role' | 'established' | 'membership'>
    changeMembership(change: MembershipChange): { readonly index: number } | ChangeRefusal
  }
  /** The newest membership that is applied here, and the index of its entry. */
  readonly applied: { readonly membership: Membership | undefined; readonly membershipIndex: LogIndex }
  readonly mesh: {
    /** Who is at the other end of each open link to that node; who counts comes first. */
    identities(id: string): readonly PeerIdentity[]
    sendReplaced(to: Member, notice: Replacement): void
  }
}

/** The directory of `id` that has the place of this one, if it was a member of that membership once and is none any more. */
export function successorOf({ node, incarnation, joined }: PeerIdentity, membership: Membership): Member | undefined {
  const listed = membersOf(membership).filter(({ id }) => id === node)
  return joined && !listed.some((member) => member.incarnation === incarnation) ? listed.at(-1) : undefined
}

/** Ids without an address: such a node is a member as far as the others know, and this one cannot dial it. */
export function unaddressed(membership: Membership | undefined, configured: readonly string[]): string[] {
  const ids = new Set(membersOf(membership).map(({ id }) => id))
  return [...ids].filter((id) => !configured.includes(id))
}

function membersOf(membership: Membership | undefined): readonly Member[] {
  const { voters = [], votersOutgoing = [], learners = [] } = membership ?? {}
  return [...voters, ...votersOutgoing, ...learners]
}

export class MembershipKeeper {
  readonly #options: MembershipKeeperOptions
  /** How often in a row each unlisted member was seen, by id. */
  readonly #seen = new Map<string, { readonly incarnation: string; looks: number }>()
  /** By id: the boot of the replaced directory that operators were told of last. */
  readonly #turnedAway = new Map<string, number>()
  #unaddressed: readonly string[] = []
  #end: (() => void) | undefined

  constructor(options: MembershipKeeperOptions) {
    this.#options = options
  }

  start(): void {
    this.#end = every(this.#options.clock, LOOK_MS, () => this.#look())
  }

  stop(): void {
    this.#end?.()
  }

  #look(): void {
    const { driver, logger } = this.#options
    const { role, established, membership } = driver.status()
    this.#tellUnaddressed(membership)
    if (role !== 'leader' || !established || membership === undefined) return this.#seen.clear()
    const listed = membersOf(membership)
    this.#turnAway(membership)
    const change = this.#addition(listed) ?? this.#replacement(membership.voters, membership.learners)
    if (change === undefined) return
    const done = driver.changeMembership(change)
    if (typeof done === 'string') logger.debug('a change of members has to wait', { change: change.type, why: done })
    else logger.info('a member comes back with another directory', { change: change.type, index: done.index })
  }

  /** A member by id that is connected with a fresh directory that is not listed. */
  #addition(listed: readonly Member[]): MembershipChange | undefined {
    for (const id of new Set(listed.map((member) => member.id))) {
      const peer = this.#peer(id)
      const isListed = listed.some((each) => each.id === id && each.incarnation === peer?.incarnation)
      if (peer === undefined || peer.joined || isListed) {
        this.#seen.delete(id)
        continue
      }
      const { incarnation } = peer
      const seen = this.#seen.get(id)
      if (seen?.incarnation !== incarnation) this.#seen.set(id, { incarnation, looks: 1 })
      else if (++seen.looks >= LOOKS_MIN) return { type: 'addLearner', member: { id, incarnation } }
    }
    return undefined
  }

  /** A learner that is to take the place of a voter. Plain learners wait for an operator. */
  #replacement(voters: readonly Member[], learners: readonly Member[]): MembershipChange | undefined {
    for (const { id, incarnation } of learners) {
      const replaces = voters.some((voter) => voter.id === id)
      if (replaces && this.#peer(id)?.incarnation === incarnation) return { type: 'promote', id }
    }
    return undefined
  }

  #peer(id: string): PeerIdentity | undefined {
    const { mesh, own } = this.#options
    return id === own ? undefined : mesh.identities(id)[0]
  }

  /** Told at every look, since a notice may be lost; operators read it once for each life of such a node. */
  #turnAway(inForce: Membership): void {
    const { applied, logger, mesh, own } = this.#options
    const { membership, membershipIndex: index } = applied
    if (membership === undefined) return
    for (const id of new Set(membersOf(membership).map((member) => member.id))) {
      if (id === own) continue
      for (const peer of mesh.identities(id)) {
        // What is in force and not committed may yet be taken back, and what is committed may be about to change.
        const successor = successorOf(peer, membership)
        if (successor === undefined || successorOf(peer, inForce) === undefined) continue
        const { bootId, incarnation } = peer
        mesh.sendReplaced({ id, incarnation }, { index, by: successor.incarnation })
        if (this.#turnedAway.get(id) === bootId) continue
        this.#turnedAway.set(id, bootId)
        logger.warn('a directory that was replaced comes back, and is turned away', {
          peer: id,
          incarnation,
          replacedBy: successor.incarnation,
        })
      }
    }
  }

  #tellUnaddressed(membership: Membership | undefined): void {
    const { configured, logger } = this.#options
    const ids = unaddressed(membership, configured)
    const news = ids.filter((id) => !this.#unaddressed.includes(id))
    this.#unaddressed = ids
    if (news.length > 0) logger.warn('members have no address in the --cluster of this node', { members: news })
  }
}
