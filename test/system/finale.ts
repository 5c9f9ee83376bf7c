/**
 * The end of a run: the healed cluster is left alone, or one thing happens to it, and it must not elect without need, nor late.
 */
import type { Scheduler } from '../sim/scheduler.ts'
import type { Trace } from '../sim/trace.ts'
import { Violation } from '../sim/violation.ts'
import type { Random } from '../support/random.ts'
import type { Network } from './network.ts'
import type { SimulatedNode } from './node.ts'
import type { Oracle } from './oracle.ts'
import type { FinaleKind } from './swarm.ts'

export interface Stage {
  readonly kind: FinaleKind
  readonly scheduler: Scheduler
  readonly network: Network
  readonly trace: Trace
  readonly oracle: Oracle
  readonly nodes: readonly SimulatedNode[]
  readonly random: Random
  /** Lets time pass; ends early when `until` holds. */
  readonly run: (ms: number, until?: () => boolean) => Promise<void>
}

const settlingMs = 500
const calmMs = 2_500
/** Long enough for several election timeouts of whoever is cut off. */
const isolationMs = 2_500
/** The followers see a closed socket and a refused redial, and elect at once; if their votes are split, one timeout later. */
const electionWithinMs = 2_000

export class Finale {
  readonly #stage: Stage

  constructor(stage: Stage) {
    this.#stage = stage
  }

  async play(): Promise<void> {
    const { kind, run, trace } = this.#stage
    trace.note('finale', '', kind)
    await run(settlingMs)
    if (kind === 'calm') await this.#staysCalm(() => run(calmMs))
    else if (kind === 'rejoin') await this.#staysCalm(() => this.#cutOffFollower())
    else await this.#killLeader()
  }

  /** Nobody's term rises while `happening` goes on (PreVote and the lease: dissertation §9.6, §4.2.3). */
  async #staysCalm(happening: () => Promise<void>): Promise<void> {
    const before = this.#terms()
    await happening()
    const after = this.#terms()
    if (before !== after) throw new Violation('nobody elects without need', `${before}, then ${after}`)
  }

  async #cutOffFollower(): Promise<void> {
    const { network, nodes, random, run } = this.#stage
    const victim = random.pick(nodes.filter((node) => !node.claimsToLead))
    const mends = nodes.flatMap(({ id }) => {
      return id === victim.id ? [] : [network.cut(id, victim.id), network.cut(victim.id, id)]
    })
    await run(isolationMs)
    for (const mend of mends) mend()
    await run(calmMs)
  }

  async #killLeader(): Promise<void> {
    const { nodes, run } = this.#stage
    const leader = nodes.find((node) => node.claimsToLead)
    leader?.crash()
    const successor = () => nodes.some((node) => node.core?.group.role.established === true)
    await run(electionWithinMs, successor)
    if (!successor()) throw new Violation('a dead leader is replaced soon', this.#terms())
  }

  #terms(): string {
    return this.#stage.nodes.map(({ id, core }) => `${id} in term ${core?.group.driver.status().term}`).join(', ')
  }
}
