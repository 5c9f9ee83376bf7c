/**
 * The store port on `level`. Its lock also keeps a second process out of the directory.
 *
 * LevelDB does not check what it reads unless asked, and cannot be asked from here (trap 24): each value carries a checksum of its
 * own, which covers its key, so that no value passes for another one's.
 *
 * Of Node's few pool threads it takes two at most, so that the log's syncs never queue behind it: one for reads and writes, which
 * go one after the other, and one in which what was deleted gives its place on the disk back. LevelDB would do that in its own
 * time, which for values that are written once and deleted once may be never.
 *
 * Rot in LevelDB's own structure makes the store one that is damaged as a whole (IdentityError `StoreDamaged`). All of it is read at
 * the opening, so that this is found where something can be done about it, rather than by a compaction later. NB: in rare cases an
 * assertion of LevelDB ends the process instead, which nobody can catch.
 *
 * Fail-stop: after a failed write nothing is written again (trap 21).
 */
import { crc32 } from 'node:zlib'
import { Level } from 'level'
import { ensureDirectory } from './directories.ts'
import { IdentityError, StorageFailedError } from './errors.ts'
import type { Files } from './files.ts'
import { Slots } from './slots.ts'
import { DamagedValueError, type Store, type StoreChange } from './store.ts'

/** A change that deletes fewer keys frees little: the place of those goes back with the next that deletes many. */
const COMPACT_DELETES = 4
/** Behind every key that begins with the prefix before it: keys are ASCII. */
const PREFIX_END = '\uffff'
/** u32 checksum of what follows, u8 format, then the value. */
const HEADER_BYTES = 5
const FORMAT = 1

/** What `level` gives on a server; its types tell only what it gives everywhere. */
type ServerLevel = Level<string, Buffer> & { compactRange(from: string, to: string): Promise<void> }

export interface LevelStoreOptions {
  readonly files: Files
  /** Made if it is missing. */
  readonly directory: string
  /** The disk failed; the node must stop. Called once, also when nobody waits for a write. */
  readonly onFailure?: (error: StorageFailedError) => void
}

export class LevelStore implements Store {
  readonly #options: LevelStoreOptions
  readonly #level: ServerLevel
  /** Reads and writes pass one at a time. */
  readonly #lane = new Slots(1)
  #failure: StorageFailedError | undefined
  #closed: Promise<void> | undefined
  /** From the lowest to the highest key that was deleted since the last compaction began. */
  #garbage: { readonly from: string; readonly to: string } | undefined
  #compaction: Promise<void> | undefined

  private constructor(options: LevelStoreOptions, level: ServerLevel) {
    this.#options = options
    this.#level = level
  }

  /** Throws IdentityError (`DirectoryInUse`, `StoreDamaged`) or StorageFailedError. */
  static async open(options: LevelStoreOptions): Promise<LevelStore> {
    const { files, directory } = options
    await ensureDirectory(files, directory)
    const level = await openLevel(directory)
    const store = new LevelStore(options, level)
    try {
      await files.syncDirectory(directory)
      await store.keys('')
      return store
    } catch (error) {
      await store.close()
      throw error
    }
  }

  get(key: string): Promise<Uint8Array | undefined> {
    const { directory } = this.#options
    return this.#pass(`the store in ${directory} cannot be read`, async () => {
      const sealed = await this.#level.get(key, { fillCache: false }).catch((error: unknown) => {
        if (isRot(error)) throw new DamagedValueError(key, directory)
        throw error
      })
      return sealed && unseal(key, sealed, directory)
    })
  }

  keys(prefix: string): Promise<string[]> {
    const range = { gte: prefix, lt: `${prefix}${PREFIX_END}` }
    return this.#pass(`the store in ${this.#options.directory} cannot be read`, () => this.#level.keys(range).all())
  }

  async write({ puts = [], deletes = [] }: StoreChange): Promise<void> {
    const { files, directory } = this.#options
    const operations = [
      ...puts.map(([key, value]) => ({ type: 'put', key, value: seal(key, value) }) as const),
      ...deletes.map((key) => ({ type: 'del', key }) as const),
    ]
    await this.#pass(`the store in ${directory} cannot be written`, async () => {
      await this.#level.batch(operations, { sync: true })
      // LevelDB begins new files now and then, and leaves it to others to make their names durable (trap 25).
      await files.syncDirectory(directory)
    })
    if (deletes.length >= COMPACT_DELETES) this.#reclaim(deletes)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.#lane.idle()
    this.#garbage = undefined
    await this.#compaction
    this.#failure ??= new StorageFailedError(`the store in ${this.#options.directory} is closed`)
    await this.#level.close()
  }

  #pass<T>(what: string, work: () => Promise<T>): Promise<T> {
    return this.#lane.run(async () => {
      if (this.#failure !== undefined) throw this.#failure
      try {
        return await work()
      } catch (error) {
        if (error instanceof DamagedValueError) throw error
        const failure = this.#fail(what, error)
        throw isRot(error) ? storeDamaged(this.#options.directory, error) : failure
      }
    })
  }

  #fail(what: string, cause: unknown): StorageFailedError {
    if (this.#failure !== undefined) return this.#failure
    this.#failure = new StorageFailedError(what, { cause })
    this.#options.onFailure?.(this.#failure)
    return this.#failure
  }

  /** One at a time, and what is deleted meanwhile waits for the next. */
  #reclaim(deletes: readonly string[]): void {
    const keys = [...deletes, ...(this.#garbage === undefined ? [] : [this.#garbage.from, this.#garbage.to])].sort()
    this.#garbage = { from: keys[0]!, to: keys.at(-1)! }
    this.#compaction ??= this.#compact().finally(() => {
      this.#compaction = undefined
    })
  }

  async #compact(): Promise<void> {
    while (this.#garbage !== undefined && this.#failure === undefined) {
      const { from, to } = this.#garbage
      this.#garbage = undefined
      try {
        await this.#level.compactRange(from, to)
      } catch (error) {
        this.#fail(`the store in ${this.#options.directory} cannot be compacted`, error)
      }
    }
  }
}

async function openLevel(directory: string): Promise<ServerLevel> {
  const level = new Level<string, Buffer>(directory, { valueEncoding: 'buffer' }) as ServerLevel
  try {
    await level.open()
    return level
  } catch (error) {
    // Level says that it did not open; why is in the cause.
    const { cause } = error as Error
    if (codeOf(cause) === 'LEVEL_LOCKED') {
      throw new IdentityError('DirectoryInUse', `another process uses ${directory}`, { cause: error })
    }
    if (isRot(cause)) throw storeDamaged(directory, cause)
    throw new StorageFailedError(`the store in ${directory} cannot be opened`, { cause })
  }
}

/**
 * LevelDB could not make sense of what it read. That is also so where its own books send it behind the end of a file, or to one that
 * never was: those it tells as errors of the system, which has none of its own that read so.
 */
function isRot(error: unknown): boolean {
  const code = codeOf(error)
  if (code !== 'LEVEL_IO_ERROR') return code === 'LEVEL_CORRUPTION'
  return /: (Invalid argument|No such file or directory)$/.test((error as Error).message)
}

function storeDamaged(directory: string, cause: unknown): IdentityError {
  const what = `the store in ${directory} is damaged. 'meshmq repair' tells what can be done`
  return new IdentityError('StoreDamaged', what, { cause })
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string } | undefined)?.code
}

function seal(key: string, value: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(HEADER_BYTES + value.length)
  sealed[4] = FORMAT
  sealed.set(value, HEADER_BYTES)
  sealed.writeUInt32LE(crc32(sealed.subarray(4), crc32(key)), 0)
  return sealed
}

function unseal(key: string, sealed: Buffer, directory: string): Uint8Array {
  const isWhole = sealed.length >= HEADER_BYTES && sealed.readUInt32LE(0) === crc32(sealed.subarray(4), crc32(key))
  if (!isWhole || sealed[4] !== FORMAT) throw new DamagedValueError(key, directory)
  return sealed.subarray(HEADER_BYTES)
}
