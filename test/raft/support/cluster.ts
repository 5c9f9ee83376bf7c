/**
 * A cluster of pure cores with disks and a network that a test commands step by step. No clock, no promise: what
 * happens, and in which order, is what the test says.
 *
 * The network can be cut per direction; a filter can drop single messages. Every step checks what must hold at all times (judge.ts).
 */
import type { Entry, EntryType, HardState, LogIndex, Message, NodeId, RaftOptions } from '../../../raft/index.ts'
import { Random } from '../../support/random.ts'
import { NO_HARD_STATE, readLog } from './entries.ts'
import { Judge } from './judge.ts'
import { putReady, TestNode } from './test-node.ts'

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
  readonly #judge = new Judge(this.nodes)
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
      if (ready.leadership.role === 'leader') this.#judge.checkLeader(node, ready.leadership.term)
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
      this.#judge.checkCommitted(node, entry)
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
    for (const entry of node.checkpoint.state) this.#judge.checkCommitted(node, entry)
    node.applied = [...node.checkpoint.state]
    return true
  }

  // ---- what tests ask for

  /** Log matching (§5.3): logs that agree at an index agree at all before it that both still hold. */
  checkLogs(): void {
    this.#judge.checkLogs()
  }

  /** How many entries were applied somewhere. */
  get committedCount(): number {
    return this.#judge.committed.length
  }

  /** What was applied somewhere, of one type. */
  committedOf(type: EntryType): Entry[] {
    return this.#judge.committed.filter((entry) => entry.type === type)
  }

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
