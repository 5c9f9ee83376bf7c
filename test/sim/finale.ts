/**
 * The end of a run: in a healed cluster one thing happens, and what a good leader must survive, or a bad one must not, is
 * held against the clock. The faults before judge safety; this judges that elections are neither needless nor late.
 *
 * Never: plays where the outcome is open: a majority of members is up and connected throughout.
 */
import type { NodeId } from '../../raft/index.ts'
import type { Random } from '../support/random.ts'
import type { Network } from './network.ts'
import type { SimulatedNode } from './node.ts'
import type { FinaleKind } from './swarm.ts'
import type { Trace } from './trace.ts'
import { Violation } from './violation.ts'

export interface Stage {
  readonly kind: FinaleKind
  /** All configured members. */
  readonly members: number
  /** Those that count. */
  readonly nodes: readonly SimulatedNode[]
  readonly network: Network
  readonly trace: Trace
  readonly random: Random
  /** Lets time pass; ends early when `until` holds. */
  readonly run: (ms: number, until?: () => boolean) => Promise<void>
}

/** Long enough for several election timeouts of whoever is cut off. */
const isolationMs = 3000
const aftermathMs = 2000
/** Redials and what they set off. */
const settlingMs = 200
/** A leader without a quorum gives up one election timeout (600 ms) after it last heard of one, whatever its clock. */
const stepDownWithinMs = 900
/** A dead process is noticed by its closed socket: its successor leads before the shortest election timeout is over. */
const fastElectionWithinMs = 550

export class Finale {
  readonly #stage: Stage

  constructor(stage: Stage) {
    this.#stage = stage
  }

  async play(): Promise<void> {
    const { kind, members, nodes, trace } = this.#stage
    // One more must be away for a while.
    if (nodes.length - 1 <= members / 2) return
    if (kind === 'none') return
    trace.note('finale', '', kind)
    await this.#clearTheAir()
    if (kind === 'rejoin') await this.#cutOffFollower(true)
    else if (kind === 'deafFollower') await this.#cutOffFollower(false)
    else if (kind === 'isolatedLeader') await this.#isolateLeader()
    else if (kind === 'deadLeader') await this.#killLeader()
  }

  /** New sockets everywhere, so that no message of the stormy days arrives in the quiet: from a dead leader, for instance. */
  async #clearTheAir(): Promise<void> {
    const { network, nodes, run } = this.#stage
    for (const one of nodes) for (const other of nodes) if (one.id < other.id) network.reset(one.id, other.id)
    await run(settlingMs)
  }

  /** PreVote and the lease (dissertation §9.6, §4.2.3): a member that hears nobody deposes nobody, then or on its return. */
  async #cutOffFollower(bothWays: boolean): Promise<void> {
    const { random, run } = this.#stage
    const leader = this.#leader()
    const term = leader.role?.term
    const mend = this.#cutOff(random.pick(this.#others(leader)), bothWays)
    await run(isolationMs)
    mend()
    await run(aftermathMs)
    if (leader.claimsToLead && leader.role?.term === term) return
    throw new Violation(
      'a healthy leader stays',
      `${leader.id} led in term ${term} until a cut-off follower came back; now ${this.#roles()}`,
    )
  }

  /** CheckQuorum (dissertation §6.2): a leader that nobody answers stops, the others go on, and its return disturbs nobody. */
  async #isolateLeader(): Promise<void> {
    const { run } = this.#stage
    const leader = this.#leader()
    const mend = this.#cutOff(leader, true)
    await run(stepDownWithinMs)
    if (leader.claimsToLead) throw new Violation('a leader without a quorum steps down', this.#roles())
    await run(isolationMs)
    const next = this.#others(leader).find((node) => node.role?.established === true)
    if (next === undefined) throw new Violation('a majority elects a leader', this.#roles())
    const term = next.role?.term
    mend()
    await run(aftermathMs)
    if (!next.claimsToLead || next.role?.term !== term) throw new Violation('a healthy leader stays', this.#roles())
  }

  /** Evidence of a dead process shortens the wait. */
  async #killLeader(): Promise<void> {
    const { run } = this.#stage
    const leader = this.#leader()
    leader.crash()
    const successor = () => this.#others(leader).some((node) => node.role?.established === true)
    await run(fastElectionWithinMs, successor)
    if (!successor())
      throw new Violation('a dead leader is replaced fast', `after ${fastElectionWithinMs} ms: ${this.#roles()}`)
  }

  #leader(): SimulatedNode {
    return this.#stage.nodes.find((node) => node.claimsToLead) as SimulatedNode
  }

  #others(than: SimulatedNode): readonly SimulatedNode[] {
    return this.#stage.nodes.filter((node) => node !== than)
  }

  /** Cuts what reaches the node and, if told, what it says. */
  #cutOff(node: SimulatedNode, bothWays: boolean): () => void {
    const { network, trace } = this.#stage
    trace.note('cut', node.id, bothWays ? 'both' : 'in')
    const peers: NodeId[] = this.#others(node).map((other) => other.id)
    const mends = peers.map((peer) => network.cut(peer, node.id))
    if (bothWays) mends.push(...peers.map((peer) => network.cut(node.id, peer)))
    return () => {
      trace.note('mend', node.id)
      for (const mend of mends) mend()
    }
  }

  #roles(): string {
    return this.#stage.nodes.map((node) => `${node.id} ${node.role?.role} in term ${node.role?.term}`).join(', ')
  }
}
