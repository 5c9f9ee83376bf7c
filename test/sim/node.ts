/**
 * One simulated member: the production driver and write-ahead log of as many lives as its process has, on a clock, a
 * network and a disk that are not real.
 *
 * Never: a shortcut past the ports. Whatever the oracle learns it learns at a port: appends and reads at `LogStorage`,
 * messages at `Transport`, applied entries and roles at `StateMachine`.
 */

import { StorageFailedError } from '../../node/storage/errors.ts'
import { Wal } from '../../node/storage/wal.ts'
import {
  type Clock,
  type Entry,
  EntryType,
  type LogIndex,
  type Message,
  type NodeId,
  type Proposed,
  RaftDriver,
  type RaftStatus,
  ReadUnavailable,
  type RoleChange,
} from '../../raft/index.ts'
import type { Random } from '../support/random.ts'
import { CheckpointDisk, Checkpointing, type SimulatedCheckpoint } from './checkpointing.ts'
import { commandOf } from './commands.ts'
import { NodeDisk } from './disk.ts'
import { type Life, newLife } from './life.ts'
import { contentHash } from './log-model.ts'
import type { Network } from './network.ts'
import { NodeClock } from './node-clock.ts'
import type { Oracle } from './oracle.ts'
import type { Scheduler } from './scheduler.ts'
import type { Swarm } from './swarm.ts'
import type { Trace } from './trace.ts'
import { Violation } from './violation.ts'
import { watchedLog } from './watched-log.ts'

/** What the world around a node is made of; the same for all nodes of a run. */
export interface World {
  readonly ids: readonly NodeId[]
  readonly swarm: Swarm
  readonly scheduler: Scheduler
  readonly network: Network
  readonly oracle: Oracle
  readonly trace: Trace
  /** A node does something delicate: the nemesis may strike at once. */
  readonly onMoment: (node: SimulatedNode, moment: Moment) => void
  /** What a member's store holds, if it runs and could be asked for it. */
  readonly checkpointOf: (id: NodeId) => SimulatedCheckpoint | undefined
  /** A command was applied where it was proposed. */
  readonly onAcknowledged: (command: number, index: LogIndex) => void
  /** The process ended itself, because its disk failed. */
  readonly onDiskFailure: (node: SimulatedNode) => void
  /** Something broke that is nobody's fault but the code's. */
  readonly onFailure: (error: unknown) => void
}

export type Moment = 'toldVote' | 'writing' | 'elected' | 'firstCommit' | 'committed'

const group = { id: 1, incarnation: 1 }
const directory = '/wal'

export class SimulatedNode {
  readonly id: NodeId
  readonly disk: NodeDisk
  /** The store beside the log. */
  readonly store = new CheckpointDisk()
  installs = 0
  /** How often its directory was emptied. */
  wipes = 0
  readonly #world: World
  readonly #random: Random
  #lives = 0
  #life: Life | undefined

  constructor(id: NodeId, world: World, random: Random) {
    this.id = id
    this.#world = world
    this.#random = random
    this.disk = new NodeDisk(world.scheduler, random.fork(), (callback) => this.#run(callback))
  }

  get incarnation(): string {
    return `${this.id}-${this.wipes}`
  }

  get isUp(): boolean {
    return this.#life !== undefined
  }

  get isPaused(): boolean {
    return this.#life?.clock.paused === true
  }

  get role(): RoleChange | undefined {
    return this.#life?.role
  }

  /** A leader in its own eyes, which may be out of date. */
  get claimsToLead(): boolean {
    return this.#life?.role?.role === 'leader'
  }

  get status(): RaftStatus | undefined {
    return this.#life?.driver?.status()
  }

  get applied(): LogIndex {
    return this.#life?.applied ?? 0
  }

  get stateHash(): number {
    return this.#life?.stateHash ?? 0
  }

  /** Starts the process. It takes part once its log is recovered. */
  start(): void {
    if (this.#life !== undefined) return
    const { scheduler, swarm, trace } = this.#world
    const speed = 1 + this.#random.between(-swarm.clockSkew, swarm.clockSkew)
    const life = newLife(++this.#lives, new NodeClock(scheduler, this.#random.below(1e6), speed))
    this.#life = life
    trace.note('start', this.id, life.number)
    this.#open(life).catch((error: unknown) => this.#fail(life, error))
  }

  /** The process dies at once, and its disk keeps what was synced and perhaps some of the rest. Returns the bytes lost. */
  crash(): number {
    const life = this.#life
    if (life === undefined) return 0
    this.#life = undefined
    life.clock.kill()
    this.#world.network.detach(this.id)
    const bytesLost = this.disk.crash()
    this.#world.trace.note('crash', this.id, bytesLost)
    return bytesLost
  }

  /** The process ends in an orderly way; resolves when it is gone. Whatever was appended must be there when it comes back. */
  async stop(): Promise<void> {
    const life = this.#life
    if (life?.driver === undefined || life.wal === undefined || life.clock.paused) return
    this.#world.trace.note('stop', this.id)
    life.driver.stop()
    life.checkpointing?.stop()
    this.#world.network.detach(this.id)
    await life.wal.close()
    if (this.#life !== life) return
    life.clock.kill()
    this.#life = undefined
    this.#world.oracle.model(this.id).closed()
  }

  /** Empties the data directory of a dead node. */
  wipe(): void {
    this.wipes++
    this.disk.wipe()
    this.store.wipe()
    this.#world.oracle.model(this.id).wiped()
    this.#world.trace.note('wipe', this.id, this.incarnation)
  }

  pause(): void {
    this.#life?.clock.pause()
    this.#world.trace.note('pause', this.id)
  }

  resume(): void {
    this.#life?.clock.resume()
    this.#world.trace.note('resume', this.id)
  }

  /** A wrong rumour: the peer's socket closed and a redial was refused, though the peer lives. */
  believeDead(peer: NodeId): void {
    this.#world.trace.note('rumour', this.id, peer)
    this.#life?.driver?.peerDown(peer)
  }

  propose(command: number, data: Uint8Array): boolean {
    const life = this.#life
    if (life === undefined || life.clock.paused) return false
    const proposed: Proposed | undefined = life.driver?.propose(data)
    if (proposed === undefined) return false
    life.proposals.set(proposed.index, { term: proposed.term, command })
    return true
  }

  /** A linearizable read; true once it was allowed, false when nobody could tell in time. */
  async read(timeoutMs: number): Promise<boolean> {
    const life = this.#life
    if (life?.driver === undefined || life.clock.paused) return false
    const { oracle, trace } = this.#world
    const floor = oracle.committedIndex
    try {
      await life.driver.readIndex(timeoutMs)
    } catch (error) {
      if (error instanceof ReadUnavailable) return false
      throw error
    }
    if (this.#life !== life) return false
    trace.note('read', this.id, life.applied, floor)
    oracle.onReadIndex(this.id, floor, life.applied)
    return true
  }

  /** After each step: term and commit index never fall, and what a leader takes for committed is so. */
  checkProgress(): void {
    const life = this.#life
    if (life?.driver === undefined || life.clock.turns === life.seen.turns) return
    const { role, term, commitIndex, appliedIndex } = life.driver.status()
    const { seen } = life
    if (term < seen.term || commitIndex < seen.commitIndex || appliedIndex > commitIndex) {
      throw new Violation(
        'term and commit index never fall',
        `${this.id}: term ${term}, committed ${commitIndex}, applied ${appliedIndex} after ${JSON.stringify(seen)}`,
      )
    }
    if (role === 'leader' && commitIndex > seen.commitIndex) this.#world.oracle.onCommit(this.id, commitIndex)
    life.seen = { turns: life.clock.turns, term, commitIndex }
  }

  /** Runs a callback of the present process's world, when that process runs. */
  #run(callback: () => void): void {
    this.#life?.clock.run(callback)
  }

  /** A disk that was made to fail ends the process, as it should (trap 21); everything else fails the run. */
  #fail(life: Life, error: unknown): void {
    if (this.#life !== life) return
    if (this.disk.isFailing && error instanceof StorageFailedError) this.#world.onDiskFailure(this)
    else this.#world.onFailure(error)
  }

  async #open(life: Life): Promise<void> {
    const { ids, swarm, network, oracle } = this.#world
    const wal = await Wal.open({
      files: this.disk.files,
      directory,
      identity: { nodeId: this.id, incarnation: this.incarnation },
      clock: life.clock,
      mustExist: this.disk.wasOpened,
      segmentBytes: swarm.segmentBytes,
      ...this.store.walOptions(group),
      onFailure: (error) => this.#fail(life, error),
    })
    if (this.#life !== life) return
    this.disk.wasOpened = true
    life.wal = wal
    const storage = watchedLog({
      id: this.id,
      log: wal.group(group),
      oracle,
      trace: this.#world.trace,
      isAlive: () => this.#life === life,
      onWriting: () => this.#world.onMoment(this, 'writing'),
    })
    oracle.model(this.id).recovered(storage.recovered())
    await this.store.meet(storage)
    if (this.#life !== life) return
    const checkpoint = this.store.current
    if (checkpoint !== undefined) this.#restore(life, checkpoint)
    const random = this.#random.fork()
    life.driver = new RaftDriver({
      id: this.id,
      incarnation: this.incarnation,
      memberIds: ids,
      storage,
      ...(checkpoint && { checkpoint: checkpoint.mark }),
      transport: { send: (message) => this.#send(life, message) },
      clock: life.clock as Clock,
      random: () => random.fraction(),
      mintClusterId: () => `cluster-${random.uint32()}`,
      machine: {
        apply: (entry) => this.#apply(life, entry),
        onRoleChange: (change) => this.#changeRole(life, change),
        onInstall: (offer) => life.checkpointing?.offer(offer),
        onTrusted: () => {},
      },
      onFatal: (error) => this.#fail(life, error),
      tuning: {
        appendBytesMax: swarm.appendBytesMax,
        inflightBytesMax: swarm.inflightBytesMax,
        cacheBytesMax: swarm.cacheBytesMax,
      },
      applyBytesMax: swarm.appendBytesMax,
    })
    const { driver } = life
    life.checkpointing = this.#checkpoints(life, wal, driver)
    driver.start()
    network.attach(this.id, {
      receive: (message) => life.clock.run(() => driver.receive(message)),
      peerRefused: (peer) => life.clock.run(() => driver.peerDown(peer)),
      peerConnected: (peer) => life.clock.run(() => driver.peerUp(peer)),
    })
  }

  #checkpoints(life: Life, wal: Wal, driver: RaftDriver): Checkpointing {
    const { swarm, trace, checkpointOf } = this.#world
    return new Checkpointing({
      group,
      clock: life.clock,
      random: this.#random.fork(),
      everyMs: swarm.checkpointEveryMs,
      disk: this.store,
      driver,
      wal,
      state: () => life,
      restore: (checkpoint) => {
        this.installs++
        this.#restore(life, checkpoint)
      },
      offeredBy: checkpointOf,
      onFatal: (error) => this.#fail(life, error),
      note: (what, index) => trace.note(what, this.id, index),
    })
  }

  #restore(life: Life, { mark, stateHash }: SimulatedCheckpoint): void {
    life.applied = mark.index
    life.stateHash = stateHash
    this.#world.oracle.onRestore(this.id, mark.index, stateHash)
  }

  #send(life: Life, message: Message): void {
    if (this.#life !== life) return
    const { network, oracle, onMoment } = this.#world
    oracle.onSend(message)
    network.send(message)
    if (message.type === 'voteResponse' && message.granted && !message.pre) onMoment(this, 'toldVote')
  }

  #apply(life: Life, entry: Entry): void {
    if (this.#life !== life) return
    const { oracle, trace, onAcknowledged } = this.#world
    const { index, term } = entry
    if (index !== life.applied + 1)
      throw new Violation('entries are applied in order', `${this.id}: ${index} after ${life.applied}`)
    const isNews = index > oracle.committedIndex
    life.applied = index
    life.stateHash = Math.imul(life.stateHash ^ contentHash(entry), 0x01000193) ^ term
    trace.note('apply', this.id, index, term)
    oracle.onApply(this.id, entry, life.stateHash)
    const proposal = life.proposals.get(index)
    if (proposal !== undefined) {
      life.proposals.delete(index)
      // Another leader's entry in this place is not ours, whatever it says (trap 47).
      if (proposal.term === term) this.#acknowledge(entry, proposal.command, onAcknowledged)
    }
    if (isNews && this.claimsToLead) this.#tellCommit(life)
  }

  #tellCommit(life: Life): void {
    const term = life.role?.term ?? 0
    const isFirst = life.committedInTerm < term
    life.committedInTerm = term
    this.#world.onMoment(this, isFirst ? 'firstCommit' : 'committed')
  }

  #acknowledge(entry: Entry, command: number, onAcknowledged: World['onAcknowledged']): void {
    if (entry.type !== EntryType.command || commandOf(entry.data) !== command) {
      throw new Violation('an acknowledged command is the one proposed', `${this.id}: ${command} at ${entry.index}`)
    }
    this.#world.oracle.onAcknowledge(this.id, entry.index)
    onAcknowledged(command, entry.index)
  }

  #changeRole(life: Life, change: RoleChange): void {
    if (this.#life !== life) return
    const { oracle, trace, onMoment } = this.#world
    const { role, term, leader, established } = change
    const wasLeader = this.claimsToLead
    trace.note('role', this.id, role, term, leader, established ? 'established' : '')
    if (life.role !== undefined && term < life.role.term) {
      throw new Violation('the term never falls', `${this.id}: ${term} after ${life.role.term}`)
    }
    life.role = change
    if (role !== 'leader') return
    oracle.onLeader(this.id, this.incarnation, life.number, term)
    if (!wasLeader) onMoment(this, 'elected')
  }
}
