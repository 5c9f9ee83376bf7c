/**
 * What an operator asks of the cluster: add a learner, promote it, remove a member, hand leadership over. Carried out by the leader alone,
 * which waits until the change is committed; whoever does not lead says who does.
 *
 * Refusals that pass by themselves (another change is under way, the learner has not caught up) are waited out until the deadline.
 *
 * Never: adds anybody whom the leader has no link to, since a member without an address stalls nothing but helps nobody.
 */
import type { ChangeRefusal, Clock, Membership, MembershipChange, RaftStatus } from '../raft/index.ts'
import { MeshError } from '../wire/errors.ts'
import { successorOf } from './membership-keeper.ts'
import type { PeerIdentity } from './peers/handshake.ts'

/** Between two looks at how a change goes, milliseconds. */
const LOOK_MS = 20

export type MembershipOperation =
  /** A learner; with `promote` it becomes a voter as soon as it has caught up. */
  | { readonly what: 'add'; readonly id: string; readonly promote: boolean; readonly timeoutMs: number }
  | { readonly what: 'promote'; readonly id: string; readonly timeoutMs: number }
  | { readonly what: 'remove'; readonly id: string; readonly timeoutMs: number }
  /** To the one with that id, or to whoever has caught up best. */
  | { readonly what: 'transfer'; readonly to: string | undefined; readonly timeoutMs: number }

export type OperationAnswer =
  /** Ids of the members that are in force now, and who leads. */
  | {
      readonly done: true
      readonly voters: readonly string[]
      readonly learners: readonly string[]
      readonly leader: string | undefined
    }
  /** This node does not lead. */
  | { readonly done: false; readonly leader: string | undefined }

export interface MembershipOperationsOptions {
  readonly clock: Clock
  readonly own: string
  /** Ids that this node has an address for. */
  readonly configured: readonly string[]
  readonly driver: {
    status(): Pick<RaftStatus, 'role' | 'term' | 'leader' | 'peers'>
    changeMembership(change: MembershipChange): { readonly index: number } | ChangeRefusal
    transferLeadership(to?: string): boolean
  }
  /** The newest membership that is applied here. */
  readonly applied: () => Membership | undefined
  /** Who is at the other end of the open link to that node. */
  readonly peer: (id: string) => PeerIdentity | undefined
}

export class MembershipOperations {
  readonly #options: MembershipOperationsOptions

  constructor(options: MembershipOperationsOptions) {
    this.#options = options
  }

  /** Rejects with MeshError: NotFound, Precondition, Timeout (nothing was done), NoQuorum (it may yet come to be). */
  async run(operation: MembershipOperation): Promise<OperationAnswer> {
    const { clock, driver } = this.#options
    const { role, leader } = driver.status()
    if (role !== 'leader') return { done: false, leader }
    const deadlineMs = clock.now() + operation.timeoutMs
    switch (operation.what) {
      case 'add':
        await this.#add(operation.id, operation.promote, deadlineMs)
        if (operation.promote) await this.#change({ type: 'promote', id: operation.id }, deadlineMs)
        break
      case 'promote':
      case 'remove':
        await this.#change({ type: operation.what, id: operation.id }, deadlineMs)
        break
      case 'transfer':
        await this.#transfer(operation.to, deadlineMs)
    }
    return this.#answer()
  }

  #answer(): OperationAnswer {
    const { applied, driver } = this.#options
    const ids = (members: Membership['voters'] = []) => members.map(({ id }) => id)
    const voters = ids(applied()?.voters)
    const { leader } = driver.status()
    // One that was removed itself leads for a moment yet, until it has handed over: nobody is to take it for the one to come.
    const stays = leader !== undefined && voters.includes(leader)
    return { done: true, voters, learners: ids(applied()?.learners), leader: stays ? leader : undefined }
  }

  async #add(id: string, promote: boolean, deadlineMs: number): Promise<void> {
    const { applied, configured, own, peer } = this.#options
    // It has no link to itself.
    if (id === own) throw refusal('alreadyMember', 'addLearner', id)
    if (!configured.includes(id)) {
      throw new MeshError(
        'NotFound',
        `the leader ${own} has no address of '${id}': add it to the --cluster of every node`,
      )
    }
    const directory = peer(id)
    if (directory === undefined) {
      throw new MeshError(
        'Precondition',
        `the leader ${own} has no link to '${id}': does it run, with the same secret?`,
      )
    }
    const membership = applied()
    if (membership !== undefined && successorOf(directory, membership) !== undefined) {
      throw new MeshError(
        'Precondition',
        `the directory that '${id}' runs on was replaced by another one: remove '${id}' first, or empty the directory`,
      )
    }
    const change = { type: 'addLearner', member: { id, incarnation: directory.incarnation } } as const
    // Whoever asks for a voter may find that the first half is done, by an earlier call that ran out of time.
    if (promote && isDone(change, this.#options.applied())) return
    await this.#change(change, deadlineMs)
  }

  async #change(change: MembershipChange, deadlineMs: number): Promise<void> {
    const id = change.type === 'addLearner' ? change.member.id : change.id
    for (;;) {
      const done = this.#options.driver.changeMembership(change)
      if (typeof done !== 'string') return this.#committed(change, deadlineMs)
      if (done !== 'changePending' && done !== 'notCaughtUp') throw refusal(done, change.type, id)
      if (this.#options.clock.now() >= deadlineMs) throw new MeshError('Timeout', this.#waited(done, id), notApplied)
      await this.#pause()
    }
  }

  #waited(refusal: ChangeRefusal, id: string): string {
    if (refusal === 'changePending') return 'another change of members is still under way'
    const peer = this.#options.driver.status().peers.find((each) => each.id === id && each.role === 'learner')
    return `'${id}' has not caught up with the log yet: it lacks ${peer?.lagEntries ?? 'all'} entries`
  }

  /** Seen in what is applied here: then it is committed, a joint change with its second half. Whoever leads meanwhile. */
  async #committed(change: MembershipChange, deadlineMs: number): Promise<void> {
    while (!isDone(change, this.#options.applied())) {
      if (this.#options.clock.now() >= deadlineMs) {
        throw new MeshError('NoQuorum', 'no majority has confirmed the change yet: ask for the status')
      }
      await this.#pause()
    }
  }

  async #transfer(to: string | undefined, deadlineMs: number): Promise<void> {
    const { clock, driver, own } = this.#options
    if (to === own) throw new MeshError('Precondition', `'${to}' leads already`)
    const { term } = driver.status()
    if (!driver.transferLeadership(to)) {
      const who = to === undefined ? 'no other voter' : `'${to}'`
      throw new MeshError('Precondition', `${who} cannot take over: it must be a voter that has caught up`)
    }
    for (;;) {
      const { leader, term: now } = driver.status()
      if (now > term && leader !== undefined && leader !== own) return
      if (clock.now() >= deadlineMs) throw new MeshError('Timeout', 'nobody has taken over', notApplied)
      await this.#pause()
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => void this.#options.clock.setTimer(LOOK_MS, resolve))
  }
}

function isDone(change: MembershipChange, applied: Membership | undefined): boolean {
  if (applied === undefined || applied.votersOutgoing.length > 0) return false
  const { voters, learners } = applied
  switch (change.type) {
    case 'addLearner':
      return learners.some(
        ({ id, incarnation }) => id === change.member.id && incarnation === change.member.incarnation,
      )
    case 'promote':
      return voters.some(({ id }) => id === change.id) && !learners.some(({ id }) => id === change.id)
    case 'remove':
      return ![...voters, ...learners].some(({ id }) => id === change.id)
  }
}

const notApplied = { outcome: 'not-applied' } as const

function refusal(why: ChangeRefusal, change: MembershipChange['type'], id: string): MeshError {
  switch (why) {
    case 'unknownMember':
      return new MeshError('NotFound', `'${id}' is no member`)
    case 'alreadyMember':
      return new MeshError('Precondition', `'${id}' is a ${change === 'promote' ? 'voter' : 'member'} already`)
    case 'lastVoter':
      return new MeshError('Precondition', `'${id}' is the only voter: nobody would be left to decide`)
    case 'quorumAtRisk':
      return new MeshError('Precondition', `without '${id}' too few voters would be up to date to commit anything`)
    default:
      return new MeshError('NoQuorum', 'this node has ceased to lead', notApplied)
  }
}
