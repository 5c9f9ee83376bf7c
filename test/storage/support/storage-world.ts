/**
 * A whole data directory on a simulated disk, with the log and the store of a node that has run for a while: material that the tests of
 * its opening damage.
 */
import { type CheckpointOrigin, Checkpoints } from '../../../node/storage/checkpoints.ts'
import { ListedStore } from '../../../node/storage/listed-store.ts'
import { type NodeStorage, openStorage, type StorageOptions } from '../../../node/storage/open-storage.ts'
import type { Store } from '../../../node/storage/store.ts'
import { type Entry, EntryType, type LogStorage, type SnapshotMark } from '../../../raft/index.ts'
import { SimulatedStore } from '../../sim/simulated-store.ts'
import { Random } from '../../support/random.ts'
import { chunkOf, markAt } from './store.ts'
import { group, World } from './world.ts'

const dataDir = '/data'
const logDirectory = '/data/wal'
/** Entries that the log holds. */
export const lastEntry = 20
/** Where the checkpoint is. */
export const checkpointAt = 10

export interface Preparation {
  readonly voters: number
  /** The log begins behind the checkpoint. */
  readonly compacted: boolean
}

export class StorageWorld {
  readonly world: World
  readonly store: SimulatedStore
  wall = 1_000
  #voters = 3
  #minted = 0

  constructor(seed = 1) {
    this.world = new World(seed)
    const { scheduler } = this.world
    const schedule = (ms: number, callback: () => void): void => void scheduler.after(ms, callback)
    this.store = new SimulatedStore({ schedule, random: new Random(seed + 1) })
  }

  options(overrides: Partial<StorageOptions> = {}): StorageOptions {
    const { files, clock } = this.world.options()
    return {
      files,
      clock,
      dataDir,
      nodeId: 'n1',
      openStore: () => this.store.open(),
      group,
      alone: false,
      mintIncarnation: () => `life-${++this.#minted}`,
      wallNow: () => this.wall,
      segmentBytes: 5_120,
      ...overrides,
    }
  }

  open(overrides?: Partial<StorageOptions>): Promise<NodeStorage> {
    return this.world.settle(openStorage(this.options(overrides)))
  }

  /** Opens, uses and closes the storage. */
  async with<T>(use: (storage: NodeStorage) => Promise<T>, overrides?: Partial<StorageOptions>): Promise<T> {
    const storage = await this.open(overrides)
    try {
      return await this.world.settle(use(storage))
    } finally {
      await this.world.settle(storage.close())
    }
  }

  /** A node that ran and was stopped: entries 1 to 20, one a batch, and a checkpoint at 10. */
  async prepare({ voters, compacted }: Preparation): Promise<void> {
    this.#voters = voters
    await this.with(async (storage) => {
      const log = storage.wal.group(group)
      await this.#append(log, 1, checkpointAt)
      await putCheckpoint(storage.checkpoints, markAt(checkpointAt, 1, voters), 'local')
      if (compacted) await log.reset({ index: checkpointAt, term: 1 })
      await this.#append(log, checkpointAt + 1, lastEntry)
    })
  }

  /** Puts a checkpoint into the store of the stopped node, whatever its log holds. */
  putCheckpoint(index: number, origin: CheckpointOrigin, term = 1): Promise<void> {
    const mark = markAt(index, term, this.#voters)
    return this.#change(async (store) => putCheckpoint(await Checkpoints.open(store), mark, origin))
  }

  /** The store as it was before there was a checkpoint. */
  forgetCheckpoint(): Promise<void> {
    return this.#change(async (store) => store.write({ deletes: ['checkpoint', ...(await store.keys('chunk/'))] }))
  }

  /** The store as it would be if its text had been another. */
  rewrite(key: string, change: (text: string) => string): Promise<void> {
    return this.#change(async (store) => {
      const text = Buffer.from((await store.get(key)) as Uint8Array).toString()
      await store.write({ puts: [[key, Buffer.from(change(text))]] })
    })
  }

  /** A value of the store is gone without a word. */
  vanish(key: string): void {
    if (!this.store.has(key)) throw new Error(`there is no '${key}'`)
    this.store.restore(new Map([...this.store.image()].filter(([other]) => other !== key)))
  }

  entry(index: number): Entry {
    if (index === 1) return markAt(index, 1, this.#voters).membership
    return { index, term: 1, type: EntryType.command, data: Buffer.from(textOf(index)) }
  }

  /** Where the files hold that text. */
  async find(text: string): Promise<{ readonly path: string; readonly offset: number }> {
    for (const path of await this.logFiles()) {
      const offset = Buffer.from(this.world.files.contents(path)).indexOf(text)
      if (offset >= 0) return { path, offset }
    }
    throw new Error(`no file holds '${text}'`)
  }

  async damageEntry(index: number): Promise<void> {
    const { path, offset } = await this.find(textOf(index))
    const bytes = this.world.files.contents(path)
    bytes[offset] = (bytes[offset] as number) ^ 1
  }

  /** A batch that was never finished, behind the last one. */
  async tear(): Promise<void> {
    const paths = await this.logFiles()
    const used = paths.filter((path) => this.world.files.contents(path).some((byte) => byte !== 0)).at(-1) as string
    const bytes = this.world.files.contents(used)
    const end = bytes.findLastIndex((byte) => byte !== 0) + 1
    bytes.fill(0x5a, Math.ceil(end / 512) * 512, Math.ceil(end / 512) * 512 + 100)
  }

  async loseLog(): Promise<void> {
    for (const path of await this.logFiles()) this.world.files.lose(path)
  }

  async logFiles(): Promise<string[]> {
    const names = await this.world.settle(this.world.files.list(logDirectory))
    return names.map((name) => `${logDirectory}/${name}`)
  }

  /** The bytes of all files of the log. */
  async logImage(): Promise<Map<string, Buffer>> {
    const paths = await this.logFiles()
    return new Map(paths.map((path) => [path, Buffer.from(this.world.files.contents(path))]))
  }

  /** Opens the storage, and the power goes after that time, perhaps before it is open. */
  async openAndCrash(ms: number): Promise<void> {
    openStorage(this.options()).catch(() => {})
    // Its first operation is on its way.
    await new Promise((resolve) => process.nextTick(resolve))
    await this.world.pass(ms)
    this.world.files.crash()
    this.store.crash()
  }

  /** Of the stopped node's store, in good order. */
  #change(change: (store: Store) => Promise<unknown>): Promise<void> {
    const run = async (): Promise<void> => {
      const store = await ListedStore.open(await this.store.open())
      await change(store)
      await store.close()
    }
    return this.world.settle(run())
  }

  async #append(log: LogStorage, from: number, to: number): Promise<void> {
    for (let index = from; index <= to; index++) {
      await log.append({ hardState: { term: 1, vote: 'n1', commit: index - 1 }, entries: [this.entry(index)] })
    }
  }
}

/** The data of a command; none is the beginning of another's. */
function textOf(index: number): string {
  return `entry ${index};`
}

/** Makes a checkpoint of two chunks. */
async function putCheckpoint(checkpoints: Checkpoints, mark: SnapshotMark, origin: CheckpointOrigin): Promise<void> {
  const writer = checkpoints.begin(mark, origin)
  await writer.put(chunkOf('first'))
  await writer.put(chunkOf('second'))
  await writer.commit()
}
