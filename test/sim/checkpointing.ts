/**
 * Checkpoints of a simulated member: it makes some, forgets its log behind them, and installs those of others. The state of the
 * machine is one hash here, so what stands for the store and the transfer between hosts is a value; when it becomes durable, and
 * what dies halfway, is the simulator's to choose. Log, compaction, recovery and driver are production's.
 *
 * Never: judges. The oracle hears of resets and applied states at the ports.
 */
import { findMisfit } from '../../node/storage/fit.ts'
import { nothingRemoved, type SegmentManifest, withRemoved } from '../../node/storage/segment-manifest.ts'
import type { Wal, WalOptions } from '../../node/storage/wal.ts'
import type { GroupId, InstallOffer, LogIndex, LogStorage, NodeId, RaftDriver, SnapshotMark } from '../../raft/index.ts'
import type { Random } from '../support/random.ts'
import type { NodeClock } from './node-clock.ts'

export interface SimulatedCheckpoint {
  readonly mark: SnapshotMark
  readonly stateHash: number
  readonly origin: 'local' | 'installed'
}

/** What a member's store holds: written at once or not at all, and it never fails. */
export class CheckpointDisk {
  current: SimulatedCheckpoint | undefined
  #removed = nothingRemoved

  /** True if it is in force now: a newer one stays. */
  put(checkpoint: SimulatedCheckpoint): boolean {
    if (checkpoint.mark.index <= (this.current?.mark.index ?? 0)) return false
    this.current = checkpoint
    return true
  }

  wipe(): void {
    this.current = undefined
    this.#removed = nothingRemoved
  }

  /** What the log needs of the store at a start. */
  walOptions(group: GroupId): Pick<WalOptions, 'manifest' | 'checkpoint'> {
    const read = () => this.#removed
    const manifest: SegmentManifest = {
      get value() {
        return read()
      },
      remove: async (sequences) => {
        this.#removed = withRemoved(this.#removed, sequences)
      },
    }
    const { current } = this
    return current === undefined ? { manifest } : { manifest, checkpoint: { group, mark: current.mark } }
  }

  /** Makes log and checkpoint meet, as a node's start does: an install may have died between the two. */
  async meet(log: LogStorage): Promise<void> {
    const misfit = findMisfit(log.recovered(), this.current)
    if (misfit?.forgets === true) throw new Error(`a simulated disk forgot: ${misfit.what}`)
    if (misfit !== undefined) await log.reset(misfit.base)
  }
}

export interface CheckpointingOptions {
  readonly group: GroupId
  readonly clock: NodeClock
  readonly random: Random
  /** Mean pause between two checkpoints of this member. */
  readonly everyMs: number
  readonly disk: CheckpointDisk
  readonly driver: RaftDriver
  readonly wal: Wal
  /** What the machine is now. */
  readonly state: () => { readonly applied: LogIndex; readonly stateHash: number }
  /** Replaces it. */
  readonly restore: (checkpoint: SimulatedCheckpoint) => void
  /** What a peer could give away. */
  readonly offeredBy: (peer: NodeId) => SimulatedCheckpoint | undefined
  readonly onFatal: (error: unknown) => void
  readonly note: (what: string, index: LogIndex) => void
}

const nothingKept = { has: () => false, size: 0, [Symbol.iterator]: () => [][Symbol.iterator]() }

export class Checkpointing {
  readonly #options: CheckpointingOptions
  #isFetching = false
  #isStopped = false

  constructor(options: CheckpointingOptions) {
    this.#options = options
    if (options.everyMs > 0) this.#wait()
  }

  /** The process is about to end in an orderly way: nothing is begun any more. */
  stop(): void {
    this.#isStopped = true
  }

  #after(ms: number, action: () => void): void {
    this.#options.clock.setTimer(ms, () => {
      if (!this.#isStopped) action()
    })
  }

  #wait(): void {
    const { random, everyMs } = this.#options
    this.#after(random.exponential(everyMs), () => {
      this.#capture()
      this.#wait()
    })
  }

  /** The state is captured now and durable later; meanwhile the machine goes on. */
  #capture(): void {
    const { random, driver, state } = this.#options
    const { applied, stateHash } = state()
    if (applied < driver.status().firstIndex) return
    const mark = driver.mark(applied)
    this.#after(random.between(0, 100), () => this.#commit({ mark, stateHash, origin: 'local' }))
  }

  #commit(checkpoint: SimulatedCheckpoint): void {
    const { disk, driver, random, note } = this.#options
    const { mark } = checkpoint
    // No checkpoint is ever ahead of the synced log.
    if (driver.status().persistedIndex < mark.index || !disk.put(checkpoint)) return
    note('checkpoint', mark.index)
    driver.checkpointed(mark)
    this.#forget(random.chance(0.7) ? mark.index : mark.index - random.below(20))
  }

  #forget(index: LogIndex): void {
    const { random, driver, wal, group, onFatal } = this.#options
    driver.compact(index)
    const { firstIndex } = driver.status()
    const plan = { group, firstIndex, live: nothingKept }
    // The log's files go later, in their own time.
    this.#after(random.between(0, 200), () => void wal.compact(plan).catch(onFatal))
  }

  /** Told again and again; one install at a time. */
  offer({ from, mark }: InstallOffer): void {
    if (this.#isFetching) return
    const { random, offeredBy } = this.#options
    this.#isFetching = true
    this.#after(random.between(1, 400), () => {
      const fetched = offeredBy(from.id)
      // Its owner has a newer one meanwhile, and offers that.
      if (fetched?.mark.index !== mark.index) this.#isFetching = false
      else this.#keep({ ...fetched, origin: 'installed' })
    })
  }

  /** Durable first, and then the log: a crash comes in between now and then. */
  #keep(checkpoint: SimulatedCheckpoint): void {
    const { random, disk, driver, restore, note } = this.#options
    disk.put(checkpoint)
    this.#after(random.pick([0, 20]), () => {
      this.#isFetching = false
      if (driver.installed(checkpoint.mark, () => restore(checkpoint))) note('install', checkpoint.mark.index)
    })
  }
}
