/**
 * The taking side of an install: this node's log ends before the leader's begins, so it fetches the leader's checkpoint and every body
 * that it refers to, and goes on from its mark (paper §7).
 *
 * Order is all here. Bodies are kept, synced, before the checkpoint becomes current, and that before the driver hears of it:
 * its answer to the leader, the match index and the right to campaign mean that all of it is local. A crash anywhere in between
 * leaves the former checkpoint and log, or the new checkpoint whose log the next start begins anew; bodies that were
 * kept are not fetched again.
 *
 * Bounded: PULLS_MAX chunks are in flight. Never: decides whether an install is needed (the core's).
 */
import { CheckpointFormatError } from '../queue/index.ts'
import type { BodyFetcher } from './body-fetcher.ts'
import type { Checkpointer } from './checkpointer.ts'
import type { FetchClient } from './fetch-client.ts'
import type {
  CheckpointingBasics,
  CheckpointStore,
  CheckpointWriter,
  HeldEntries,
  InstallOffer,
  LiveEntries,
  SnapshotMark,
} from './ports.ts'

const PULLS_MAX = 3

/** After a checkpoint could not be had, the same one is not asked for again for so long, milliseconds. */
const RETRY_MS = 1_000

/** A state that was read from chunks and is not in force yet. */
export interface StagedState {
  readonly references: LiveEntries
  /** Puts it into force, in place of what the machine holds. */
  restore(mark: SnapshotMark): void
}

export interface StateReader {
  /** Throws on bytes that are no part of a checkpoint. */
  push(chunk: Uint8Array): void
  finish(): StagedState
}

export interface InstallerOptions extends CheckpointingBasics {
  readonly client: FetchClient
  readonly bodies: BodyFetcher
  readonly checkpoints: Pick<CheckpointStore, 'begin'>
  readonly entries: Pick<HeldEntries, 'missing' | 'keep'>
  readonly checkpointer: Pick<Checkpointer, 'suspend' | 'adopt' | 'installed'>
  readonly driver: {
    status(): { readonly commitIndex: number }
    installed(mark: SnapshotMark, restore: () => void): boolean
  }
  readonly read: () => StateReader
  /** Peers that may be asked for bodies which the leader lacks. */
  readonly peers: () => readonly string[]
}

interface Install {
  readonly offer: InstallOffer
  readonly controller: AbortController
  /** The newest mark that the same leader has offered meanwhile. */
  newestIndex: number
}

export class Installer {
  readonly #options: InstallerOptions
  #current: Install | undefined
  /** Ends when the last install has let go of everything. */
  #done: Promise<void> = Promise.resolve()
  /** The mark that could not be had lately, and from when on it is worth another try. */
  #refused: { readonly index: number; readonly untilMs: number } | undefined
  #staged: LiveEntries | undefined
  #installed = 0
  #stopped = false

  constructor(options: InstallerOptions) {
    this.#options = options
  }

  /** The mark that is being installed. */
  get underWay(): SnapshotMark | undefined {
    return this.#current?.offer.mark
  }

  /** What the state refers to that is being installed: compaction must leave it alone, though nothing in force needs it yet. */
  get staged(): LiveEntries | undefined {
    return this.#staged
  }

  /** Installs completed by this process. */
  get installed(): number {
    return this.#installed
  }

  /** The leader has nothing else for this node; repeated until it is installed. One install at a time: the first offer of a leader. */
  offer(offer: InstallOffer): void {
    if (this.#stopped) return
    const current = this.#current
    const { id, incarnation } = offer.from
    if (current?.offer.from.id === id && current.offer.from.incarnation === incarnation) {
      current.newestIndex = Math.max(current.newestIndex, offer.mark.index)
      return
    }
    if (this.#refused?.index === offer.mark.index && this.#options.clock.now() < this.#refused.untilMs) return
    current?.controller.abort()
    const install = { offer, controller: new AbortController(), newestIndex: offer.mark.index }
    this.#current = install
    this.#done = this.#done
      .then(() => this.#install(install))
      .catch(this.#options.onFatal)
      .finally(() => {
        if (this.#current === install) this.#current = undefined
      })
  }

  /** Who leads has changed: an offer of anybody else is void. Bodies that were fetched stay. */
  leaderChanged(leader: string | undefined): void {
    if (this.#current?.offer.from.id !== leader) this.#current?.controller.abort()
  }

  /** Resolves when nothing is being written any more. */
  stop(): Promise<void> {
    this.#stopped = true
    this.#current?.controller.abort()
    return this.#done
  }

  async #install(install: Install): Promise<void> {
    const { offer, controller } = install
    const { checkpointer, checkpoints, entries, logger } = this.#options
    const resume = await checkpointer.suspend()
    try {
      const { mark, from } = offer
      const { signal } = controller
      if (signal.aborted) return
      logger.info('an install begins', { from: from.id, index: mark.index })
      const writer = checkpoints.begin(mark, 'installed')
      const staged = await this.#fetch(install, writer)
      if (staged === undefined) {
        await writer.abandon()
        logger.info('an install was given up', { from: from.id, index: mark.index })
        return
      }
      // The log has by now what this node knows of terms: the mark must not be durable before the term that it was committed in.
      await entries.keep([])
      await writer.commit()
      checkpointer.adopt(staged.references)
      // The log came by itself in the last moment: it goes on as it is, and the checkpoint serves the next start.
      if (!this.#options.driver.installed(mark, () => staged.restore(mark))) return
      this.#installed++
      logger.info('an install is done', { from: from.id, index: mark.index, references: staged.references.size })
      checkpointer.installed()
    } finally {
      // Questions that are open still would be asked for ever, of a leader that is gone perhaps.
      controller.abort()
      this.#staged = undefined
      resume()
    }
  }

  /** The whole checkpoint, staged, with all its bodies; undefined when it cannot be had. */
  async #fetch(install: Install, writer: CheckpointWriter): Promise<StagedState | undefined> {
    const { offer, controller } = install
    const reader = this.#options.read()
    if (!(await this.#fetchChunks(offer, reader, writer, controller.signal))) return undefined
    const staged = this.#tryRead(offer, () => reader.finish())
    if (staged === undefined || !(await this.#fetchBodies(install, staged.references))) return undefined
    // The log may have come by itself meanwhile.
    return this.#isStale(offer) ? undefined : staged
  }

  #isStale(offer: InstallOffer): boolean {
    return this.#options.driver.status().commitIndex >= offer.mark.index
  }

  /** Chunks are read and staged in their order, however their answers come. False: given up. */
  async #fetchChunks(offer: InstallOffer, reader: StateReader, writer: CheckpointWriter, signal: AbortSignal) {
    const { client } = this.#options
    const { from, mark } = offer
    const ask = (n: number) => client.ask(from.id, { what: 'chunk', mark: mark.index, n }, signal)
    const pulls = [ask(0)]
    for (let n = 0; pulls.length > 0; n++) {
      const answer = await pulls.shift()
      if (answer?.what === 'gone') this.#refuse(offer)
      if (answer?.what !== 'chunk') return false
      while (pulls.length < PULLS_MAX && n + pulls.length + 1 < answer.chunks) pulls.push(ask(n + pulls.length + 1))
      const isRead = this.#tryRead(offer, () => {
        reader.push(answer.bytes)
        return true
      })
      if (!isRead) return false
      await writer.put(answer.bytes)
    }
    return true
  }

  /** Bytes that do not decode are another version's, or damage on the way: this checkpoint is not for us, and the node goes on. */
  #tryRead<T>(offer: InstallOffer, read: () => T): T | undefined {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof CheckpointFormatError)) throw error
      this.#options.logger.error("cannot read the leader's checkpoint", { from: offer.from.id, error })
      this.#refuse(offer)
      return undefined
    }
  }

  #refuse({ mark }: InstallOffer): void {
    this.#refused = { index: mark.index, untilMs: this.#options.clock.now() + RETRY_MS }
  }

  /**
   * Until all are here, or the install is given up: what the leader has lost itself, another peer may hold. If nobody does, a newer
   * checkpoint may not refer to it any more.
   */
  async #fetchBodies(install: Install, references: LiveEntries): Promise<boolean> {
    const { offer, controller } = install
    const { signal } = controller
    const { bodies, clock, entries, peers } = this.#options
    this.#staged = references
    let wanted = await entries.missing(references)
    for (;;) {
      const others = peers().filter((id) => id !== offer.from.id)
      const left = await bodies.fetch(wanted, [offer.from.id, ...others], signal)
      if (signal.aborted || this.#isStale(offer)) return false
      if (left.length === 0) return true
      if (left.length === wanted.length && install.newestIndex > offer.mark.index) return false
      wanted = left
      await new Promise<void>((resolve) => clock.setTimer(RETRY_MS, resolve))
    }
  }
}
