/**
 * Opens all that a node keeps on disk, and decides what to do about what is damaged. The order is the safe one: the store first,
 * since it holds the lock and tells whose log it is; then the log, which asks before it cuts anything; then whether log and
 * checkpoint belong together.
 *
 * What may have been forgotten is marked durably before anything is cut or reset: the mark is a doubt, and a node in doubt counts
 * for nothing that its memory would have to vouch for. Where the node is the only voter nobody else holds the data, so a real
 * damage is refused: the operator decides (repair.ts).
 *
 * A store that is damaged as a whole is set aside and counts as lost. Only a node that knows of no other member leaves that, too, to
 * the operator.
 *
 * NB: a store that is an older copy of itself is noticed only where its checkpoint is too old for the log.
 */
import { join } from 'node:path'
import { decodeMembership, type Entry, type GroupId } from '../../raft/index.ts'
import { readBoot, writeBoot } from './boot-counter.ts'
import { Checkpoints } from './checkpoints.ts'
import { ensureDirectory } from './directories.ts'
import { type DoubtMark, Doubts } from './doubts.ts'
import { DamagedLogError, IdentityError, isSystemError, StorageFailedError } from './errors.ts'
import type { Files } from './files.ts'
import { findMisfit } from './fit.ts'
import { Identity, type IdentityOptions } from './identity.ts'
import { ListedStore } from './listed-store.ts'
import { readLogIdentity, segmentNames } from './log-identity.ts'
import type { RecoveryReport } from './recovery-report.ts'
import { openSegmentManifest } from './segment-manifest.ts'
import { setAside } from './set-aside.ts'
import { isSoleVoter, newestMembership } from './sole-voter.ts'
import type { Store } from './store.ts'
import { Wal, type WalOptions } from './wal.ts'

export interface StorageOptions extends Pick<IdentityOptions, 'nodeId' | 'mintIncarnation' | 'wallNow'> {
  readonly files: Files
  /** The node's data directory; made if it is missing. */
  readonly dataDir: string
  /** Opens the store in that directory; throws IdentityError or StorageFailedError. */
  readonly openStore: (directory: string) => Promise<Store>
  /** Whose state the checkpoints hold. */
  readonly group: GroupId
  /** The configuration names no other member. Asked only where neither log nor checkpoint tells the voters. */
  readonly alone: boolean
  readonly clock: WalOptions['clock']
  /** The operator has accepted that what is damaged is lost, though no other voter holds it. */
  readonly acceptLoss?: boolean
  readonly segmentBytes?: number
  readonly onSync?: (durationMs: number, bytes: number) => void
  readonly onFailure?: (error: StorageFailedError) => void
}

export interface NodeStorage {
  readonly identity: Identity
  readonly wal: Wal
  readonly checkpoints: Checkpoints
  /** Of this start; higher than those of all starts before it. */
  readonly bootId: number
  /** What this start found damaged in the log. */
  readonly report: RecoveryReport
  /** In force until it is cleared. */
  readonly doubt: DoubtMark | undefined
  /** The doubt of this number is over. Without effect when another one, or none, is in force. */
  clearDoubt(number: number): Promise<void>
  /** Bytes that may still be written to the disk. */
  freeBytes(): Promise<number>
  /** Bytes that log and checkpoints have written since the start, as they are counted before the disk rounds them up. */
  writtenBytes(): number
  close(): Promise<void>
}

/** Where the parts of a data directory are. */
export function storagePlaces(dataDir: string): { readonly store: string; readonly log: string } {
  return { store: join(dataDir, 'store'), log: join(dataDir, 'wal') }
}

/** Throws DamagedLogError, IdentityError or StorageFailedError; each says what is wrong with which file. */
export async function openStorage(options: StorageOptions): Promise<NodeStorage> {
  try {
    return await openOrSetAside(options)
  } catch (cause) {
    throw isSystemError(cause)
      ? new StorageFailedError(`the data directory ${options.dataDir} cannot be opened`, { cause })
      : cause
  }
}

async function openOrSetAside(options: StorageOptions): Promise<NodeStorage> {
  const { acceptLoss, alone, dataDir, files, wallNow } = options
  try {
    return await openParts(options, 'the store was gone')
  } catch (error) {
    if (!isStoreDamaged(error) || (alone && acceptLoss !== true)) throw error
    const lost = await setAside(files, dataDir, wallNow(), ['store'])
    return openParts(options, `the store was damaged: it is set aside in ${lost}`)
  }
}

/** The whole store makes no sense any more, and whoever opened it has let go of it. */
export function isStoreDamaged(error: unknown): boolean {
  return error instanceof IdentityError && error.code === 'StoreDamaged'
}

/** `loss`: why the store is gone, if it is. */
async function openParts(options: StorageOptions, loss: string): Promise<NodeStorage> {
  const store = await openStore(options)
  try {
    return await new Opening(options, store, loss).run()
  } catch (error) {
    await store.close()
    throw error
  }
}

/** As everything but its opening is to see it. */
export async function openStore(options: Pick<StorageOptions, 'openStore' | 'dataDir'>): Promise<Store> {
  const store = await options.openStore(storagePlaces(options.dataDir).store)
  try {
    return await ListedStore.open(store)
  } catch (error) {
    await store.close()
    throw error
  }
}

/** Opens the log that belongs to identity and checkpoint; asks `onDoubt` before it changes anything, and not if that throws. */
export async function openLog(
  options: Pick<StorageOptions, 'files' | 'dataDir' | 'group' | 'clock' | 'segmentBytes' | 'onSync' | 'onFailure'>,
  store: Store,
  { nodeId, incarnation, logBegun }: Identity,
  { current }: Checkpoints,
  onDoubt: (report: RecoveryReport) => Promise<void>,
): Promise<Wal> {
  const { files, dataDir, group, clock, segmentBytes, onSync, onFailure } = options
  return Wal.open({
    files,
    clock,
    directory: storagePlaces(dataDir).log,
    identity: { nodeId, incarnation },
    mustExist: logBegun,
    manifest: await openSegmentManifest(store),
    onDoubt,
    ...(current && { checkpoint: { group, mark: current.mark } }),
    ...(segmentBytes !== undefined && { segmentBytes }),
    ...(onSync && { onSync }),
    ...(onFailure && { onFailure }),
  })
}

class Opening {
  readonly #options: StorageOptions
  readonly #store: Store
  readonly #loss: string
  readonly #logDirectory: string
  #identity!: Identity
  #doubts!: Doubts
  #checkpoints!: Checkpoints

  constructor(options: StorageOptions, store: Store, loss: string) {
    this.#options = options
    this.#store = store
    this.#loss = loss
    this.#logDirectory = storagePlaces(options.dataDir).log
  }

  async run(): Promise<NodeStorage> {
    const { clock } = this.#options
    this.#doubts = await Doubts.open(this.#store)
    this.#checkpoints = await Checkpoints.open(this.#store, clock)
    this.#identity = await this.#openIdentity()
    const judge = (report: RecoveryReport) => this.#judge(report)
    const wal = await openLog(this.#options, this.#store, this.#identity, this.#checkpoints, judge)
    try {
      await this.#fitTogether(wal)
      await this.#identity.markLogBegun()
      await this.#checkCluster()
    } catch (error) {
      await wal.close()
      throw error
    }
    return this.#opened(wal)
  }

  #opened(wal: Wal): NodeStorage {
    const { files, dataDir } = this.#options
    const store = this.#store
    const doubts = this.#doubts
    const identity = this.#identity
    return {
      identity,
      wal,
      checkpoints: this.#checkpoints,
      bootId: identity.bootId,
      report: wal.report,
      get doubt() {
        return doubts.mark
      },
      clearDoubt: (number) => doubts.clear(number),
      freeBytes: () => files.freeBytes(dataDir),
      writtenBytes: () => wal.stats.bytes + this.#checkpoints.writtenBytes,
      close: async () => {
        await wal.close()
        // Last, for the lock: nobody else may open the log before it is closed.
        await store.close()
      },
    }
  }

  async #openIdentity(): Promise<Identity> {
    const { files, dataDir, nodeId, mintIncarnation, wallNow } = this.#options
    await ensureDirectory(files, this.#logDirectory)
    const lastBoot = await readBoot(files, dataDir)
    const identity = await Identity.open({
      store: this.#store,
      nodeId,
      mintIncarnation,
      wallNow: () => Math.max(wallNow(), lastBoot + 1),
      logExists: (await segmentNames(files, this.#logDirectory)).length > 0,
      readLogIdentity: () => readLogIdentity(files, this.#logDirectory),
    })
    const { origin, bootId } = identity
    await writeBoot(files, dataDir, bootId)
    const isRebuilt = origin === 'missing' || origin === 'damaged'
    if (!isRebuilt && !this.#doubts.isDamaged) {
      await identity.begin()
      return identity
    }
    // With it went the mark of a doubt, if there was one.
    const what = origin === 'missing' ? this.#loss : 'a record of the store was damaged'
    await identity.begin((put) => this.#doubts.raise(this.#mark(bootId, what), [put]))
    return identity
  }

  /** Nothing on disk was changed yet, and nothing will be if this throws. */
  async #judge(report: RecoveryReport): Promise<void> {
    const [damage] = report.damages
    if (damage !== undefined) this.#refuseIfAlone(report.membership, damage)
    if (!report.forgets) return
    // A log whose first entry is damaged may come out empty, as if there had never been one.
    if (report.membership !== undefined || (damage !== undefined && this.#identity.rebuilt))
      await this.#identity.markFounded()
    const what = damage === undefined ? 'the end of the log was torn' : `${damage.file}: ${damage.what}`
    await this.#doubts.raise(this.#mark(this.#identity.bootId, what))
  }

  async #fitTogether(wal: Wal): Promise<void> {
    const log = wal.group(this.#options.group)
    const recovered = log.recovered()
    const misfit = findMisfit(recovered, this.#checkpoints.current)
    if (misfit === undefined) return
    const { base, forgets, what } = misfit
    if (forgets) {
      // Of a log that began behind a checkpoint that is lost, too, nothing else will tell that there was one.
      await this.#identity.markFounded()
      this.#refuseIfAlone(recovered.memberships.at(-1), { file: this.#logDirectory, offset: 0, what })
      await this.#doubts.raise(this.#mark(this.#identity.bootId, what))
    }
    await log.reset(base)
  }

  /** An identity that was built again may learn its cluster here, since the log may not hold its first entry any more. */
  async #checkCluster(): Promise<void> {
    const { current } = this.#checkpoints
    if (current !== undefined)
      await this.#identity.setClusterId(decodeMembership(current.mark.membership.data).clusterId)
  }

  #refuseIfAlone(
    logged: Entry | undefined,
    { file, offset, what }: { readonly file: string; readonly offset: number; readonly what: string },
  ): void {
    const { acceptLoss, alone } = this.#options
    const { nodeId, incarnation } = this.#identity
    const membership = newestMembership(logged, this.#checkpoints.current?.mark.membership)
    const isAlone = isSoleVoter({ id: nodeId, incarnation }, membership) ?? alone
    if (isAlone && acceptLoss !== true) throw new DamagedLogError(file, offset, what)
  }

  #mark(number: number, reason: string): DoubtMark {
    return { number, reason, at: Math.floor(this.#options.wallNow()) }
  }
}
