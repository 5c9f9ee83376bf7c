/** What the nemesis has power over, what it has done so far, and what it will have to undo. */
import type { NodeCore } from '../../../node/core.ts'
import type { Scheduler } from '../../sim/scheduler.ts'
import type { Trace } from '../../sim/trace.ts'
import type { Random } from '../../support/random.ts'
import type { Network } from '../network.ts'
import type { SimulatedNode } from '../node.ts'
import type { Swarm } from '../swarm.ts'
import type { Workload } from '../workload.ts'

export interface NemesisCounts {
  crashes: number
  stops: number
  pauses: number
  partitions: number
  breaks: number
  diskFailures: number
  wallJumps: number
  wipes: number
  damages: number
  fullDisks: number
  removals: number
  transfers: number
  clientCrashes: number
  clientPauses: number
}

/** Undoes a fault. */
export type Undo = () => void

/** Begins a fault. What it returns is called when the fault's time is over; undefined: nothing is left to undo. */
export type Begin = () => Undo | undefined

export interface RealmParts {
  readonly swarm: Swarm
  readonly scheduler: Scheduler
  readonly network: Network
  readonly trace: Trace
  readonly random: Random
  readonly nodes: readonly SimulatedNode[]
  readonly workload: Workload
  /** Something broke that must not. */
  readonly onFailure: (error: unknown) => void
}

export class Realm {
  readonly swarm: Swarm
  readonly scheduler: Scheduler
  readonly network: Network
  readonly trace: Trace
  readonly random: Random
  readonly nodes: readonly SimulatedNode[]
  readonly workload: Workload
  readonly onFailure: (error: unknown) => void
  readonly counts: NemesisCounts = {
    crashes: 0,
    stops: 0,
    pauses: 0,
    partitions: 0,
    breaks: 0,
    diskFailures: 0,
    wallJumps: 0,
    wipes: 0,
    damages: 0,
    fullDisks: 0,
    removals: 0,
    transfers: 0,
    clientCrashes: 0,
    clientPauses: 0,
  }
  /** Faults may begin. */
  isActive = false
  /** Faults under way. */
  readonly #undos = new Set<Undo>()

  constructor(parts: RealmParts) {
    this.swarm = parts.swarm
    this.scheduler = parts.scheduler
    this.network = parts.network
    this.trace = parts.trace
    this.random = parts.random
    this.nodes = parts.nodes
    this.workload = parts.workload
    this.onFailure = parts.onFailure
  }

  /** Calls `undo` after `ms`, or earlier when all faults end. */
  endAfter(ms: number, undo: Undo): void {
    const once = () => {
      if (this.#undos.delete(once)) undo()
    }
    this.#undos.add(once)
    this.scheduler.after(ms, once)
  }

  endAll(): void {
    this.isActive = false
    for (const undo of [...this.#undos]) undo()
  }

  anyNode(): SimulatedNode {
    return this.random.pick(this.nodes)
  }

  /** One that claims to lead, if there is any. */
  anyLeader(): SimulatedNode {
    const leaders = this.nodes.filter((node) => node.claimsToLead)
    return leaders.length === 0 ? this.anyNode() : this.random.pick(leaders)
  }

  /** The leader that would answer an operator. */
  leader(): NodeCore | undefined {
    return this.nodes.find((node) => node.core?.group.role.established === true && !node.isPaused)?.core
  }
}
