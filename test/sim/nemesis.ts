/**
 * Brings trouble: begins the faults that a swarm has drawn, at random times, ends them after a while, and strikes processes
 * at their most delicate moments. When it is told to stop it undoes everything.
 *
 * Never: damages what Raft cannot bear. One directory is wiped at most, and only in a cluster that has a majority of others.
 */
import type { Random } from '../support/random.ts'
import type { Network, Weather } from './network.ts'
import type { Moment, SimulatedNode } from './node.ts'
import type { Scheduler } from './scheduler.ts'
import type { Fault, FaultKind, Swarm } from './swarm.ts'
import type { Trace } from './trace.ts'

export interface NemesisCounts {
  crashes: number
  pauses: number
  partitions: number
  wipes: number
  stops: number
  diskFailures: number
}

const stormWeather: Weather = {
  delayMs: [0.5, 30],
  spikeChance: 0.1,
  spikeMs: 500,
  dropChance: 0.4,
  duplicateChance: 0.1,
  ordered: false,
}

/** A wiped directory ends that member's part in the cluster for good; more than a minority of them is a lost cluster. */
const wipesMax = 1

/** Undoes a fault. */
type Undo = () => void

export interface Realm {
  readonly swarm: Swarm
  readonly scheduler: Scheduler
  readonly network: Network
  readonly trace: Trace
  readonly random: Random
  readonly nodes: readonly SimulatedNode[]
  /** Something broke that must not. */
  readonly onFailure: (error: unknown) => void
}

export class Nemesis {
  readonly counts: NemesisCounts = { crashes: 0, pauses: 0, partitions: 0, wipes: 0, stops: 0, diskFailures: 0 }
  readonly #realm: Realm
  readonly #begin: Readonly<Record<FaultKind, (fault: Fault) => Undo | undefined>>
  /** Faults under way. */
  readonly #undos = new Set<Undo>()
  #active = false

  constructor(realm: Realm) {
    this.#realm = realm
    this.#begin = {
      isolateOne: () => this.#isolate([this.#anyNode()], 'both'),
      isolateLeader: () => this.#isolate([this.#anyLeader()], 'both'),
      halves: () => this.#isolate(this.#someNodes(), 'both'),
      oneWay: () => this.#cutPair(false),
      mute: () => this.#isolate([this.#anyNode()], 'out'),
      deafen: () => this.#isolate([this.#anyNode()], 'in'),
      bridge: () => this.#bridge(),
      reset: () => this.#reset(),
      storm: () => this.#storm(),
      crashOne: () => this.#crashAndRestart([this.#anyNode()]),
      crashLeader: () => this.#crashAndRestart([this.#anyLeader()]),
      crashMany: () => this.#crashAndRestart(this.#someNodes()),
      crashAll: () => this.#crashAndRestart(this.#realm.nodes),
      pauseOne: () => this.#pause(this.#anyNode()),
      pauseLeader: () => this.#pause(this.#anyLeader()),
      stopOne: () => this.#stopAndRestart(this.#anyNode()),
      slowDisk: () => this.#slowDisk(),
      diskError: () => this.#failDisk(this.#anyNode()),
      falseRefusal: () => this.#falseRefusal(),
      wipeOne: () => this.#wipe(),
    }
  }

  start(): void {
    const { swarm, network, nodes } = this.#realm
    this.#active = true
    network.weather = swarm.weather
    for (const node of nodes) node.disk.pace = swarm.disk
    for (const fault of swarm.faults) this.#schedule(fault)
  }

  /** Ends all faults. Crashed processes are started by whoever called. */
  stop(): void {
    this.#active = false
    for (const undo of [...this.#undos]) undo()
  }

  /** A node is at a delicate moment. */
  strike(node: SimulatedNode, moment: Moment): void {
    if (!this.#active) return
    const { random, scheduler, swarm } = this.#realm
    const { ambush } = swarm
    const chance = ambush[moment]
    if (chance === 0 || !random.chance(chance)) return
    if (random.chance(ambush.cutOff)) {
      // At once: what the node has just sent does not arrive.
      this.#endAfter(random.exponential(ambush.cutOffMs), this.#isolate([node], 'both'))
      return
    }
    // Not within the caller's own step, which must end as the process would have ended it.
    scheduler.after(random.pick([0, 0.05, 0.5]), () => {
      if (this.#active) this.#crashAndRestart([node])
    })
  }

  #schedule(fault: Fault): void {
    const { random, scheduler } = this.#realm
    scheduler.after(random.exponential(fault.everyMs), () => {
      if (!this.#active) return
      const undo = this.#begin[fault.kind](fault)
      if (undo !== undefined) this.#endAfter(random.exponential(fault.lastsMs), undo)
      this.#schedule(fault)
    })
  }

  #endAfter(ms: number, undo: Undo): void {
    const once = () => {
      if (this.#undos.delete(once)) undo()
    }
    this.#undos.add(once)
    this.#realm.scheduler.after(ms, once)
  }

  // ---- whom

  #anyNode(): SimulatedNode {
    return this.#realm.random.pick(this.#realm.nodes)
  }

  /** One that claims to lead, if there is any. */
  #anyLeader(): SimulatedNode {
    const leaders = this.#realm.nodes.filter((node) => node.claimsToLead)
    return leaders.length === 0 ? this.#anyNode() : this.#realm.random.pick(leaders)
  }

  #someNodes(): readonly SimulatedNode[] {
    const { random, nodes } = this.#realm
    return random.shuffled(nodes).slice(0, 1 + random.below(Math.max(1, nodes.length - 1)))
  }

  // ---- links

  /** Cuts a group off from the rest: what leaves it, what enters it, or both. */
  #isolate(group: readonly SimulatedNode[], way: 'in' | 'out' | 'both'): Undo {
    const { network, nodes, trace } = this.#realm
    this.counts.partitions++
    trace.note('cut', way, group.map((node) => node.id).join(' '))
    const undos: Undo[] = []
    for (const inside of group) {
      for (const outside of nodes) {
        if (group.includes(outside)) continue
        if (way !== 'in') undos.push(network.cut(inside.id, outside.id))
        if (way !== 'out') undos.push(network.cut(outside.id, inside.id))
      }
    }
    return this.#undoAll(undos)
  }

  #cutPair(bothWays: boolean): Undo | undefined {
    const { network, nodes, random, trace } = this.#realm
    const [one, other] = random.shuffled(nodes)
    if (one === undefined || other === undefined) return undefined
    this.counts.partitions++
    trace.note('cut', one.id, bothWays ? '↔' : '→', other.id)
    const undos = [network.cut(one.id, other.id)]
    if (bothWays) undos.push(network.cut(other.id, one.id))
    return this.#undoAll(undos)
  }

  /** Two halves that meet in one node alone. */
  #bridge(): Undo | undefined {
    const { network, nodes, random, trace } = this.#realm
    if (nodes.length < 5) return this.#cutPair(true)
    const [bridge, ...others] = random.shuffled(nodes)
    const half = others.length / 2
    this.counts.partitions++
    trace.note('cut', 'all', 'bridge', bridge?.id ?? '')
    const undos: Undo[] = []
    for (const one of others.slice(0, half)) {
      for (const other of others.slice(half)) {
        undos.push(network.cut(one.id, other.id), network.cut(other.id, one.id))
      }
    }
    return this.#undoAll(undos)
  }

  #undoAll(undos: readonly Undo[]): Undo {
    return () => {
      this.#realm.trace.note('mend', '')
      for (const undo of undos) undo()
    }
  }

  #reset(): undefined {
    const { network, nodes, random, trace } = this.#realm
    const [one, other] = random.shuffled(nodes)
    if (one === undefined || other === undefined) return
    trace.note('reset', one.id, other.id)
    network.reset(one.id, other.id)
  }

  #storm(): Undo {
    const { network, swarm, trace } = this.#realm
    trace.note('storm', '')
    network.weather = stormWeather
    return () => {
      network.weather = swarm.weather
    }
  }

  #falseRefusal(): undefined {
    const { nodes } = this.#realm
    const leader = this.#anyLeader()
    for (const node of nodes) if (node !== leader && this.#realm.random.chance(0.5)) node.believeDead(leader.id)
  }

  // ---- processes and disks

  /** The process of a node whose disk failed has ended itself. */
  replace(node: SimulatedNode): void {
    // Not within the step in which the failure was reported.
    this.#realm.scheduler.after(0, () => {
      this.counts.diskFailures++
      node.crash()
      this.#restartLater(node)
    })
  }

  #stopAndRestart(node: SimulatedNode): undefined {
    this.counts.stops++
    node.stop().then(() => this.#restartLater(node), this.#realm.onFailure)
  }

  #crashAndRestart(victims: readonly SimulatedNode[]): undefined {
    for (const node of victims) {
      if (!node.isUp) continue
      node.crash()
      this.counts.crashes++
      this.#restartLater(node)
    }
  }

  #restartLater(node: SimulatedNode): void {
    const { random, scheduler, swarm } = this.#realm
    scheduler.after(random.between(swarm.downMs[0], swarm.downMs[1]), () => {
      if (this.#active) node.start()
    })
    // Everybody else was started when the faults ended.
    if (!this.#active) node.start()
  }

  #pause(node: SimulatedNode): Undo | undefined {
    if (!node.isUp || node.isPaused) return undefined
    this.counts.pauses++
    node.pause()
    return () => node.resume()
  }

  #slowDisk(): Undo {
    const { random, trace } = this.#realm
    const node = this.#anyNode()
    trace.note('slowDisk', node.id)
    node.disk.slownessMs = random.pick([5, 100, 1000])
    return () => {
      node.disk.slownessMs = 0
    }
  }

  #failDisk(node: SimulatedNode): undefined {
    const { random, trace } = this.#realm
    if (node.disk.isFailing) return
    trace.note('failDisk', node.id)
    node.disk.failNextWrite(random.pick(['EIO', 'ENOSPC']))
  }

  /** Only once the cluster is founded: before that a directory holds nothing that anybody relies on. */
  #wipe(): undefined {
    const { nodes } = this.#realm
    const node = this.#anyNode()
    if (nodes.length < 3 || this.counts.wipes >= wipesMax || node.status?.membership === undefined) return
    this.counts.wipes++
    this.#crashAndRestart([node])
    node.wipe()
  }
}
