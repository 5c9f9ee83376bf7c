/**
 * All of a node's work around checkpoints, wired together: making its own, giving them to peers and taking theirs, repairing bodies, and
 * reading entries wherever they are held. The group tells it what is applied and who leads; the mesh brings it questions and answers.
 *
 * Never: decides when an install is due (raft/) or what is in a state (queue/).
 */
import type { RaftDriver, SnapshotMark } from '../../raft/index.ts'
import type { EntrySource } from '../bodies.ts'
import type { FetchRequest, FetchResponse } from '../peers/fetch-codec.ts'
import { CheckpointReader, EntrySet, type Machine, type RestoredState } from '../queue/index.ts'
import { BodyFetcher } from './body-fetcher.ts'
import { BodyRepair } from './body-repair.ts'
import { Checkpointer, type CheckpointerOptions } from './checkpointer.ts'
import { FetchClient } from './fetch-client.ts'
import { InstallSource } from './install-source.ts'
import { Installer } from './installer.ts'
import type { CheckpointingBasics, CheckpointStore, HeldEntries, InstallOffer, LiveEntries, LogIndex } from './ports.ts'

export interface CheckpointingOptions
  extends CheckpointingBasics,
    Pick<CheckpointerOptions, 'group' | 'compact' | 'checkpointBytes' | 'trailingLogBytesMax'> {
  readonly random: () => number
  readonly checkpoints: CheckpointStore
  readonly log: HeldEntries
  readonly machine: Machine
  readonly driver: RaftDriver
  /** Replaces the machine's state and all that follows from it. */
  readonly restore: (mark: SnapshotMark, restored: RestoredState) => void
  /** What the checkpoint that was found at the start refers to. */
  readonly references: LiveEntries | undefined
  /** Ids of the nodes that this one has addresses of. */
  readonly peers: readonly string[]
  /** This node is the only member. */
  readonly isAlone: () => boolean
  readonly mesh: {
    connected(peer: string): boolean
    sendFetchRequest(to: string, request: FetchRequest): boolean
    sendFetchResponse(to: string, response: FetchResponse): boolean
  }
}

export interface CheckpointingStatus {
  /** Of the checkpoint in force. */
  readonly bytes: number
  /** Made, and installed, by this process. */
  readonly made: number
  readonly installed: number
  /** Index of the mark that is being installed. */
  readonly installing: LogIndex | undefined
  /** Peers that pull this node's checkpoint. */
  readonly givingTo: readonly string[]
  readonly missingBodies: number
  readonly missingBodiesLong: number
  readonly repairedBodies: number
}

export class Checkpointing {
  /** For deliveries: from memory, from the log, kept beside it, or from a peer. */
  readonly entries: EntrySource
  readonly #options: CheckpointingOptions
  readonly #client: FetchClient
  readonly #source: InstallSource
  readonly #checkpointer: Checkpointer
  readonly #installer: Installer
  readonly #repair: BodyRepair

  constructor(options: CheckpointingOptions) {
    const { clock, logger, onFatal, checkpoints, driver, log, mesh } = options
    const basics = { clock, logger, onFatal }
    const peers = () => options.peers.filter((peer) => mesh.connected(peer))
    this.#options = options
    this.#client = new FetchClient({
      clock,
      random: options.random,
      send: (to, request) => mesh.sendFetchRequest(to, request),
    })
    const bodies = new BodyFetcher({ client: this.#client, keep: (entries) => log.keep(entries) })
    this.#repair = new BodyRepair({ ...basics, bodies, peers })
    this.#source = new InstallSource({
      ...basics,
      checkpoints,
      entries: log,
      references: () => this.#checkpointer.references,
      appliedIndex: () => driver.status().appliedIndex,
      send: (to, response) => void mesh.sendFetchResponse(to, response),
      onDamaged: (error) => {
        logger.error('the checkpoint is damaged: a new one is made', { error })
        this.#checkpointer.renew()
      },
    })
    this.#checkpointer = new Checkpointer({
      ...options,
      references: options.references ?? new EntrySet(),
      pins: { pinned: () => this.#pinned(), logFloor: () => this.#source.logFloor() },
      onMade: () => this.#repair.forget((index) => this.#isObsolete(index)),
    })
    this.#installer = new Installer({
      ...basics,
      client: this.#client,
      bodies,
      checkpoints,
      entries: log,
      checkpointer: this.#checkpointer,
      driver,
      read: () => new StagedReader((mark, restored) => this.#restore(mark, restored)),
      peers,
    })
    this.entries = {
      entry: (index) => driver.entry(index),
      appliedIndex: () => driver.status().appliedIndex,
      readEntries: (from, bytesMax) => log.readHeld(from, bytesMax),
      recover: (index, done) => this.#recover(index, done),
    }
  }

  /** Once the node runs. What its checkpoint refers to and its disk lacks is fetched. */
  start(): void {
    this.#checkpointer.start()
    this.#repairMissing().catch(this.#options.onFatal)
  }

  /** Every applied entry, in order. */
  applied(index: LogIndex, bytes: number): void {
    this.#checkpointer.applied(index, bytes)
  }

  onInstall(offer: InstallOffer): void {
    this.#installer.offer(offer)
  }

  leaderChanged(leader: string | undefined): void {
    this.#installer.leaderChanged(leader)
  }

  onFetchRequest(from: string, request: FetchRequest): void {
    this.#source.onRequest(from, request)
  }

  onFetchResponse(from: string, response: FetchResponse): void {
    this.#client.onResponse(from, response)
  }

  /** An entry that the log held turned out to be damaged. */
  damaged(index: LogIndex): void {
    this.#options.logger.error('the body of a message is damaged: it is fetched from a peer', { index })
    if (!this.#isObsolete(index)) this.#repair.want(index)
  }

  /** There is a way to this peer (again). */
  onRoute(): void {
    this.#repair.peerUp()
  }

  /** The mark that is being installed. */
  get installing(): SnapshotMark | undefined {
    return this.#installer.underWay
  }

  get status(): CheckpointingStatus {
    return {
      bytes: this.#options.checkpoints.current?.bytes ?? 0,
      made: this.#checkpointer.stats.made,
      installed: this.#installer.installed,
      installing: this.#installer.underWay?.index,
      givingTo: this.#source.peers,
      missingBodies: this.#repair.missing,
      missingBodiesLong: this.#repair.missingLong,
      repairedBodies: this.#repair.repaired,
    }
  }

  /** The disk is nearly full. */
  makeRoom(): void {
    this.#checkpointer.makeRoom()
  }

  /** For a stop in good order, while the node still runs. */
  async finish(): Promise<void> {
    await this.#installer.stop()
    await this.#checkpointer.finish()
  }

  /** Nothing is begun any more; what is under way ends soon. */
  stop(): void {
    this.#checkpointer.stop()
    void this.#installer.stop()
    this.#source.stop()
    this.#repair.stop()
  }

  async #repairMissing(): Promise<void> {
    const { driver, log, logger } = this.#options
    const missing = await log.missing(this.#checkpointer.references, driver.status().commitIndex)
    // Another checkpoint may have come meanwhile.
    const wanted = missing.filter((index) => !this.#isObsolete(index))
    if (wanted.length === 0) return
    logger.error('bodies of messages are missing or damaged', { entries: wanted.length })
    for (const index of wanted) this.#repair.want(index)
  }

  #restore(mark: SnapshotMark, restored: RestoredState): void {
    this.#options.restore(mark, restored)
    this.#repair.forget(() => true)
  }

  /** What compaction must leave alone beside the live entries: what peers install from here, and what this node installs. */
  #pinned(): LiveEntries[] {
    const { staged } = this.#installer
    return staged === undefined ? this.#source.pinned() : [...this.#source.pinned(), staged]
  }

  /** For an entry that is not held here. */
  #recover(index: LogIndex, done: (isHeld: boolean) => void): void {
    if (this.#isObsolete(index)) return done(false)
    if (!this.#options.isAlone()) return this.#repair.want(index, () => done(true))
    // Nobody else ever had it. The queue goes on without it, and the message comes up again at each visibility timeout.
    this.#repair.want(index)
    done(false)
  }

  /**
   * What the checkpoint in force has passed and does not refer to is of no message any more, and may be gone: a delivery that
   * still waits for it is not open in the machine either.
   */
  #isObsolete(index: LogIndex): boolean {
    const { mark, references } = this.#checkpointer.inForce
    return mark !== undefined && index <= mark.index && !references.has(index)
  }
}

/** Reads a checkpoint's chunks into a state that `restore` puts into force. */
class StagedReader {
  readonly #restore: (mark: SnapshotMark, restored: RestoredState) => void
  readonly #reader = new CheckpointReader()

  constructor(restore: (mark: SnapshotMark, restored: RestoredState) => void) {
    this.#restore = restore
  }

  push(chunk: Uint8Array): void {
    this.#reader.push(chunk)
  }

  finish() {
    const restored = this.#reader.finish()
    return { references: restored.references(), restore: (mark: SnapshotMark) => this.#restore(mark, restored) }
  }
}
