/**
 * One member as a test commands it: a core, its disk, and what it has applied in this life. The disk keeps what was synced apart from what
 * was only written, so a crash loses exactly the unsynced.
 *
 * The state machine is the list of what was applied. So a checkpoint is a copy of it, and an install can be checked entry by
 * entry as if each had been applied.
 */
import {
  type Entry,
  EntryType,
  type HardState,
  type InstallOffer,
  type LoadRequest,
  type LogIndex,
  type Member,
  type NodeId,
  Raft,
  type RaftOptions,
  type RaftStatus,
  type Ready,
  type RoleChange,
  type SnapshotMark,
  type Term,
} from '../../../raft/index.ts'
import { appendCutting, type Base, NO_BASE, NO_HARD_STATE, recoveredLog, textOf } from './entries.ts'

/** A state machine's state at a mark. */
export interface TestCheckpoint {
  readonly mark: SnapshotMark
  readonly state: readonly Entry[]
}

/** Numbers of doubts rise, like boot ids. */
let doubtsSoFar = 0

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
export function putReady(log: Entry[], base: Base, { reset, entries }: Ready): Base {
  if (reset !== undefined) log.length = 0
  appendCutting(log, entries, reset ?? base)
  return reset ?? base
}
