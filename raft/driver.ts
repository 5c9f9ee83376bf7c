/**
 * Runs the pure core on real ports: gathers the work of one turn, writes, sends, applies, and reports back.
 *
 * What leaves when is the contract in ready.ts. Several writes may be under way; storage orders them, and what waits for
 * them leaves in that order.
 *
 * Never: decides anything about consensus, makes a promise for each message, or goes on after a failed write or a broken
 * invariant (trap 21): then it stops and says so once.
 */
import { invariant } from './invariant.ts'
import type { ChangeRefusal, MembershipChange } from './membership-change.ts'
import type { Message } from './message.ts'
import type { RaftOptions } from './options.ts'
import type { Clock, LogStorage, SnapshotMark, StateMachine, Transport } from './ports.ts'
import { type Proposed, Raft } from './raft.ts'
import { Readers, ReadUnavailable } from './readers.ts'
import type { LoadRequest, PersistToken, Ready } from './ready.ts'
import type { RaftStatus } from './status.ts'
import type { Entry, LogIndex, NodeId } from './types.ts'

const TICK_MS = 10

/** Data applied in one turn, before other work of the event loop gets its chance. */
const APPLY_BYTES_MAX = 1024 * 1024

/**
 * What is held back behind one write: of more, the oldest are lost, as they might be on the way. A leader asks at each heartbeat, and a
 * disk may stand still for days.
 */
const HELD_MESSAGES_MAX = 1_000

export interface RaftDriverOptions extends Omit<RaftOptions, 'recovered'> {
  readonly storage: LogStorage
  readonly transport: Transport
  readonly clock: Clock
  readonly machine: StateMachine
  /** Called at most once, with what storage rejected or an InvariantError. The driver has stopped; the process should. */
  readonly onFatal: (error: unknown) => void
  readonly tickMs?: number
  readonly applyBytesMax?: number
}

/** A write that storage has not confirmed yet, and what waits for it. */
interface Write {
  readonly token: PersistToken
  messages: readonly Message[]
}

export class RaftDriver {
  readonly #core: Raft
  readonly #storage: LogStorage
  readonly #transport: Transport
  readonly #clock: Clock
  readonly #machine: StateMachine
  readonly #onFatal: (error: unknown) => void
  readonly #tickMs: number
  readonly #applyBytesMax: number
  readonly #readers: Readers
  /** In the order in which storage will confirm them. */
  readonly #writes: Write[] = []
  /** Up to here the core has handed out commits; a checkpoint that was installed since may be ahead of it. */
  #committedIndex: LogIndex = 0
  /** Committed entries are being read back from storage; nothing else is applied meanwhile. */
  #isReading = false
  /** Checkpoints installed so far: a read-back that began before one brings nothing. */
  #installs = 0
  #isFlushDue = false
  #isStopped = false
  #cancelTimer: (() => void) | undefined

  constructor(options: RaftDriverOptions) {
    this.#core = new Raft({ ...options, recovered: options.storage.recovered() })
    this.#storage = options.storage
    this.#transport = options.transport
    this.#clock = options.clock
    this.#machine = options.machine
    this.#onFatal = options.onFatal
    this.#tickMs = options.tickMs ?? TICK_MS
    this.#applyBytesMax = options.applyBytesMax ?? APPLY_BYTES_MAX
    this.#readers = new Readers(Math.floor(options.random() * 2 ** 48))
  }

  /** Begins to tick and to apply. The state machine hears nothing before. */
  start(): void {
    this.#startTimer()
    this.#markDirty()
  }

  /** Ends all activity at once; open reads are rejected. Writes that are under way may still reach the disk. */
  stop(): void {
    this.#isStopped = true
    this.#cancelTimer?.()
    this.#readers.abandon('the node has stopped')
  }

  // ---- input

  receive(message: Message): void {
    this.#run(() => this.#core.step(message))
  }

  /** See Raft.propose. No promise: the host matches (term, index) with what it applies (trap 47). */
  propose(data: Uint8Array): Proposed | undefined {
    return this.#run(() => this.#core.propose(data))
  }

  /** See Raft.changeMembership. */
  changeMembership(change: MembershipChange): Proposed | ChangeRefusal {
    return this.#run(() => this.#core.changeMembership(change)) ?? 'notLeader'
  }

  /** See Raft.transferLeadership. */
  transferLeadership(to?: NodeId): boolean {
    return this.#run(() => this.#core.transferLeadership(to)) ?? false
  }

  peerDown(id: NodeId): void {
    this.#run(() => this.#core.peerDown(id))
  }

  peerUp(id: NodeId): void {
    this.#run(() => this.#core.peerUp(id))
  }

  /**
   * Resolves once everything that was committed anywhere before this call is applied here, with the index that made sure.
   * Rejects with ReadUnavailable when that takes longer than `timeoutMs`, or on stop.
   */
  readIndex(timeoutMs: number): Promise<LogIndex> {
    if (this.#isStopped) return Promise.reject(new ReadUnavailable('the node has stopped'))
    return new Promise((resolve, reject) => {
      this.#readers.add({ resolve, reject, deadlineMs: this.#clock.now() + timeoutMs })
      this.#markDirty()
    })
  }

  // ---- checkpoints

  /** Names the state after the applied entry `index`, which the log must not have forgotten: what a checkpoint made now is of. */
  mark(index: LogIndex): SnapshotMark {
    return this.#core.mark(index)
  }

  /**
   * A checkpoint is durable: peers that need one are offered this. The log must be synced that far (status().persistedIndex), so
   * that no checkpoint is ever ahead of its log.
   */
  checkpointed(mark: SnapshotMark): void {
    this.#run(() => this.#core.checkpointed(mark))
  }

  /** Forgets log entries up to `throughIndex`, at or below that of the newest checkpoint. Storage may drop them after this. */
  compact(throughIndex: LogIndex): void {
    this.#run(() => this.#core.compact(throughIndex))
  }

  /**
   * The checkpoint that was offered is here, synced, with all that it refers to. True: `restore` was called, and has replaced the
   * state machine; the log goes on behind the mark. False: the log holds the mark's entry or has passed it, so the entries come
   * by themselves and nothing was done. Not to be called from within apply().
   */
  installed(mark: SnapshotMark, restore: () => void): boolean {
    const isInstalled = this.#run(() => {
      if (!this.#core.installed(mark)) return false
      this.#installs++
      this.#isReading = false
      restore()
      return true
    })
    return isInstalled === true
  }

  // ---- questions

  /** From memory; undefined for an entry that only storage still holds, or nobody. */
  entry(index: LogIndex): Entry | undefined {
    return this.#core.entry(index)
  }

  /**
   * Consecutive entries from `from` on, at least one, stopping before `bytesMax` of data is passed, from memory or storage; none
   * if the log has forgotten `from`. Entries above the commit index may be replaced later; ask for applied ones. A rejection is fatal and reported as such too.
   */
  async readEntries(from: LogIndex, bytesMax: number): Promise<Entry[]> {
    const cached = this.#core.entriesFrom(from, bytesMax)
    if (cached !== undefined) return cached
    try {
      return await this.#storage.read(from, bytesMax)
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }

  status(): RaftStatus {
    return this.#core.status()
  }

  // ---- turns

  /** Everything that can break an invariant runs in here. Undefined after a failure. */
  #run<T>(action: () => T): T | undefined {
    if (this.#isStopped) return undefined
    try {
      const result = action()
      this.#markDirty()
      return result
    } catch (error) {
      this.#fail(error)
      return undefined
    }
  }

  readonly #fail = (error: unknown): void => {
    if (this.#isStopped) return
    this.stop()
    this.#onFatal(error)
  }

  #markDirty(): void {
    if (this.#isFlushDue || this.#isStopped) return
    this.#isFlushDue = true
    this.#clock.defer(this.#flush)
  }

  readonly #flush = (): void => {
    this.#isFlushDue = false
    if (this.#isStopped) return
    try {
      const requestId = this.#readers.takeRequest()
      if (requestId !== undefined) this.#core.readIndex(requestId)
      this.#carryOut(this.#core.ready())
      this.#apply()
      if (this.#core.hasReady()) this.#markDirty()
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Deferred, so that messages that came during a stall are heard before an election is thought of (trap 46). */
  #startTimer(): void {
    if (this.#isStopped) return
    this.#cancelTimer = this.#clock.setTimer(this.#tickMs, () => this.#clock.defer(this.#onTick))
  }

  readonly #onTick = (): void => {
    this.#run(() => {
      this.#core.tick()
      this.#readers.tick(this.#clock.now())
    })
    this.#startTimer()
  }

  #carryOut(ready: Ready): void {
    for (const message of ready.messages) this.#transport.send(message)
    this.#write(ready)
    for (const load of ready.loads) this.#load(load)
    for (const result of ready.reads) this.#readers.answered(result)
    if (ready.committed !== undefined) this.#committedIndex = ready.committed.last
    if (ready.leadership !== undefined) this.#machine.onRoleChange(ready.leadership)
    if (ready.install !== undefined) this.#machine.onInstall(ready.install)
    if (ready.trusted > 0) this.#machine.onTrusted(ready.trusted)
  }

  // ---- storage

  #write({ reset, hardState, entries, token, messagesAfterSync }: Ready): void {
    if (token !== undefined) {
      this.#writes.push({ token, messages: messagesAfterSync })
      const hasBatch = hardState !== undefined || entries.length > 0
      // What comes last confirms all of it: storage keeps the order of the calls.
      if (reset !== undefined) this.#storage.reset(reset).then(hasBatch ? undefined : this.#onWritten, this.#fail)
      const batch = hardState === undefined ? { entries } : { hardState, entries }
      if (hasBatch) this.#storage.append(batch).then(this.#onWritten, this.#fail)
      return
    }
    const last = this.#writes.at(-1)
    if (last === undefined) for (const message of messagesAfterSync) this.#transport.send(message)
    else if (messagesAfterSync.length > 0)
      last.messages = [...last.messages, ...messagesAfterSync].slice(-HELD_MESSAGES_MAX)
  }

  /** One function for all writes: storage confirms them in order. */
  readonly #onWritten = (): void => {
    this.#run(() => {
      const write = this.#writes.shift()!
      for (const message of write.messages) this.#transport.send(message)
      this.#core.persisted(write.token)
    })
  }

  #load(request: LoadRequest): void {
    const onRead = (entries: Entry[]) => this.#run(() => this.#core.loaded(request, entries))
    this.#storage.read(request.from, request.bytesMax).then(onRead, this.#fail)
  }

  // ---- state machine

  /** Applies what is committed, some bytes at a turn. */
  #apply(): void {
    if (this.#isReading) return
    const last = this.#committedIndex
    let bytes = 0
    while (this.#core.appliedIndex < last && !this.#isStopped) {
      if (bytes >= this.#applyBytesMax) {
        this.#markDirty()
        break
      }
      const entry = this.#core.entry(this.#core.appliedIndex + 1)
      if (entry === undefined) {
        this.#readBack(last)
        break
      }
      this.#applyEntry(entry)
      bytes += entry.data.length
    }
    this.#readers.applied(this.#core.appliedIndex)
  }

  #applyEntry(entry: Entry): void {
    this.#machine.apply(entry)
    this.#core.applied(entry.index)
  }

  /** `last` was committed when the read began: what comes after it might be read stale and is left out. */
  #readBack(last: LogIndex): void {
    this.#isReading = true
    const installs = this.#installs
    const from = this.#core.appliedIndex + 1
    const onRead = (entries: Entry[]) =>
      this.#run(() => {
        // The state machine reflects these already, and the log may hold none of them any more.
        if (installs !== this.#installs) return
        this.#isReading = false
        invariant(
          entries[0]?.index === from,
          () => `storage read ${entries[0]?.index} for ${from}, which is to be applied`,
        )
        for (const entry of entries) if (entry.index <= last && !this.#isStopped) this.#applyEntry(entry)
      })
    this.#storage.read(from, this.#applyBytesMax).then(onRead, this.#fail)
  }
}
