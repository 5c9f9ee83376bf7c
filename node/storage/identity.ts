/**
 * Who this data directory is: node id, data incarnation, cluster id, and the counter of its starts. Kept in a `level` store of its
 * own, whose lock also keeps a second process out of the directory.
 *
 * One record holds it all and is replaced as a whole, synced, so that a crash leaves the old one or the new one. It carries a
 * checksum of its own, since LevelDB does not check what it reads unless asked, and cannot be asked from here (trap 24).
 *
 * Never: guessing. A directory that is not what this node left behind is refused (trap 19); the operator decides.
 */
import { crc32 } from 'node:zlib'
import { Level } from 'level'
import { type Incarnation, invariant, type NodeId } from '../../raft/index.ts'
import { ensureDirectory } from './directories.ts'
import { IdentityError, StorageFailedError } from './errors.ts'
import type { Files } from './files.ts'

const KEY = 'identity'
const FORMAT = 1

export interface IdentityOptions {
  readonly files: Files
  /** Folder of the level store; made if it is missing. */
  readonly directory: string
  readonly nodeId: NodeId
  /** There is a write-ahead log beside it, so there must be an identity. */
  readonly logExists: boolean
  /** Gives a new random name that nobody ever used. */
  readonly mintIncarnation: () => Incarnation
  /** Wall clock, milliseconds. */
  readonly wallNow: () => number
}

interface IdentityRecord {
  readonly format: typeof FORMAT
  readonly nodeId: NodeId
  readonly incarnation: Incarnation
  /** Absent until the log's first entry is known. */
  readonly clusterId?: string
  /** The write-ahead log was opened once: from then on its absence is damage. */
  readonly logBegun: boolean
  readonly bootId: number
}

export class Identity {
  readonly #store: Level
  readonly #options: IdentityOptions
  #record: IdentityRecord
  /** Writes follow each other, so that none overwrites what another has just changed. */
  #lastWrite: Promise<void> = Promise.resolve()

  private constructor(options: IdentityOptions, store: Level, record: IdentityRecord) {
    this.#options = options
    this.#store = store
    this.#record = record
  }

  /** Reads the identity, or mints one for a new directory. Throws IdentityError or StorageFailedError. */
  static async open(options: IdentityOptions): Promise<Identity> {
    const { files, directory, nodeId, mintIncarnation } = options
    await ensureDirectory(files, directory)
    const store = await openStore(directory)
    try {
      const stored = await readRecord(store, options)
      const record = stored ?? { format: FORMAT, nodeId, incarnation: mintIncarnation(), logBegun: false, bootId: 0 }
      const identity = new Identity(options, store, record)
      if (stored === undefined) await identity.#replace((minted) => ({ ...minted }))
      // LevelDB renames its CURRENT file at every start and leaves it to others to make that durable (trap 25).
      await files.syncDirectory(directory)
      return identity
    } catch (error) {
      await store.close()
      throw error
    }
  }

  get nodeId(): NodeId {
    return this.#record.nodeId
  }

  /** Names the contents of this data directory; another one after it was emptied. */
  get incarnation(): Incarnation {
    return this.#record.incarnation
  }

  get clusterId(): string | undefined {
    return this.#record.clusterId
  }

  get logBegun(): boolean {
    return this.#record.logBegun
  }

  /** Remembers the cluster that the log's first entry names. Throws IdentityError when it was another one. */
  async setClusterId(clusterId: string): Promise<void> {
    await this.#replace((record) => {
      if (record.clusterId !== undefined && record.clusterId !== clusterId) {
        const known = `the data directory belongs to cluster ${record.clusterId}, not to ${clusterId}`
        throw new IdentityError('ForeignDirectory', known)
      }
      return record.clusterId === clusterId ? record : { ...record, clusterId }
    })
  }

  async markLogBegun(): Promise<void> {
    await this.#replace((record) => (record.logBegun ? record : { ...record, logBegun: true }))
  }

  /**
   * A number for this start of the process that is higher than all before it, synced before it is returned. It is at least the
   * wall clock, so that it rises even after the stored counter was lost.
   */
  async nextBootId(): Promise<number> {
    await this.#replace((record) => {
      const bootId = Math.max(record.bootId + 1, Math.floor(this.#options.wallNow()))
      invariant(Number.isSafeInteger(bootId), 'boot ids are exact integers')
      return { ...record, bootId }
    })
    return this.#record.bootId
  }

  /** Lets another process in. */
  async close(): Promise<void> {
    await this.#lastWrite.catch(() => {})
    await this.#store.close()
  }

  #replace(change: (record: IdentityRecord) => IdentityRecord): Promise<void> {
    const write = this.#lastWrite.then(async () => {
      const record = change(this.#record)
      if (record === this.#record) return
      try {
        await this.#store.put(KEY, encodeRecord(record), { sync: true })
      } catch (cause) {
        throw new StorageFailedError(`the identity in ${this.#options.directory} cannot be written`, { cause })
      }
      this.#record = record
    })
    this.#lastWrite = write.catch(() => {})
    return write
  }
}

async function openStore(directory: string): Promise<Level> {
  const store = new Level(directory)
  try {
    await store.open()
    return store
  } catch (error) {
    // Level says that it did not open; why is in the cause.
    const cause = (error as Error).cause as { code?: string } | undefined
    if (cause?.code === 'LEVEL_LOCKED') {
      throw new IdentityError('DirectoryInUse', `another process uses ${directory}`, { cause: error })
    }
    if (cause?.code === 'LEVEL_CORRUPTION') {
      throw new IdentityError('IdentityDamaged', `the store in ${directory} is damaged`, { cause: error })
    }
    throw new StorageFailedError(`the store in ${directory} cannot be opened`, { cause: error })
  }
}

/** undefined: a new directory. */
async function readRecord(store: Level, options: IdentityOptions): Promise<IdentityRecord | undefined> {
  const { directory, nodeId, logExists } = options
  const value = await store.get(KEY)
  if (value === undefined) {
    if (!logExists) return undefined
    throw new IdentityError(
      'IdentityMissing',
      `there is a log beside ${directory}, but the identity that it belongs to is gone`,
    )
  }
  const record = decodeRecord(value)
  if (record === undefined) throw new IdentityError('IdentityDamaged', `the identity in ${directory} cannot be read`)
  if (record.nodeId !== nodeId) {
    throw new IdentityError('ForeignDirectory', `the data directory belongs to node ${record.nodeId}, not to ${nodeId}`)
  }
  if (record.logBegun && !logExists) {
    throw new IdentityError('LogMissing', `the log that belongs to the identity in ${directory} is gone`)
  }
  return record
}

function encodeRecord(record: IdentityRecord): string {
  const json = JSON.stringify(record)
  return `${crc32(json)} ${json}`
}

function decodeRecord(value: string): IdentityRecord | undefined {
  const space = value.indexOf(' ')
  const json = value.slice(space + 1)
  if (value.slice(0, space) !== String(crc32(json))) return undefined
  const record = JSON.parse(json) as IdentityRecord
  return record.format === FORMAT ? record : undefined
}
