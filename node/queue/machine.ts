/**
 * The queue machine: applies log entries to the state and says, as values, what the nodes shall do. The only class that the rest
 * of the node sees; what a frame does is in the files it calls.
 *
 * Deterministic: time, order and ids come from the log, decoding is total, bad bytes are a rejection (traps 31–42). Never: a clock,
 * dice, a socket, a promise, the body of a message.
 */
import { FrameKind, LOG_FRAME_VERSION, logHeader } from '../../wire/frame.ts'
import { MachineCheckpoint } from './checkpoint.ts'
import { CheckpointFormatError } from './checkpoint-format.ts'
import type { RestoredState } from './checkpoint-reader.ts'
import type { Boot } from './command.ts'
import { applyControl } from './control.ts'
import { assign } from './credit.ts'
import type { Effect } from './effect.ts'
import { type EntryReader, readEntry } from './entry.ts'
import { hashState } from './hash.ts'
import { InvariantError } from './invariant.ts'
import { listenersOf } from './listening.ts'
import { applyNodeCommand } from './node-commands.ts'
import { refuseFrame } from './outcomes.ts'
import { applyPublish, applyRefusedPublish } from './publish.ts'
import { owedEffects, resumeEffects } from './resume.ts'
import { applySettle } from './settle.ts'
import { inForce, type Listener, State, type Totals } from './state.ts'
import { type QueueStats, type SessionSummary, statsOf, summaryOf } from './stats.ts'
import { Step } from './step.ts'
import { continueWork, endWaits, runDueTimers } from './work.ts'

export type { Listener, Totals } from './state.ts'
export type { QueueStats, SessionSummary } from './stats.ts'

export class Machine {
  readonly #group: number
  #state = new State()

  constructor(group = 0) {
    this.#group = group
  }

  /**
   * Applies the entry at `index`, which is above every one before. Whatever the bytes, it does not throw; an entry that does not
   * decode has no effect, a frame that does not is refused alone. `data` is not kept.
   */
  apply(index: number, _term: number, data: Uint8Array): Effect[] {
    const state = this.#state
    if (index <= state.appliedIndex) throw new InvariantError(`entry ${index} after entry ${state.appliedIndex}`)
    state.appliedIndex = index
    const entry = readEntry(data)
    if (entry === undefined || Math.max(entry.stamp.timeMs, entry.stamp.wallMs) > Number.MAX_SAFE_INTEGER) return []
    state.timeMs = Math.max(state.timeMs, entry.stamp.timeMs)
    state.wallMs = Math.max(state.wallMs, entry.stamp.wallMs)
    const step = new Step(state, index)
    continueWork(step)
    runDueTimers(step)
    continueWork(step)
    for (; step.frame < entry.frames; step.frame++) {
      this.#applyFrame(step, entry, data)
      continueWork(step)
    }
    assign(step)
    endWaits(step)
    return step.effects
  }

  /** Machine time, milliseconds; never falls. */
  get timeMs(): number {
    return this.#state.timeMs
  }

  /** The leaders' wall clock as of the last entry, milliseconds; never falls. */
  get wallMs(): number {
    return this.#state.wallMs
  }

  get appliedIndex(): number {
    return this.#state.appliedIndex
  }

  get totals(): Readonly<Totals> {
    return this.#state.totals
  }

  /**
   * The machine time at which an `advance` is due; undefined: none. While work of former entries is left it is now, so that
   * whoever proposes `advance` until it is in the future leaves nothing undone.
   */
  nextTimerMs(): number | undefined {
    const { work, unassigned, timers, waits, timeMs } = this.#state
    if (work.length > 0 || unassigned.length > 0) return timeMs
    const [timer, wait] = [timers.first?.atMs, waits.first?.atMs]
    return timer === undefined || wait === undefined ? (timer ?? wait) : Math.min(timer, wait)
  }

  session(id: number): SessionSummary | undefined {
    const session = this.#state.sessions.get(id)
    return session === undefined ? undefined : summaryOf(session)
  }

  /** Sessions attached to the node's latest boot, if it is the given one. */
  *sessionsOf(node: string, bootId?: number): IterableIterator<SessionSummary> {
    const boot = this.#state.boots.get(node)
    if (boot === undefined || (bootId !== undefined && bootId !== boot.bootId)) return
    for (const session of boot.sessions) if (inForce(session) !== undefined) yield summaryOf(session)
  }

  /** The latest boot of each node. `lost`: the leader lost sight of it, and nothing was attached to it since. */
  *bootsOf(): IterableIterator<Boot & { readonly lost: boolean }> {
    for (const { node, bootId, lost } of this.#state.boots.values()) yield { node, bootId, lost }
  }

  /** Attached sessions that listen to the topic, in order of listener ids. The same array until something changes. */
  listeners(topic: string): readonly Listener[] {
    return listenersOf(this.#state, topic)
  }

  queueStats(name: string): QueueStats | undefined {
    const queue = this.#state.queues.get(name)
    return queue === undefined ? undefined : statsOf(queue)
  }

  /** Sorted. */
  queueNames(): string[] {
    return [...this.#state.queues.keys()].sort()
  }

  /** Equal on replicas that applied the same entries. Walks the whole state: for tests and checks, not for every entry. */
  stateHash(): string {
    return hashState(this.#state)
  }

  /** Captures the state as of the last entry applied; encoding it is for later, whatever is applied meanwhile. */
  checkpoint(): MachineCheckpoint {
    return new MachineCheckpoint(this.#state, this.#group)
  }

  /**
   * Replaces the state by one that came from a checkpoint: from then on this machine behaves like the one that was captured. Throws
   * CheckpointFormatError when that was a machine of another group.
   */
  restore(restored: RestoredState): void {
    if (restored.group !== this.#group) throw new CheckpointFormatError(`a checkpoint of group ${restored.group}`)
    this.#state = restored.take()
  }

  /**
   * What the sessions attached to this boot must be told when the machine was restored: for each of them `resumed`, then its open deliveries.
   * To be used up before the next entry is applied.
   */
  resume(node: string, bootId: number): IterableIterator<Effect> {
    return resumeEffects(this.#state, node, bootId)
  }

  /** What that session has open, as deliver effects; nothing when it is not attached. To be used up before the next entry is applied. */
  owed(session: number): Iterable<Effect> {
    const known = this.#state.sessions.get(session)
    return known === undefined ? [] : owedEffects(known)
  }

  #applyFrame(step: Step, entry: EntryReader, data: Uint8Array): void {
    const { view } = entry
    const at = entry.start(step.frame)
    const length = entry.end(step.frame) - at
    const kind = logHeader.kind(view, at)
    const isOurs = logHeader.group(view, at) === this.#group && logHeader.version(view, at) === LOG_FRAME_VERSION
    if (kind === FrameKind.node) {
      if (isOurs) applyNodeCommand(step, data, view, at, length)
      return
    }
    const epoch = logHeader.epoch(view, at)
    const session = step.state.sessions.get(logHeader.session(view, at))
    const to = session === undefined ? undefined : inForce(session)
    if (session === undefined || to === undefined || to.epoch !== epoch) {
      step.effects.push({ type: 'staleFrame', session: logHeader.session(view, at), epoch })
      return
    }
    if (!isOurs) refuseFrame(step, to, logHeader.sequence(view, at), 'a frame of another group or version')
    else if (kind === FrameKind.publish) applyPublish(step, session, to, data, view, at, length)
    else if (kind === FrameKind.refusedPublish) applyRefusedPublish(step, session, to, view, at, length)
    else if (kind === FrameKind.settle) applySettle(step, session, to, view, at, length)
    else if (kind === FrameKind.control) applyControl(step, session, to, data, view, at, length)
    else refuseFrame(step, to, logHeader.sequence(view, at), 'a frame of another kind')
  }
}
