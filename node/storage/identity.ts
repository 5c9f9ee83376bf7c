/**
 * Who this data directory is: node id, data incarnation, cluster id, and the counter of its starts. One record in the node's store,
 * replaced as a whole, so that a crash leaves the old one or the new one.
 *
 * Every segment of the log repeats node id and incarnation. Where the record is gone, or rotten, it is built again from them; what
 * else the store knew is lost then, so the caller must raise a doubt together with it.
 *
 * Never: guessing. A directory that belongs to another node, or to nobody who can be named, is refused (trap 19); the operator
 * decides.
 */
import { type Incarnation, invariant, type NodeId } from '../../raft/index.ts'
import { IdentityError } from './errors.ts'
import type { LogIdentity } from './segment.ts'
import { DamagedValueError, type Store, type StoreChange } from './store.ts'
import { readRecord, recordPut } from './store-record.ts'

const KEY = 'identity'
const FORMAT = 2

export interface IdentityOptions {
  readonly store: Store
  readonly nodeId: NodeId
  /** There is a write-ahead log beside the store, so there must be an identity. */
  readonly logExists: boolean
  /** Whose the log's segments say that they are; undefined when they do not say. Asked only when the record does not tell. */
  readonly readLogIdentity: () => Promise<LogIdentity | undefined>
  /** Gives a new random name that nobody ever used. */
  readonly mintIncarnation: () => Incarnation
  /** Wall clock, milliseconds. */
  readonly wallNow: () => number
}

export interface IdentityRecord {
  readonly nodeId: NodeId
  readonly incarnation: Incarnation
  /** Absent until the log's first entry is known. */
  readonly clusterId?: string
  /** Once it was built again from the log: what else it had told is lost. */
  readonly rebuilt?: true
  /** There was a cluster, whose id was lost together with all that could tell it. */
  readonly founded?: true
  /** True since a committed membership has listed this directory. Not before: a log may come from a leader whose word is never committed. */
  readonly joined?: true
  /** The write-ahead log was opened once: from then on its absence is damage. */
  readonly logBegun: boolean
  readonly bootId: number
}

/** Of how the record was found. `missing` and `damaged`: it was built again from the log. */
export type IdentityOrigin = 'stored' | 'minted' | 'missing' | 'damaged'

export class Identity {
  readonly origin: IdentityOrigin
  readonly #store: Store
  #record: IdentityRecord
  /** Writes follow each other, so that none overwrites what another has just changed. */
  #lastWrite: Promise<void> = Promise.resolve()

  private constructor(store: Store, record: IdentityRecord, origin: IdentityOrigin) {
    this.#store = store
    this.#record = record
    this.origin = origin
  }

  /**
   * Finds out who this is, and changes nothing yet: `begin` does. Throws IdentityError, or what the store throws.
   */
  static async open(options: IdentityOptions): Promise<Identity> {
    const { store, nodeId, wallNow } = options
    const { origin, record } = await findRecord(options)
    if (record.nodeId !== nodeId) {
      const whose = `the data directory belongs to node ${record.nodeId}, not to ${nodeId}`
      throw new IdentityError('ForeignDirectory', whose)
    }
    // At least the wall clock, so that it rises even after the stored counter was lost.
    const bootId = Math.max(record.bootId + 1, Math.floor(wallNow()))
    invariant(Number.isSafeInteger(bootId), 'boot ids are exact integers')
    return new Identity(store, { ...record, bootId }, origin)
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

  /** The directory was part of a cluster, whether it still knows of which or not. */
  get founded(): boolean {
    return this.#record.clusterId !== undefined || this.#record.founded === true
  }

  /** It was a member of its cluster once, and may be still. */
  get joined(): boolean {
    return this.#record.joined === true
  }

  /** That it does not know a cluster does not mean that there was none. */
  get rebuilt(): boolean {
    return this.#record.rebuilt === true
  }

  get logBegun(): boolean {
    return this.#record.logBegun
  }

  /** Of this start; higher than those of all starts before it. To be used only after `begin`. */
  get bootId(): number {
    return this.#record.bootId
  }

  /** Stores what was found and this start's boot id. `write` makes the put durable, alone or together with more. */
  async begin(
    write = (put: readonly [string, Uint8Array]): Promise<void> => this.#store.write({ puts: [put] }),
  ): Promise<void> {
    await write(recordPut(KEY, FORMAT, this.#record))
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

  /** Remembers that a committed membership lists this directory. */
  async markJoined(): Promise<void> {
    await this.#replace((record) => (record.joined ? record : { ...record, joined: true }))
  }

  /** Remembers that there is a cluster: whatever becomes of log and checkpoint, this directory founds no other one. */
  async markFounded(): Promise<void> {
    await this.#replace((record) => (this.founded ? record : { ...record, founded: true }))
  }

  async markLogBegun(): Promise<void> {
    await this.#replace((record) => (record.logBegun ? record : { ...record, logBegun: true }))
  }

  #replace(change: (record: IdentityRecord) => IdentityRecord): Promise<void> {
    const write = this.#lastWrite.then(async () => {
      const record = change(this.#record)
      if (record === this.#record) return
      const stored: StoreChange = { puts: [recordPut(KEY, FORMAT, record)] }
      await this.#store.write(stored)
      this.#record = record
    })
    this.#lastWrite = write.catch(() => {})
    return write
  }
}

/** What the store says whose the directory is; undefined when it says nothing. */
export async function storedIdentity(store: Store): Promise<IdentityRecord | 'damaged' | undefined> {
  try {
    return await readRecord<IdentityRecord>(store, KEY, FORMAT)
  } catch (error) {
    if (error instanceof DamagedValueError) return 'damaged'
    throw error
  }
}

async function findRecord(options: IdentityOptions): Promise<{ record: IdentityRecord; origin: IdentityOrigin }> {
  const { store, nodeId, logExists, mintIncarnation } = options
  const stored = await storedIdentity(store)
  if (stored !== undefined && stored !== 'damaged') return { record: stored, origin: 'stored' }
  const origin = stored ?? 'missing'
  if (origin === 'missing' && !logExists) {
    return { record: { nodeId, incarnation: mintIncarnation(), logBegun: false, bootId: 0 }, origin: 'minted' }
  }
  const identity = await options.readLogIdentity()
  if (identity !== undefined) return { record: { ...identity, rebuilt: true, logBegun: true, bootId: 0 }, origin }
  const advice = "'meshmq repair' tells what can be done"
  if (origin === 'damaged') {
    throw new IdentityError('IdentityDamaged', `the identity of the data directory cannot be read; ${advice}`)
  }
  const what = 'there is a log, but nothing tells whose it is: the store is gone, and no segment has a whole header'
  throw new IdentityError('IdentityMissing', `${what}; ${advice}`)
}
