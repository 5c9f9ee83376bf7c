/**
 * Brings trouble: begins the faults that a swarm has drawn, at random times, ends them after a while, and strikes nodes at their
 * most delicate moments. When it is told to stop it undoes everything.
 *
 * Never: damages what the cluster does not promise to survive.
 */
import type { NodeCore } from '../../node/core.ts'
import type { MembershipOperation } from '../../node/membership-operations.ts'
import type { Member, RaftStatus } from '../../raft/index.ts'
import { MeshError } from '../../wire/errors.ts'
import type { Scheduler } from '../sim/scheduler.ts'
import type { Trace } from '../sim/trace.ts'
import type { Random } from '../support/random.ts'
import type { Network, Weather } from './network.ts'
import type { Moment, SimulatedNode } from './node.ts'
import type { Fault, FaultKind, Swarm } from './swarm.ts'
import type { Workload } from './workload.ts'

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

const stormWeather: Weather = { delayMs: [5, 80], spikeChance: 0.1, spikeMs: 800 }

/** Between two calls of an operator, milliseconds. */
const operatorPauseMs = 500

/** Undoes a fault. */
type Undo = () => void

export interface Realm {
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

export class Nemesis {
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
  readonly #realm: Realm
  readonly #begin: Readonly<Record<FaultKind, (fault: Fault) => Undo | undefined>>
  /** Faults under way. */
  readonly #undos = new Set<Undo>()
  #active = false

  constructor(realm: Realm) {
    this.#realm = realm
    const { random, workload } = realm
    this.#begin = {
      isolateOne: () => this.#isolate([this.#anyNode()]),
      isolateLeader: () => this.#isolate([this.#anyLeader()]),
      halves: () => this.#isolate(this.#someNodes()),
      oneWay: () => this.#cutPair(),
      breakPeers: () => this.#breakPeers(),
      breakClient: () => this.#breakClient(),
      cutClient: () => this.#cutClient(),
      storm: () => this.#storm(),
      crashOne: () => this.#crashAndRestart(this.#anyNode(), false),
      crashLeader: () => this.#crashAndRestart(this.#anyLeader(), false),
      crashAll: () => {
        for (const node of this.#realm.nodes) this.#crashAndRestart(node, false)
        return undefined
      },
      powerLoss: () => this.#crashAndRestart(this.#anyNode(), true),
      pauseOne: () => this.#pause(this.#anyNode()),
      pauseLeader: () => this.#pause(this.#anyLeader()),
      stopOne: () => this.#stopAndRestart(this.#anyNode()),
      rollingRestart: () => this.#rollingRestart(),
      slowDisk: () => this.#slowDisk(),
      diskError: () => this.#failDisk(this.#anyNode()),
      wallJump: () => this.#jump(),
      wipeOne: () => this.#wipe(this.#anyNode()),
      damageOne: () => this.#damage(this.#anyNode()),
      rotLive: () => this.#rot(this.#anyNode()),
      fillDisk: () => this.#fillDisk(),
      removeOne: () => this.#remove(this.#anyNode()),
      transfer: () => this.#transfer(),
      crashClient: () => {
        this.counts.clientCrashes++
        workload.crashOne(random.between(10, 2_000))
        return undefined
      },
      pauseClient: () => {
        this.counts.clientPauses++
        return workload.pauseOne()
      },
    }
  }

  start(): void {
    const { swarm, network, nodes } = this.#realm
    this.#active = true
    network.weather = swarm.weather
    for (const node of nodes) node.disk.pace = swarm.disk
    for (const fault of swarm.faults) this.#schedule(fault)
  }

  /** Ends all faults. Crashed nodes are started by whoever called. */
  stop(): void {
    this.#active = false
    for (const undo of [...this.#undos]) undo()
  }

  /** A node is at a delicate moment. */
  strike(node: SimulatedNode, moment: Moment): void {
    if (!this.#active) return
    const { random, scheduler, swarm } = this.#realm
    const chance = swarm.ambush[moment]
    if (chance === 0 || !random.chance(chance)) return
    if (random.chance(0.5)) {
      this.#endAfter(random.exponential(1_000), this.#isolate([node]))
      return
    }
    // Not within the caller's own step, which must end as the process would have ended it.
    const silent = random.chance(0.5)
    scheduler.after(random.pick([0, 0.05, 0.5]), () => {
      if (this.#active) this.#crashAndRestart(node, silent)
    })
  }

  /** The process of a node whose disk failed has ended itself. */
  replace(node: SimulatedNode): void {
    // Not within the step in which the failure was reported.
    this.#realm.scheduler.after(0, () => {
      this.counts.diskFailures++
      node.crash()
      this.#restartLater(node)
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

  /** Cuts nodes off from the other nodes, sometimes in one direction alone. Clients still reach all. */
  #isolate(group: readonly SimulatedNode[]): Undo {
    const { network, nodes, random, trace } = this.#realm
    this.counts.partitions++
    const way = random.pick(['both', 'both', 'in', 'out'])
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

  #cutPair(): Undo | undefined {
    const { network, nodes, random, trace } = this.#realm
    const [one, other] = random.shuffled(nodes)
    if (one === undefined || other === undefined) return undefined
    this.counts.partitions++
    trace.note('cut', one.id, '→', other.id)
    return this.#undoAll([network.cut(one.id, other.id)])
  }

  #undoAll(undos: readonly Undo[]): Undo {
    return () => {
      this.#realm.trace.note('mend', '')
      for (const undo of undos) undo()
    }
  }

  #breakPeers(): undefined {
    const { network, nodes, random } = this.#realm
    const [one, other] = random.shuffled(nodes)
    if (one === undefined || other === undefined) return
    this.counts.breaks++
    network.break(one.id, other.id)
  }

  #breakClient(): undefined {
    const { network, workload } = this.#realm
    const machine = workload.anyMachine()
    if (machine === undefined) return
    this.counts.breaks++
    for (const node of network.partners(machine)) network.break(machine, node)
  }

  /** A client and a node that it is connected to, or a client and everybody, hear nothing of each other. */
  #cutClient(): Undo | undefined {
    const { network, nodes, random, trace, workload } = this.#realm
    const machine = workload.anyMachine()
    if (machine === undefined) return undefined
    const partners = network.partners(machine)
    const away = partners.length > 0 && random.chance(0.5) ? partners : nodes.map(({ id }) => id)
    this.counts.partitions++
    trace.note('cut', machine, away.join(' '))
    return this.#undoAll(away.flatMap((id) => [network.cut(machine, id), network.cut(id, machine)]))
  }

  #storm(): Undo {
    const { network, swarm, trace } = this.#realm
    trace.note('storm', '')
    network.weather = stormWeather
    return () => {
      network.weather = swarm.weather
    }
  }

  // ---- processes and disks

  #crashAndRestart(node: SimulatedNode, silent: boolean): undefined {
    if (!node.isUp || !this.#mayCrash(node)) return
    node.crash(silent)
    this.counts.crashes++
    // A machine without power answers nobody; when it is back, it knows nothing of its sockets.
    if (silent) this.#restartLater(node, this.#goDark(node))
    else this.#restartLater(node)
  }

  #goDark(node: SimulatedNode): Undo {
    const { network, nodes } = this.#realm
    const others = [...nodes.map(({ id }) => id), ...network.partners(node.id)].filter((id) => id !== node.id)
    const undos = others.flatMap((id) => [network.cut(node.id, id), network.cut(id, node.id)])
    return () => {
      for (const undo of undos) undo()
    }
  }

  #restartLater(node: SimulatedNode, undo: Undo = () => {}): void {
    const { random, scheduler, swarm } = this.#realm
    const start = () => {
      undo()
      node.start()
    }
    // Everybody else was started when the faults ended.
    if (!this.#active) return start()
    const once = () => {
      if (this.#undos.delete(once)) start()
    }
    this.#undos.add(once)
    scheduler.after(random.between(swarm.downMs[0], swarm.downMs[1]), once)
  }

  #stopAndRestart(node: SimulatedNode): undefined {
    if (!node.isUp) return
    this.counts.stops++
    node.stop().then(() => {
      if (!node.isUp) this.#restartLater(node)
    }, this.#realm.onFailure)
  }

  /** One after the other, each back before the next goes. */
  #rollingRestart(): undefined {
    const { nodes, scheduler, swarm } = this.#realm
    const next = (i: number): void => {
      const node = nodes[i]
      if (node === undefined || !this.#active) return
      this.#stopAndRestart(node)
      scheduler.after(swarm.downMs[1] + 1_500, () => next(i + 1))
    }
    next(0)
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
    const { trace } = this.#realm
    if (node.disk.isFailing || !node.isUp || !this.#mayCrash(node)) return
    trace.note('failDisk', node.id)
    node.disk.failNextWrite()
  }

  /** Room runs out on some disks, or on all: replicas fill theirs together. */
  #fillDisk(): Undo {
    const { nodes, random, trace } = this.#realm
    const full = random.chance(0.5) ? nodes : [this.#anyNode()]
    this.counts.fullDisks++
    trace.note('fill', full.map(({ id }) => id).join(' '))
    for (const { disk } of full) disk.fill(true)
    return () => {
      trace.note('room', full.map(({ id }) => id).join(' '))
      for (const { disk } of full) disk.fill(false)
    }
  }

  /** A new machine under an old name. */
  #wipe(node: SimulatedNode): undefined {
    if (!this.#mayLose(node)) return
    this.counts.wipes++
    node.crash()
    node.wipe()
    this.#restartLater(node)
  }

  /** Synced bytes change or vanish while the process is down. */
  #damage(node: SimulatedNode): undefined {
    const { random, trace } = this.#realm
    if (!this.#mayLose(node)) return
    this.counts.damages++
    const { disk } = node
    const kind = random.pick(['rotLog', 'rotLog', 'loseSegment', 'rotStore', 'loseStore'] as const)
    node.crash()
    trace.note('damage', node.id, kind)
    disk[kind]()
    node.setClock()
    this.#restartLater(node)
  }

  /** Synced bytes change under a process that runs: it may read them, or not. */
  #rot(node: SimulatedNode): undefined {
    if (!this.#mayLose(node)) return
    this.counts.damages++
    this.#realm.trace.note('rot', node.id)
    node.disk.rotLive()
  }

  // ---- operators

  /** Takes a member out of the cluster; the returned function brings it back. */
  #remove(node: SimulatedNode): Undo | undefined {
    const { nodes, trace } = this.#realm
    const leader = this.#leader()
    if (nodes.length < 3 || leader === undefined || !nodes.every((each) => this.#isWhole(each))) return undefined
    this.counts.removals++
    trace.note('remove', node.id)
    let isTried = false
    let isWanted = false
    const next = () => {
      if (isTried && isWanted) this.#bringBack(node)
    }
    this.#operate(leader, { what: 'remove', id: node.id, timeoutMs: 2_000 }, () => {
      isTried = true
      next()
    })
    return () => {
      isWanted = true
      next()
    }
  }

  /** Asks whoever leads until the node is a voter. */
  #bringBack(node: SimulatedNode): void {
    const { scheduler } = this.#realm
    const leader = this.#leader()
    const status = leader?.group.driver.status()
    const { voters, votersOutgoing } = status?.membership ?? { voters: [], votersOutgoing: [] }
    // A removal that nobody has heard the end of may still be on its way through the log.
    const isCertain = status?.commitIndex === status?.lastIndex && votersOutgoing.length === 0
    if (isCertain && node.isAmong(voters)) return
    const again = () => void scheduler.after(operatorPauseMs, () => this.#bringBack(node))
    if (leader === undefined) again()
    else this.#operate(leader, { what: 'add', id: node.id, promote: true, timeoutMs: 2_000 }, again)
  }

  #transfer(): undefined {
    const leader = this.#leader()
    if (leader === undefined) return
    this.counts.transfers++
    this.#realm.trace.note('transfer', '')
    this.#operate(leader, { what: 'transfer', to: undefined, timeoutMs: 2_000 }, () => {})
  }

  /** What the operator is told is not believed; a node that dies meanwhile tells nothing. */
  #operate(leader: NodeCore, operation: MembershipOperation, done: () => void): void {
    let isOver = false
    const once = () => {
      if (!isOver) done()
      isOver = true
    }
    this.#realm.scheduler.after(2 * operation.timeoutMs, once)
    leader.operations.run(operation).then(once, (error: unknown) => {
      if (!(error instanceof MeshError)) this.#realm.onFailure(error)
      once()
    })
  }

  #leader(): NodeCore | undefined {
    return this.#realm.nodes.find((node) => node.core?.group.role.established === true && !node.isPaused)?.core
  }

  // ---- what the cluster can bear

  /** How many members may be missing. */
  get #bearable(): number {
    return Math.floor((this.#voters().length - 1) / 2)
  }

  get #isFounded(): boolean {
    return this.#realm.nodes.some(({ core }) => core?.group.driver.status().membership !== undefined)
  }

  /** A minority may lose what it had synced: with this node, and with those that are down and may have a torn end as well. */
  #mayLose(node: SimulatedNode): boolean {
    const others = this.#realm.nodes.filter((other) => other !== node && !this.#isWhole(other))
    return this.#isFounded && this.#isWhole(node) && others.length < this.#bearable
  }

  /**
   * A crash may tear the log's end, and a node in doubt votes only if all voters answer; one whose directory was emptied never
   * will. So while there is one of those, the others go down only as far as a majority remains that needs nobody's word.
   */
  #mayCrash(node: SimulatedNode): boolean {
    const { nodes } = this.#realm
    if (nodes.every((other) => !other.isReplaced(this.#voters()))) return true
    const others = nodes.filter((other) => other !== node && !this.#isWhole(other))
    return others.length < this.#bearable
  }

  /** It is up and about to stay so, its word counts, and it is the member that the cluster knows. */
  #isWhole(node: SimulatedNode): boolean {
    const status = node.core?.group.driver.status()
    const { isFailing, isRotten } = node.disk
    return status?.doubt === 0 && !isFailing && !isRotten && node.isAmong(this.#voters())
  }

  /** Voters by the word of whoever has applied most. */
  #voters(): readonly Member[] {
    let best: RaftStatus | undefined
    for (const { core } of this.#realm.nodes) {
      const status = core?.group.driver.status()
      if (status !== undefined && status.appliedIndex >= (best?.appliedIndex ?? 0)) best = status
    }
    const { membership } = best ?? {}
    return membership === undefined || membership.votersOutgoing.length > 0 ? [] : membership.voters
  }

  #jump(): undefined {
    this.counts.wallJumps++
    this.#anyNode().jump(this.#realm.random.pick([-3_600_000, -1_000, 1_000, 3_600_000]))
  }
}
