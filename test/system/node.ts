/**
 * One simulated node: the production core, mesh, log and codecs, for as many lives as its process has, on a clock, a
 * network and a disk that are not real.
 *
 * Never: a shortcut past the ports, or a question to the code under test whose answer is not checked against others'.
 */

import { readCheckpoint } from '../../node/checkpointing/read-checkpoint.ts'
import { type NodeConfig, parseNodeOptions } from '../../node/config.ts'
import { GROUP, NodeCore } from '../../node/core.ts'
import type { Logger } from '../../node/logger.ts'
import { selfOf } from '../../node/peers/handshake.ts'
import { Mesh } from '../../node/peers/mesh.ts'
import type { MeshHandlers, MeshPort } from '../../node/peers/mesh-port.ts'
import { DamagedLogError, StorageFailedError } from '../../node/storage/errors.ts'
import type { NodeStorage } from '../../node/storage/open-storage.ts'
import type { Wal } from '../../node/storage/wal.ts'
import type { GroupId, LogStorage, Member, Message } from '../../raft/index.ts'
import { NodeClock } from '../sim/node-clock.ts'
import type { Scheduler } from '../sim/scheduler.ts'
import type { Trace } from '../sim/trace.ts'
import type { Random } from '../support/random.ts'
import { DataDirectory } from './data-directory.ts'
import type { Network } from './network.ts'
import type { Oracle, Sighting } from './oracle.ts'
import type { Host } from './socket.ts'
import type { Swarm } from './swarm.ts'

/** What the world around a node is made of; the same for all nodes of a run. */
export interface World {
  readonly ids: readonly string[]
  readonly swarm: Swarm
  readonly scheduler: Scheduler
  readonly network: Network
  readonly oracle: Oracle
  readonly trace: Trace
  /** A node does something delicate: the nemesis may strike at once. */
  readonly onMoment: (node: SimulatedNode, moment: Moment) => void
  /** The process is about to end itself, because its disk failed. */
  readonly onDiskFailure: (node: SimulatedNode) => void
  /** Something broke that is nobody's fault but the code's. */
  readonly onFailure: (error: unknown) => void
}

export type Moment = 'toldVote' | 'writing' | 'elected' | 'acknowledged'

/** Simulated time 0 on the wall. */
const EPOCH_MS = 1_700_000_000_000
const PEER_PING_MS = 2_000

/** Counts of what a node's storage did beside logging. */
export interface StorageWork {
  readonly checkpoints: number
  readonly installs: number
  readonly repairs: number
}

interface Life {
  readonly number: number
  readonly host: Host
  core: NodeCore | undefined
  storage: NodeStorage | undefined
  isStopping: boolean
  seen: Sighting
  /** Turns of the clock at the last look. */
  turns: number
}

export class SimulatedNode {
  readonly id: string
  readonly disk: DataDirectory
  readonly #world: World
  readonly #random: Random
  readonly #config: NodeConfig
  /** The wall clock is wrong by this, milliseconds, and was so by up to that. */
  #wallOffsetMs = 0
  #wallOffsetMsMax = 0
  #isClockToBeSet = false
  #wipes = 0
  #lives = 0
  #work: StorageWork = { checkpoints: 0, installs: 0, repairs: 0 }
  #life: Life | undefined

  constructor(id: string, world: World, random: Random) {
    this.id = id
    this.#world = world
    this.#random = random
    const run = (callback: () => void) => this.#life?.host.clock.run(callback)
    this.disk = new DataDirectory(id, world.scheduler, random.fork(), run)
    this.#config = this.#configure()
  }

  get isUp(): boolean {
    return this.#life !== undefined
  }

  get isPaused(): boolean {
    return this.#life?.host.clock.paused === true
  }

  /** Undefined while its storage is not open, and from the moment that it is to stop. */
  get core(): NodeCore | undefined {
    return this.#life?.isStopping === true ? undefined : this.#life?.core
  }

  /** A leader in its own eyes, which may be out of date. */
  get claimsToLead(): boolean {
    return this.#life?.core?.group.role.role === 'leader'
  }

  /** Starts the process. It listens once its storage is open. */
  start(): void {
    if (this.#life !== undefined) return
    const { scheduler, swarm, trace } = this.#world
    const speed = 1 + this.#random.between(-swarm.clockSkew, swarm.clockSkew)
    const clock = new NodeClock(scheduler, this.#random.below(1e6), speed)
    const life: Life = {
      number: ++this.#lives,
      host: { name: this.id, clock, alive: true },
      core: undefined,
      storage: undefined,
      isStopping: false,
      seen: { role: 'follower', term: 0, commitIndex: 0, appliedIndex: 0, firstIndex: 1 },
      turns: 0,
    }
    this.#life = life
    if (this.#isClockToBeSet) this.#wallOffsetMs = this.#wallOffsetMsMax
    trace.note('start', this.id, life.number)
    this.#open(life).catch((error: unknown) => this.#fail(life, error))
  }

  /** The process dies at once. `silent`: its machine with it. The disk keeps what was synced and perhaps some of the rest. */
  crash(silent = false): void {
    const life = this.#life
    if (life === undefined) return
    this.#end(life, silent)
    const bytesLost = this.disk.crash()
    this.#world.trace.note('crash', this.id, silent ? 'silent' : '', bytesLost)
  }

  /** The process ends in an orderly way; resolves when it is gone. */
  async stop(): Promise<void> {
    const life = this.#life
    if (life?.core === undefined || life.storage === undefined || life.isStopping || life.host.clock.paused) return
    life.isStopping = true
    this.#world.trace.note('stop', this.id)
    this.#world.network.deafen(life.host)
    await life.core.stop()
    await life.storage.close()
    if (this.#life === life) this.#end(life, false)
  }

  /** The wall clock jumps; not while a process without a counter of its boots reads it for the first. */
  jump(ms: number): void {
    if (this.#isClockToBeSet && this.#life !== undefined) return
    this.#wallOffsetMs += ms
    this.#wallOffsetMsMax = Math.max(this.#wallOffsetMsMax, this.#wallOffsetMs)
    this.#world.trace.note('jump', this.id, ms)
  }

  /**
   * Whoever has lost the counter of its boots must not have lost the time as well: its lives find the wall clock put right, until one of them
   * has a counter again.
   */
  setClock(): void {
    this.#isClockToBeSet = true
  }

  /** Empties the data directory of a dead node. */
  wipe(): void {
    this.#wipes++
    this.disk.wipe()
    this.setClock()
    this.#world.oracle.book(this.id).reset(0)
    this.#world.trace.note('wipe', this.id)
  }

  /** Whether it is one of them, as who it is now. False while its storage is not open. */
  isAmong(voters: readonly Member[]): boolean {
    const incarnation = this.#life?.storage?.identity.incarnation
    return voters.some((voter) => voter.id === this.id && voter.incarnation === incarnation)
  }

  /** Its directory was emptied, and nobody has made the new one a voter yet. */
  isReplaced(voters: readonly Member[]): boolean {
    return this.#wipes > 0 && !this.isAmong(voters)
  }

  pause(): void {
    this.#life?.host.clock.pause()
    this.#world.trace.note('pause', this.id)
  }

  resume(): void {
    this.#life?.host.clock.resume()
    this.#world.trace.note('resume', this.id)
  }

  /** After each step: what this node believes now is held against what is known. */
  look(): void {
    const life = this.#life
    if (life?.core === undefined || life.host.clock.turns === life.turns) return
    life.turns = life.host.clock.turns
    const { role, term, commitIndex, appliedIndex, firstIndex } = life.core.group.driver.status()
    const { seen } = life
    const same = seen.role === role && seen.term === term && seen.commitIndex === commitIndex
    if (same && seen.appliedIndex === appliedIndex) return
    const sighting = { role, term, commitIndex, appliedIndex, firstIndex }
    life.seen = sighting
    this.#world.trace.note('see', this.id, role, `term ${term}`, commitIndex, appliedIndex)
    this.#world.oracle.see(this.id, life.number, seen, sighting, life.core.group.machine)
    if (role === 'leader' && seen.role !== 'leader') this.#world.onMoment(this, 'elected')
    else if (role === 'leader' && appliedIndex > seen.appliedIndex) this.#world.onMoment(this, 'acknowledged')
  }

  /** What the storage of all lives did. */
  get work(): StorageWork {
    const { core } = this.#life ?? {}
    return core === undefined ? this.#work : added(this.#work, core)
  }

  #end(life: Life, silent: boolean): void {
    this.#work = this.work
    this.#life = undefined
    life.host.clock.kill()
    this.#world.network.died(life.host, silent)
    // Its timers hold it in the heap of events for a while; its state need not stay with it.
    life.core = undefined
  }

  #configure(): NodeConfig {
    const { ids, swarm } = this.#world
    const logger: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
    const port = (id: string) => 7101 + ids.indexOf(id)
    return parseNodeOptions({
      id: this.id,
      listen: `127.0.0.1:${port(this.id)}`,
      dataDir: '/',
      cluster: Object.fromEntries(ids.map((id) => [id, `ws://127.0.0.1:${port(id)}`])),
      logger,
      tickMs: swarm.tickMs,
      nodeGraceMs: swarm.nodeGraceMs,
      sessionLeaseMs: swarm.sessionLeaseMs,
      detachGraceMs: swarm.detachGraceMs,
      leaderlessCloseMs: swarm.leaderlessCloseMs,
      entryCacheBytes: swarm.cacheBytesMax,
      checkpointBytes: swarm.checkpointBytes,
      trailingLogBytesMax: swarm.trailingLogBytesMax,
    })
  }

  /** A disk that was made to fail ends the process, as it should (trap 21); everything else fails the run. */
  #fail(life: Life, error: unknown): void {
    if (this.#life !== life) return
    const isExpected =
      (this.disk.isFailing && error instanceof StorageFailedError) ||
      (this.disk.isRotten && error instanceof DamagedLogError)
    if (isExpected) this.#world.onDiskFailure(this)
    else this.#world.onFailure(error)
  }

  async #open(life: Life): Promise<void> {
    const { ids, network, swarm } = this.#world
    const { clock } = life.host
    const wallNow = () => Math.floor(EPOCH_MS + this.#world.scheduler.now() + this.#wallOffsetMs)
    const storage = await this.disk.open({
      clock,
      wallNow,
      segmentBytes: swarm.segmentBytes,
      alone: ids.length === 1,
      onFailure: (error) => {
        if (life.core === undefined) this.#fail(life, error)
        else life.core.fail(error)
      },
    })
    if (this.#life === life) this.#isClockToBeSet = false
    const recovered = await readCheckpoint(storage.checkpoints)
    if (this.#life !== life) return
    const random = this.#random.fork()
    const dice = () => random.fraction()
    life.storage = observed<NodeStorage>(storage, { wal: this.#watched(storage.wal) })
    let mesh: Mesh | undefined
    const core = new NodeCore({
      config: this.#config,
      storage: life.storage,
      recovered,
      clock,
      wallNow,
      random: dice,
      mintNonce: () => random.below(2 ** 20),
      mintClusterId: () => `cluster-${random.uint32()}`,
      makeMesh: (handlers) => {
        mesh = this.#makeMesh(life, storage, handlers, dice)
        return this.#overheard(life, mesh)
      },
      onFailed: (failure) => {
        // As in production: it leaves at once, and its process follows.
        void core.stop()
        this.#fail(life, failure)
      },
    })
    life.core = core
    network.listen(life.host, 'client', (socket) => core.adopt(socket))
    network.listen(life.host, 'peer', (socket) => mesh?.accept(socket))
    core.start()
  }

  #makeMesh(life: Life, storage: NodeStorage, handlers: MeshHandlers, random: () => number): Mesh {
    const { network } = this.#world
    const { id, cluster, clusterName, secret, logger, peerBufferBytesMax, handshakeTimeoutMs } = this.#config
    const peers = Object.keys(cluster).filter((peer) => peer !== id)
    const options = {
      cluster: clusterName,
      secret,
      self: selfOf(storage.identity),
      group: GROUP,
      clock: life.host.clock,
      random,
      dial: (to: string, timeoutMs: number, dialHandlers: Parameters<Network['dial']>[4]) =>
        network.dial(life.host, to, 'peer', timeoutMs, dialHandlers),
      peers: new Map(peers.map((peer) => [peer, peer])),
      logger,
      bufferBytesMax: peerBufferBytesMax,
      handshakeTimeoutMs,
      pingIntervalMs: PEER_PING_MS,
    }
    return new Mesh(options, handlers)
  }

  /** The mesh as the core sees it, with the trace and the nemesis listening. */
  #overheard(life: Life, mesh: Mesh): MeshPort {
    const { trace, onMoment } = this.#world
    return observed<MeshPort>(mesh, {
      sendRaft: (message: Message) => {
        if (this.#life !== life) return
        trace.message('send', message)
        mesh.sendRaft(message)
        if (message.type === 'voteResponse' && message.granted && !message.pre) onMoment(this, 'toldVote')
      },
    })
  }

  /** The log as the core sees it, with the oracle listening. */
  #watched(wal: Wal): Wal {
    const { oracle, onMoment } = this.#world
    const book = oracle.book(this.id)
    return observed<Wal>(wal, {
      group: (group: GroupId) => {
        const log = wal.group(group)
        book.recovered(log.recovered())
        return observed(log, {
          append: (batch: Parameters<LogStorage['append']>[0]) => {
            book.appended(batch.entries)
            onMoment(this, 'writing')
            return log.append(batch)
          },
          reset: (base: Parameters<LogStorage['reset']>[0]) => {
            book.reset(base.index)
            return log.reset(base)
          },
        })
      },
    })
  }
}

function added({ checkpoints, installs, repairs }: StorageWork, core: NodeCore): StorageWork {
  const { checkpointsTotal, installsTotal, repairedBodiesTotal } = core.report.metrics().storage
  return {
    checkpoints: checkpoints + checkpointsTotal,
    installs: installs + installsTotal,
    repairs: repairs + repairedBodiesTotal,
  }
}

/** The same object but for some of its methods; those that are not named are called on the object itself. */
function observed<T extends object>(target: T, methods: Partial<Record<keyof T, unknown>>): T {
  return new Proxy(target, {
    get(_, name) {
      const own = methods[name as keyof T]
      if (own !== undefined) return own
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
    set(_, name, value) {
      return Reflect.set(target, name, value, target)
    },
  })
}
