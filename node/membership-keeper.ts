/**
 * The leader's care for members whose directory was emptied: such a node comes back under its id with another incarnation, whose word counts
 * for nothing (trap 19). It gets the log as a learner, and takes the place of the one that it was once it has caught up.
 *
 * Whoever is no member by its id stays none, however often it calls (trap 18): adding is an operator's decision. The keeper begins
 * one change at a time; what the core refuses now is looked at again later.
 */
import type { ChangeRefusal, Clock, Member, MembershipChange, RaftStatus } from '../raft/index.ts'
import { every } from './clock.ts'
import type { Logger } from './logger.ts'

const LOOK_MS = 500

/** Looks at which an incarnation must have been seen before it replaces another: two processes of one id are no reason. */
const LOOKS_MIN = 3

export interface MembershipKeeperOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** This node's id. */
  readonly own: string
  readonly driver: {
    status(): Pick<RaftStatus, 'role' | 'established' | 'membership'>
    changeMembership(change: MembershipChange): { readonly index: number } | ChangeRefusal
  }
  /** Of the directory behind the open link to that node. */
  readonly incarnation: (id: string) => string | undefined
}

export class MembershipKeeper {
  readonly #options: MembershipKeeperOptions
  /** How often in a row each unlisted member was seen, by id. */
  readonly #seen = new Map<string, { readonly incarnation: string; looks: number }>()
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
    if (role !== 'leader' || !established || membership === undefined) return this.#seen.clear()
    const listed = [...membership.voters, ...membership.votersOutgoing, ...membership.learners]
    const change = this.#addition(listed) ?? this.#replacement(membership.voters, membership.learners)
    if (change === undefined) return
    const done = driver.changeMembership(change)
    if (typeof done === 'string') logger.debug('a change of members has to wait', { change: change.type, why: done })
    else logger.info('a member comes back with another directory', { change: change.type, index: done.index })
  }

  /** A member by id that is connected under an incarnation that is not listed. */
  #addition(listed: readonly Member[]): MembershipChange | undefined {
    for (const id of new Set(listed.map((member) => member.id))) {
      const incarnation = id === this.#options.own ? undefined : this.#options.incarnation(id)
      if (incarnation === undefined || listed.some((each) => each.id === id && each.incarnation === incarnation)) {
        this.#seen.delete(id)
        continue
      }
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
      if (replaces && this.#options.incarnation(id) === incarnation) return { type: 'promote', id }
    }
    return undefined
  }
}
