/**
 * A cluster of pure cores with disks and a network that a test commands step by step. No clock, no promise: what
 * happens, and in which order, is what the test says.
 *
 * A disk keeps what was synced apart from what was only written, so a crash loses exactly the unsynced. The network can
 * be cut per direction; a filter can drop single messages. Every step checks what must hold at all times: one leader a
 * term that holds all that was committed, equal committed entries, commits on a synced majority.
 *
 * The state machine is the list of what was applied. So a checkpoint is a copy of it, and an install can be checked entry by
 * entry as if each had been applied.
 */

import type {
  Entry,
  HardState,
  InstallOffer,
  LoadRequest,
  LogIndex,
  NodeId,
  Ready,
  RecoveredLog,
  RoleChange,
  SnapshotMark,
  Term,
} from '../../../raft/index.ts'
import {
  decodeMembership,
  EntryType,
  type Member,
  type Message,
  Raft,
  type RaftOptions,
  type RaftStatus,
} from '../../../raft/index.ts'
import { Random } from '../../support/random.ts'

const NO_HARD_STATE: HardState = { term: 0, vote: '', commit: 0 }

export function textEntry(index: LogIndex, term: Term, text = ''): Entry {
  return { index, term, type: EntryType.command, data: new TextEncoder().encode(text) }
}

export function textOf(entry: Entry): string {
  return new TextDecoder().decode(entry.data)
}

/** The entry that a log goes on behind. */
export interface Base {
  readonly index: LogIndex
  readonly term: Term
}

export const NO_BASE: Base = { index: 0, term: 0 }

/** What a log storage would recover from these entries, which follow `base`. */
export function recoveredLog(hardState: HardState, entries: readonly Entry[], base = NO_BASE): RecoveredLog {
  const termRuns: { firstIndex: LogIndex; term: Term }[] = []
  for (const { index, term } of entries) {
    if (term !== termRuns.at(-1)?.term) termRuns.push({ firstIndex: index, term })
  }
  const memberships = entries.filter((entry) => entry.type === EntryType.membership)
  const firstIndex = base.index + 1
  return { hardState, firstIndex, baseTerm: base.term, lastIndex: base.index + entries.length, termRuns, memberships }
}

/** `log` holds what follows `base`. */
export function appendCutting(log: Entry[], entries: readonly Entry[], base = NO_BASE): void {
  for (const entry of entries) {
    if (entry.index <= base.index)
      throw new Error(`storage got entry ${entry.index}, its log begins behind ${base.index}`)
    const at = entry.index - base.index - 1
    if (at < log.length) log.length = at
    if (at !== log.length) throw new Error(`storage got entry ${entry.index} after ${base.index + log.length}`)
    log.push(entry)
  }
}

/** What a log storage reads: consecutive entries, at least one, or none if it does not hold `from`. */
export function readLog(log: readonly Entry[], base: Base, from: LogIndex, bytesMax: number): Entry[] {
  const entries: Entry[] = []
  if (from <= base.index) return entries
  let bytes = 0
  for (const entry of log.slice(from - base.index - 1)) {
    bytes += entry.data.length
    if (entries.length > 0 && bytes > bytesMax) break
    entries.push(entry)
  }
  return entries
}

/** A state machine's state at a mark. */
export interface TestCheckpoint {
  readonly mark: SnapshotMark
  readonly state: readonly Entry[]
}

/** Numbers of doubts rise, like boot ids. */
let doubtsSoFar = 0

/** One member: a core, its disk, and what it has applied in this life. */
export class TestNode {
  readonly id: NodeId
  incarnation: string
  core: Raft
  /** What a crash leaves. */
  hardState = NO_HARD_STATE
  base = NO_BASE
  /** What follows `base`. */
  readonly log: Entry[] = []
  /** Everything that was ever synced, under whatever incarnation and whether the disk still has it or not. */
  readonly everSynced = new Set<string>()
  /** Not 0: the disk has forgotten something, and nobody has told yet that it does not matter any more. */
  doubt = 0
  /** The directory knows its cluster, in a store of its own. */
  isFounded = false
  /** Durable, in a store of its own. */
  checkpoint: TestCheckpoint | undefined
  /** Written but not synced. */
  readonly unsynced: Ready[] = []
  /** While true, syncs do not complete: a slow disk. */
  isDiskHeld = false
  isUp = true
  /** While true, reads of storage wait for Cluster.load(). */
  isReadHeld = false
  loads: LoadRequest[] = []
  /** The newest offer of a checkpoint in this life. */
  offer: InstallOffer | undefined
  /** The state machine: entry by entry, whether applied here or come with a checkpoint. */
  applied: Entry[] = []
  reads: { requestId: number; index: LogIndex }[] = []
  roles: RoleChange[] = []
  readonly #options: Omit<RaftOptions, 'recovered' | 'incarnation'>

  constructor(options: Omit<RaftOptions, 'recovered'>, log: readonly Entry[], hardState: HardState) {
    this.#options = options
    this.id = options.id
    this.incarnation = options.incarnation
    this.hardState = hardState
    this.log.push(...log)
    this.noteSynced(log)
    this.core = this.#open()
  }

  #open(): Raft {
    const { checkpoint, doubt, isFounded: founded } = this
    const recovered = recoveredLog(this.hardState, this.log, this.base)
    const options = { ...this.#options, incarnation: this.incarnation, recovered, doubt, founded }
    return new Raft(checkpoint === undefined ? options : { ...options, checkpoint: checkpoint.mark })
  }

  get status(): RaftStatus {
    return this.core.status()
  }

  crash(): void {
    this.isUp = false
    this.unsynced.length = 0
  }

  restart(): void {
    this.isUp = true
    this.#meetCheckpoint()
    this.applied = [...(this.checkpoint?.state ?? [])]
    this.reads = []
    this.roles = []
    this.loads = []
    this.offer = undefined
    this.core = this.#open()
  }

  /** As storage does at a start: a log that lacks the entry of an installed checkpoint is an older one. */
  #meetCheckpoint(): void {
    const mark = this.checkpoint?.mark
    if (mark === undefined || this.holds(mark.index, mark.term)) return
    this.base = { index: mark.index, term: mark.term }
    this.log.length = 0
  }

  /** Whether a crash would leave this entry, or a checkpoint that reflects it. */
  holds(index: LogIndex, term: Term): boolean {
    return index < this.base.index || this.durableTermAt(index) === term
  }

  durableTermAt(index: LogIndex): Term | undefined {
    return index === this.base.index ? this.base.term : this.log[index - this.base.index - 1]?.term
  }

  /** The directory is emptied and initialised anew. */
  wipe(incarnation: string): void {
    this.crash()
    this.incarnation = incarnation
    this.hardState = NO_HARD_STATE
    this.base = NO_BASE
    this.checkpoint = undefined
    this.log.length = 0
    this.doubt = 0
    this.isFounded = false
  }

  /** A crash in which the disk loses synced entries behind `lastIndex`, and what it knew of terms and votes since those. */
  forget(lastIndex: LogIndex): void {
    this.crash()
    this.log.length = Math.min(this.log.length, Math.max(0, lastIndex - this.base.index))
    this.hardState = { term: this.log.at(-1)?.term ?? this.base.term, vote: '', commit: 0 }
    this.doubt = ++doubtsSoFar
  }

  noteSynced(entries: readonly Entry[]): void {
    for (const { index, term } of entries) this.everSynced.add(`${this.incarnation} ${index} ${term}`)
  }

  hasSynced({ incarnation }: Member, { index, term }: Entry): boolean {
    return this.everSynced.has(`${incarnation} ${index} ${term}`)
  }

  /** Everything written, synced or not: what reads of storage see. */
  get written(): readonly Entry[] {
    return this.writtenLog.log
  }

  get writtenLog(): { readonly base: Base; readonly log: readonly Entry[] } {
    let { base } = this
    const log = [...this.log]
    for (const ready of this.unsynced) base = putReady(log, base, ready)
    return { base, log }
  }

  get appliedTexts(): string[] {
    return this.applied.filter((entry) => entry.type === EntryType.command).map(textOf)
  }
}

/** Carries out a ready's write; returns the base behind which the log goes on then. */
function putReady(log: Entry[], base: Base, { reset, entries }: Ready): Base {
  if (reset !== undefined) log.length = 0
  appendCutting(log, entries, reset ?? base)
  return reset ?? base
}

export interface ClusterOptions {
  readonly tuning?: RaftOptions['tuning']
  readonly seed?: number
  /** Logs that members start with. */
  readonly logs?: Readonly<Record<NodeId, { readonly log: readonly Entry[]; readonly hardState: HardState }>>
  /** Members' own lists, where they differ. */
  readonly memberIds?: Readonly<Record<NodeId, readonly NodeId[]>>
}

export class Cluster {
  readonly nodes = new Map<NodeId, TestNode>()
  readonly network: Message[] = []
  /** Everything that was ever sent, for assertions about what was said. */
  readonly sent: Message[] = []
  /** Drops a message if it returns true. */
  drop: (message: Message) => boolean = () => false
  readonly #cuts = new Set<string>()
  readonly #leaders = new Map<Term, NodeId>()
  readonly #committed: Entry[] = []
  readonly #random: Random

  readonly #options: ClusterOptions

  constructor(ids: readonly NodeId[], options: ClusterOptions = {}) {
    this.#options = options
    this.#random = new Random(options.seed ?? 1)
    for (const id of ids) this.add(id, options.memberIds?.[id] ?? ids)
  }

  /** A node comes to be, with an empty log unless the options name one. */
  add(id: NodeId, memberIds: readonly NodeId[] = [...this.ids, id]): TestNode {
    const { log, hardState } = this.#options.logs?.[id] ?? { log: [], hardState: NO_HARD_STATE }
    const random = () => this.#random.fraction()
    const tuning = this.#options.tuning ?? {}
    const mintClusterId = () => `cluster-of-${id}`
    const options = { id, incarnation: `${id}.1`, memberIds, random, mintClusterId, tuning }
    const node = new TestNode(options, log, hardState)
    this.nodes.set(id, node)
    return node
  }

  get ids(): readonly NodeId[] {
    return [...this.nodes.keys()]
  }

  node(id: NodeId): TestNode {
    return this.nodes.get(id)!
  }

  // ---- faults

  /** Cuts both directions between each of `some` and each other member. */
  isolate(...some: NodeId[]): void {
    for (const a of some) {
      for (const b of this.ids.filter((id) => !some.includes(id))) {
        this.cutOneWay(a, b)
        this.cutOneWay(b, a)
      }
    }
  }

  cutOneWay(from: NodeId, to: NodeId): void {
    this.#cuts.add(`${from}>${to}`)
  }

  heal(): void {
    this.#cuts.clear()
  }

  crash(id: NodeId): void {
    this.node(id).crash()
    const arriving = this.network.filter((message) => message.to !== id)
    this.network.splice(0, this.network.length, ...arriving)
  }

  restart(id: NodeId): void {
    this.node(id).restart()
  }

  /** Every other member sees `id`'s port refuse. */
  tellDown(id: NodeId): void {
    for (const node of this.nodes.values()) if (node.id !== id && node.isUp) node.core.peerDown(id)
  }

  // ---- time

  /** Ticks everybody `count` times and lets each tick's work come to an end. */
  tick(count = 1): void {
    for (let i = 0; i < count; i++) {
      for (const node of this.nodes.values()) if (node.isUp) node.core.tick()
      this.settle()
    }
  }

  /** Ticks one member alone, without carrying anything out. */
  tickAlone(id: NodeId, count: number): void {
    for (let i = 0; i < count; i++) this.node(id).core.tick()
  }

  /** Ticks until `condition` holds; fails after `ticksMax`. Returns how many ticks it took. */
  tickUntil(what: string, condition: () => boolean, ticksMax = 1000): number {
    for (let ticks = 0; ticks <= ticksMax; ticks++) {
      if (condition()) return ticks
      this.tick()
    }
    throw new Error(`not within ${ticksMax} ticks: ${what}`)
  }

  /** Carries out all readies, syncs all disks that are not held, delivers all messages, until nothing is left to do. */
  settle(): void {
    for (let rounds = 0; rounds < 10_000; rounds++) {
      let isBusy = false
      for (const node of this.nodes.values()) {
        if (!node.isUp) continue
        isBusy = this.carryOut(node.id) || isBusy
        if (!node.isDiskHeld) isBusy = this.sync(node.id) || isBusy
      }
      isBusy = this.deliver() || isBusy
      if (!isBusy) return
    }
    throw new Error('the cluster does not come to rest')
  }

  /** Takes one ready and does all of it but the sync. */
  carryOut(id: NodeId): boolean {
    const node = this.node(id)
    if (!node.core.hasReady()) return false
    const ready = node.core.ready()
    this.#transmit(ready.messages)
    node.unsynced.push(ready)
    if (ready.committed !== undefined) {
      node.isFounded = true
      this.#apply(node, ready.committed.last)
    }
    node.reads.push(...ready.reads)
    if (ready.trusted === node.doubt) node.doubt = 0
    if (ready.leadership !== undefined) {
      node.roles.push(ready.leadership)
      if (ready.leadership.role === 'leader') this.#checkLeader(node, ready.leadership.term)
    }
    node.offer = ready.install ?? node.offer
    node.loads.push(...ready.loads)
    if (!node.isReadHeld) this.load(id)
    return true
  }

  /** Reads what the leader wants read, as storage is now. */
  load(id: NodeId): void {
    const node = this.node(id)
    const { base, log } = node.writtenLog
    for (const load of node.loads.splice(0)) node.core.loaded(load, readLog(log, base, load.from, load.bytesMax))
  }

  /** Syncs the oldest unsynced ready. */
  sync(id: NodeId): boolean {
    const node = this.node(id)
    const ready = node.unsynced.shift()
    if (ready === undefined) return false
    if (ready.hardState !== undefined) node.hardState = ready.hardState
    node.base = putReady(node.log, node.base, ready)
    node.noteSynced(ready.entries)
    this.#transmit(ready.messagesAfterSync)
    if (ready.token !== undefined) node.core.persisted(ready.token)
    return true
  }

  #transmit(messages: readonly Message[]): void {
    this.sent.push(...messages)
    this.network.push(...messages)
  }

  /** Delivers all messages that are under way now. */
  deliver(): boolean {
    const messages = this.network.splice(0)
    for (const message of messages) this.deliverOne(message)
    return messages.length > 0
  }

  deliverOne(message: Message): void {
    const receiver = this.nodes.get(message.to)
    if (receiver === undefined || !receiver.isUp) return
    if (this.#cuts.has(`${message.from}>${message.to}`) || this.drop(message)) return
    receiver.core.step(message)
  }

  #apply(node: TestNode, last: LogIndex): void {
    const { base, log } = node.writtenLog
    for (let index = node.applied.length + 1; index <= last; index++) {
      const entry = log[index - base.index - 1]!
      this.#checkCommitted(node.id, entry)
      node.applied.push(entry)
    }
    node.core.applied(last)
  }

  // ---- checkpoints

  /** Makes a checkpoint of what is applied and synced. False if there is nothing new. */
  checkpoint(id: NodeId): boolean {
    const node = this.node(id)
    const { persistedIndex, checkpointIndex, firstIndex } = node.status
    const index = Math.min(node.applied.length, persistedIndex)
    if (index < firstIndex || index <= (node.checkpoint?.mark.index ?? checkpointIndex)) return false
    const mark = node.core.mark(index)
    node.checkpoint = { mark, state: node.applied.slice(0, index) }
    node.core.checkpointed(mark)
    return true
  }

  /** The core forgets up to `index`; the disk does when compactDisk() says so. */
  compact(id: NodeId, index: LogIndex): void {
    this.node(id).core.compact(index)
  }

  /** Drops from the disk what the core has forgotten, up to `index` at most. */
  compactDisk(id: NodeId, index: LogIndex): void {
    const node = this.node(id)
    // A log that waits to be reset goes as a whole.
    if (node.unsynced.some((ready) => ready.reset !== undefined)) return
    const through = Math.min(index, node.status.firstIndex - 1)
    if (through <= node.base.index) return
    const term = node.durableTermAt(through)
    // Installed, and storage has not been told yet.
    if (term === undefined) return
    node.log.splice(0, through - node.base.index)
    node.base = { index: through, term }
  }

  /** The checkpoint that is offered comes over and is made durable. False if there is none, or none any more. */
  fetch(id: NodeId): boolean {
    const node = this.node(id)
    const { offer } = node
    const source = offer && this.node(offer.from.id)
    if (offer === undefined || source?.isUp !== true) return false
    const fetched = source.checkpoint
    if (fetched?.mark.index !== offer.mark.index || fetched.mark.index <= (node.checkpoint?.mark.index ?? 0))
      return false
    node.checkpoint = { mark: offer.mark, state: fetched.state }
    return true
  }

  /** Tells the core of the checkpoint that was fetched. True if it was installed. */
  install(id: NodeId): boolean {
    const node = this.node(id)
    if (node.checkpoint === undefined || !node.core.installed(node.checkpoint.mark)) return false
    for (const entry of node.checkpoint.state) this.#checkCommitted(id, entry)
    node.applied = [...node.checkpoint.state]
    return true
  }

  // ---- what must always hold

  /** Election safety and leader completeness (§5.2, §5.4.3): what was applied anywhere is in the leader's log, or was. */
  #checkLeader(node: TestNode, term: Term): void {
    const leader = this.#leaders.get(term) ?? node.id
    if (leader !== node.id) throw new Error(`${leader} and ${node.id} lead in term ${term}`)
    this.#leaders.set(term, node.id)
    const { base, log } = node.writtenLog
    for (const entry of this.#committed) {
      if (entry === undefined || entry.index <= base.index || log[entry.index - base.index - 1]?.term === entry.term)
        continue
      throw new Error(
        `${node.id} leads in term ${term} without the committed entry ${entry.index} of term ${entry.term}`,
      )
    }
  }

  /** Log matching (§5.3): logs that agree at an index agree at all before it that both still hold. */
  checkLogs(): void {
    for (const one of this.nodes.values()) {
      for (const other of this.nodes.values()) {
        if (one.id < other.id) this.#checkMatching(one, other)
      }
    }
  }

  #checkMatching(one: TestNode, other: TestNode): void {
    const first = Math.max(one.base.index, other.base.index)
    let isEqual = false
    for (let index = one.base.index + one.log.length; index >= first; index--) {
      const term = one.durableTermAt(index)
      if (term === undefined || term !== other.durableTermAt(index)) {
        if (isEqual) throw new Error(`${one.id} and ${other.id} differ at ${index}, but agree behind it`)
      } else isEqual = true
    }
  }

  /** State machine safety, and that whatever is applied anywhere is synced by a majority. */
  #checkCommitted(by: NodeId, entry: Entry): void {
    const known = this.#committed[entry.index - 1]
    if (known === undefined) {
      if (!this.#isOnQuorum(by, entry)) throw new Error(`${by} applied ${entry.index}, which no quorum has synced`)
      this.#committed[entry.index - 1] = entry
    } else if (known.term !== entry.term || textOf(known) !== textOf(entry)) {
      throw new Error(`${by} applied another entry ${entry.index} of term ${entry.term}, not ${known.term}`)
    }
  }

  /**
   * Whether a majority of each list has synced it, by the membership of then: the one in force at the entry, or a later one under
   * which it was counted.
   */
  #isOnQuorum(by: NodeId, entry: Entry): boolean {
    const node = this.node(by)
    const forgotten = node.checkpoint === undefined ? [] : [node.checkpoint.mark.membership]
    const known = forgotten[0]?.index ?? 0
    const held = node.written.filter(({ type, index }) => type === EntryType.membership && index > known)
    const memberships = [...forgotten, ...held]
    const newest = memberships.findLastIndex(({ index }) => index <= entry.index)
    const hasMajority = (list: readonly Member[]) => {
      const holders = list.filter((member) => this.nodes.get(member.id)?.hasSynced(member, entry) === true)
      return list.length === 0 || holders.length * 2 > list.length
    }
    return memberships.slice(Math.max(0, newest)).some(({ data }) => {
      const { voters, votersOutgoing } = decodeMembership(data)
      return hasMajority(voters) && hasMajority(votersOutgoing)
    })
  }

  /** How many entries were applied somewhere. */
  get committedCount(): number {
    return this.#committed.length
  }

  /** What was applied somewhere, of one type. */
  committedOf(type: EntryType): Entry[] {
    return this.#committed.filter((entry) => entry.type === type)
  }

  // ---- what tests ask for

  /** The leader of the highest term among members that are up. */
  get leader(): TestNode | undefined {
    const leaders = [...this.nodes.values()].filter((node) => node.isUp && node.status.role === 'leader')
    return leaders.sort((a, b) => b.status.term - a.status.term)[0]
  }

  /** Ticks until there is a leader that has committed in its term. */
  elect(): TestNode {
    this.tickUntil('a leader is established', () => this.leader?.status.established === true)
    return this.leader!
  }

  /** Makes just this member campaign, by letting time pass for it alone, then carries everything out. */
  campaign(id: NodeId): void {
    const before = this.node(id).status.role
    this.tickAlone(id, before === 'leader' ? 0 : 200)
    this.settle()
  }

  propose(text: string, by = this.leader): LogIndex | undefined {
    return by?.core.propose(new TextEncoder().encode(text))?.index
  }

  followers(): TestNode[] {
    return [...this.nodes.values()].filter((node) => node !== this.leader)
  }
}
