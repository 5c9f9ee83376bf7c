/**
 * A cluster of pure cores with disks and a network that a test commands step by step. No clock, no promise: what
 * happens, and in which order, is what the test says.
 *
 * A disk keeps what was synced apart from what was only written, so a crash loses exactly the unsynced. The network can
 * be cut per direction; a filter can drop single messages. Every step checks what must hold at all times: one leader a
 * term, equal committed entries, commits on a synced majority.
 */

import type { Entry, HardState, LogIndex, NodeId, Ready, RecoveredLog, RoleChange, Term } from '../../../raft/index.ts'
import { EntryType, type Message, Raft, type RaftOptions, type RaftStatus } from '../../../raft/index.ts'
import { Random } from '../../support/random.ts'

const NO_HARD_STATE: HardState = { term: 0, vote: '', commit: 0 }

export function textEntry(index: LogIndex, term: Term, text = ''): Entry {
  return { index, term, type: EntryType.command, data: new TextEncoder().encode(text) }
}

export function textOf(entry: Entry): string {
  return new TextDecoder().decode(entry.data)
}

/** What a log storage would recover from these entries. */
export function recoveredLog(hardState: HardState, entries: readonly Entry[]): RecoveredLog {
  const termRuns: { firstIndex: LogIndex; term: Term }[] = []
  for (const { index, term } of entries) {
    if (term !== termRuns.at(-1)?.term) termRuns.push({ firstIndex: index, term })
  }
  const memberships = entries.filter((entry) => entry.type === EntryType.membership)
  return { hardState, firstIndex: 1, baseTerm: 0, lastIndex: entries.length, termRuns, memberships }
}

export function appendCutting(log: Entry[], entries: readonly Entry[]): void {
  for (const entry of entries) {
    if (entry.index <= log.length) log.length = entry.index - 1
    if (entry.index !== log.length + 1) throw new Error(`storage got entry ${entry.index} after ${log.length}`)
    log.push(entry)
  }
}

/** One member: a core, its disk, and what it has applied in this life. */
export class TestNode {
  readonly id: NodeId
  incarnation: string
  core: Raft
  /** What a crash leaves. */
  hardState = NO_HARD_STATE
  readonly log: Entry[] = []
  /** Written but not synced. */
  readonly unsynced: Ready[] = []
  /** While true, syncs do not complete: a slow disk. */
  isDiskHeld = false
  isUp = true
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
    this.core = this.#open()
  }

  #open(): Raft {
    const recovered = recoveredLog(this.hardState, this.log)
    return new Raft({ ...this.#options, incarnation: this.incarnation, recovered })
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
    this.applied = []
    this.reads = []
    this.roles = []
    this.core = this.#open()
  }

  /** The directory is emptied and initialised anew. */
  wipe(incarnation: string): void {
    this.crash()
    this.incarnation = incarnation
    this.hardState = NO_HARD_STATE
    this.log.length = 0
  }

  /** Everything written, synced or not: what reads of storage see. */
  get written(): readonly Entry[] {
    const log = [...this.log]
    for (const ready of this.unsynced) appendCutting(log, ready.entries)
    return log
  }

  get appliedTexts(): string[] {
    return this.applied.filter((entry) => entry.type === EntryType.command).map(textOf)
  }
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
  readonly ids: readonly NodeId[]
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

  constructor(ids: readonly NodeId[], options: ClusterOptions = {}) {
    this.ids = ids
    this.#random = new Random(options.seed ?? 1)
    for (const id of ids) {
      const { log, hardState } = options.logs?.[id] ?? { log: [], hardState: NO_HARD_STATE }
      const memberIds = options.memberIds?.[id] ?? ids
      const random = () => this.#random.fraction()
      const tuning = options.tuning ?? {}
      const mintClusterId = () => `cluster-of-${id}`
      const node = new TestNode(
        { id, incarnation: `${id}.1`, memberIds, random, mintClusterId, tuning },
        log,
        hardState,
      )
      this.nodes.set(id, node)
    }
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
    if (ready.committed !== undefined) this.#apply(node, ready.committed.last)
    node.reads.push(...ready.reads)
    if (ready.leadership !== undefined) {
      node.roles.push(ready.leadership)
      if (ready.leadership.role === 'leader') this.#checkOneLeader(id, ready.leadership.term)
    }
    for (const load of ready.loads) node.core.loaded(load, this.#read(node, load.from, load.bytesMax))
    return true
  }

  #read(node: TestNode, from: LogIndex, bytesMax: number): Entry[] {
    const entries: Entry[] = []
    let bytes = 0
    for (const entry of node.written.slice(from - 1)) {
      bytes += entry.data.length
      if (entries.length > 0 && bytes > bytesMax) break
      entries.push(entry)
    }
    return entries
  }

  /** Syncs the oldest unsynced ready. */
  sync(id: NodeId): boolean {
    const node = this.node(id)
    const ready = node.unsynced.shift()
    if (ready === undefined) return false
    if (ready.hardState !== undefined) node.hardState = ready.hardState
    appendCutting(node.log, ready.entries)
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
    const written = node.written
    for (let index = node.applied.length + 1; index <= last; index++) {
      const entry = written[index - 1]!
      this.#checkCommitted(node.id, entry)
      node.applied.push(entry)
    }
    node.core.applied(last)
  }

  // ---- what must always hold

  #checkOneLeader(id: NodeId, term: Term): void {
    const leader = this.#leaders.get(term) ?? id
    if (leader !== id) throw new Error(`${leader} and ${id} lead in term ${term}`)
    this.#leaders.set(term, id)
  }

  /** State machine safety, and that whatever is applied anywhere is synced by a majority. */
  #checkCommitted(by: NodeId, entry: Entry): void {
    const known = this.#committed[entry.index - 1]
    if (known === undefined) {
      const holders = [...this.nodes.values()].filter((node) => node.log[entry.index - 1]?.term === entry.term)
      if (holders.length * 2 <= this.ids.length) {
        throw new Error(`${by} applied ${entry.index}, synced by ${holders.map((node) => node.id)} alone`)
      }
      this.#committed[entry.index - 1] = entry
    } else if (known.term !== entry.term || textOf(known) !== textOf(entry)) {
      throw new Error(`${by} applied another entry ${entry.index} of term ${entry.term}, not ${known.term}`)
    }
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
