/**
 * The clients of a simulated cluster: they propose numbered commands to whoever claims to lead, believe an acknowledgement,
 * and ask for linearizable reads anywhere.
 *
 * Never: a retry. Each proposal is a command of its own, so whatever is applied twice was duplicated by the cluster.
 */
import type { LogIndex } from '../../raft/index.ts'
import type { Random } from '../support/random.ts'
import { encodeCommand } from './commands.ts'
import type { SimulatedNode } from './node.ts'
import type { Scheduler } from './scheduler.ts'
import type { Swarm } from './swarm.ts'

/** Reads wait so long; their clients would give up too. */
const readTimeoutMs = 2000

export class Workload {
  /** Command → the index at which it was acknowledged. */
  readonly acknowledged = new Map<number, LogIndex>()
  reads = 0
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #swarm: Swarm
  readonly #nodes: readonly SimulatedNode[]
  readonly #onFailure: (error: unknown) => void
  #commands = 0
  #active = false

  constructor(
    scheduler: Scheduler,
    random: Random,
    swarm: Swarm,
    nodes: readonly SimulatedNode[],
    onFailure: (error: unknown) => void,
  ) {
    this.#scheduler = scheduler
    this.#random = random
    this.#swarm = swarm
    this.#nodes = nodes
    this.#onFailure = onFailure
  }

  start(): void {
    this.#active = true
    const { proposalsPerSecond, readsPerSecond } = this.#swarm
    this.#repeat(proposalsPerSecond, () => this.#proposeBurst())
    this.#repeat(readsPerSecond, () => this.#read())
  }

  stop(): void {
    this.#active = false
  }

  /** Proposes one command there; undefined when the node does not take it. */
  propose(node: SimulatedNode): number | undefined {
    const command = ++this.#commands
    const data = encodeCommand(command, this.#random.below(this.#swarm.commandBytesMax))
    return node.propose(command, data) ? command : undefined
  }

  #repeat(perSecond: number, action: () => void): void {
    if (perSecond === 0) return
    this.#scheduler.after(this.#random.exponential(1000 / perSecond), () => {
      if (!this.#active) return
      action()
      this.#repeat(perSecond, action)
    })
  }

  #proposeBurst(): void {
    const leaders = this.#nodes.filter((node) => node.claimsToLead)
    if (leaders.length === 0) return
    const node = this.#random.pick(leaders)
    const burst = 1 + this.#random.below(this.#swarm.burstMax)
    for (let i = 0; i < burst; i++) this.propose(node)
  }

  #read(): void {
    // A deposed leader that does not know it is the one that might answer wrongly.
    const leaders = this.#nodes.filter((node) => node.claimsToLead)
    const node = this.#random.pick(leaders.length > 0 && this.#random.chance(0.5) ? leaders : this.#nodes)
    node.read(readTimeoutMs).then((done) => {
      if (done) this.reads++
    }, this.#onFailure)
  }
}
