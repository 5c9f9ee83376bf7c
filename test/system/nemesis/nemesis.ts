/**
 * Brings trouble: begins the faults that a swarm has drawn, at random times, ends them after a while, and strikes nodes at their
 * most delicate moments. When it is told to stop it undoes everything.
 *
 * Never: damages what the cluster does not promise to survive (bearable.ts).
 */
import type { Moment, SimulatedNode } from '../node.ts'
import type { Fault, FaultKind } from '../swarm.ts'
import { Bearable } from './bearable.ts'
import { Disks } from './disks.ts'
import { Links } from './links.ts'
import { Operators } from './operators.ts'
import { Processes } from './processes.ts'
import { type Begin, type NemesisCounts, Realm, type RealmParts } from './realm.ts'

export type { NemesisCounts } from './realm.ts'

export class Nemesis {
  readonly #realm: Realm
  readonly #links: Links
  readonly #processes: Processes
  readonly #begin: Readonly<Record<FaultKind, Begin>>

  constructor(parts: RealmParts) {
    const realm = new Realm(parts)
    const bearable = new Bearable(realm)
    this.#realm = realm
    this.#links = new Links(realm)
    this.#processes = new Processes(realm, bearable)
    this.#begin = {
      ...linkFaults(realm, this.#links),
      ...processFaults(realm, this.#processes),
      ...diskFaults(realm, new Disks(realm, bearable, this.#processes)),
      ...operatorFaults(realm, new Operators(realm, bearable)),
      ...clientFaults(realm),
    }
  }

  get counts(): NemesisCounts {
    return this.#realm.counts
  }

  start(): void {
    const { swarm, network, nodes } = this.#realm
    this.#realm.isActive = true
    network.weather = swarm.weather
    for (const node of nodes) node.disk.pace = swarm.disk
    for (const fault of swarm.faults) this.#schedule(fault)
  }

  /** Ends all faults. Crashed nodes are started by whoever called. */
  stop(): void {
    this.#realm.endAll()
  }

  /** A node is at a delicate moment. */
  strike(node: SimulatedNode, moment: Moment): void {
    if (!this.#realm.isActive) return
    const { random, scheduler, swarm } = this.#realm
    const chance = swarm.ambush[moment]
    if (chance === 0 || !random.chance(chance)) return
    if (random.chance(0.5)) {
      this.#realm.endAfter(random.exponential(1_000), this.#links.isolate([node]))
      return
    }
    // Not within the caller's own step, which must end as the process would have ended it.
    const silent = random.chance(0.5)
    scheduler.after(random.pick([0, 0.05, 0.5]), () => {
      if (this.#realm.isActive) this.#processes.crashAndRestart(node, silent)
    })
  }

  /** The process of a node whose disk failed has ended itself. */
  replace(node: SimulatedNode): void {
    // Not within the step in which the failure was reported.
    this.#realm.scheduler.after(0, () => {
      this.#realm.counts.diskFailures++
      node.crash()
      this.#processes.restartLater(node)
    })
  }

  #schedule(fault: Fault): void {
    const { random, scheduler } = this.#realm
    scheduler.after(random.exponential(fault.everyMs), () => {
      if (!this.#realm.isActive) return
      const undo = this.#begin[fault.kind]()
      if (undo !== undefined) this.#realm.endAfter(random.exponential(fault.lastsMs), undo)
      this.#schedule(fault)
    })
  }
}

function linkFaults(realm: Realm, links: Links) {
  return {
    isolateOne: () => links.isolate([realm.anyNode()]),
    isolateLeader: () => links.isolate([realm.anyLeader()]),
    halves: () => links.isolate(links.someNodes()),
    oneWay: () => links.cutPair(),
    breakPeers: () => links.breakPeers(),
    breakClient: () => links.breakClient(),
    cutClient: () => links.cutClient(),
    storm: () => links.storm(),
  }
}

function processFaults(realm: Realm, processes: Processes) {
  return {
    crashOne: () => processes.crashAndRestart(realm.anyNode(), false),
    crashLeader: () => processes.crashAndRestart(realm.anyLeader(), false),
    crashAll: () => {
      for (const node of realm.nodes) processes.crashAndRestart(node, false)
      return undefined
    },
    powerLoss: () => processes.crashAndRestart(realm.anyNode(), true),
    pauseOne: () => processes.pause(realm.anyNode()),
    pauseLeader: () => processes.pause(realm.anyLeader()),
    stopOne: () => processes.stopAndRestart(realm.anyNode()),
    rollingRestart: () => processes.rollingRestart(),
    wallJump: () => {
      realm.counts.wallJumps++
      realm.anyNode().jump(realm.random.pick([-3_600_000, -1_000, 1_000, 3_600_000]))
      return undefined
    },
  }
}

function diskFaults(realm: Realm, disks: Disks) {
  return {
    slowDisk: () => disks.slowDisk(),
    diskError: () => disks.failDisk(realm.anyNode()),
    wipeOne: () => disks.wipe(realm.anyNode()),
    damageOne: () => disks.damage(realm.anyNode()),
    rotLive: () => disks.rot(realm.anyNode()),
    fillDisk: () => disks.fillDisk(),
  }
}

function operatorFaults(realm: Realm, operators: Operators) {
  return {
    removeOne: () => operators.remove(realm.anyNode()),
    transfer: () => operators.transfer(),
  }
}

function clientFaults({ counts, random, workload }: Realm) {
  return {
    crashClient: () => {
      counts.clientCrashes++
      workload.crashOne(random.between(10, 2_000))
      return undefined
    },
    pauseClient: () => {
      counts.clientPauses++
      return workload.pauseOne()
    },
  }
}
