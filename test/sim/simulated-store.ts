/**
 * The store port in memory, with the failures of a disk: latency, crashes, values that rot, the loss of the whole, writes that fail.
 *
 * It keeps the port's promise and no more: a change that resolved survives every crash; of one that was under way a crash keeps all or
 * nothing.
 *
 * All times and all dice come from outside, so that one seed gives one history.
 */
import { IdentityError, StorageFailedError } from '../../node/storage/errors.ts'
import { DamagedValueError, type Store, type StoreChange } from '../../node/storage/store.ts'
import type { SimulatedDisk } from './simulated-files.ts'

interface Write {
  readonly change: StoreChange
}

/** The disk under a store, as it outlives processes. */
export class SimulatedStore {
  readonly #disk: SimulatedDisk
  #values = new Map<string, Uint8Array>()
  readonly #rotten = new Set<string>()
  readonly #underWay = new Set<Write>()
  /** Rises at a crash: whoever asked before it gets no answer any more. */
  #life = 0
  #isOpen = false
  #isFailing = false
  #failNext = false
  #cannotOpen = false
  #last: Promise<unknown> = Promise.resolve()
  /** Changes that were made. */
  writes = 0

  constructor(disk: SimulatedDisk) {
    this.#disk = disk
  }

  /** As `LevelStore.open`: one at a time. */
  open(): Promise<Store> {
    return this.#perform(() => {
      if (this.#isOpen) throw new IdentityError('DirectoryInUse', 'the simulated store is open')
      if (this.#cannotOpen) throw new IdentityError('StoreDamaged', 'the simulated store is damaged')
      this.#isOpen = true
      this.#isFailing = false
      return this.#handle()
    })
  }

  /** The power goes. */
  crash(): void {
    this.#life++
    this.#isOpen = false
    this.#failNext = false
    this.#last = Promise.resolve()
    // Changes are made in order: of those under way the first few survive.
    for (const write of this.#underWay) {
      if (this.#disk.random.chance(0.5)) break
      this.#apply(write.change)
    }
    this.#underWay.clear()
  }

  /** The value is not what was written, until it is overwritten. */
  rot(key: string): void {
    if (!this.#values.has(key)) throw new Error(`there is no value of '${key}' to rot`)
    this.#rotten.add(key)
  }

  /** The whole store is gone for good. */
  lose(): void {
    this.#values.clear()
    this.#rotten.clear()
    this.#cannotOpen = false
  }

  /** It cannot be opened any more. */
  damage(): void {
    this.#cannotOpen = true
  }

  /** The next write fails, made or not, and every later one of that process. */
  failNextWrite(): void {
    this.#failNext = true
  }

  /** A copy, such as a backup. */
  image(): ReadonlyMap<string, Uint8Array> {
    return new Map(this.#values)
  }

  restore(image: ReadonlyMap<string, Uint8Array>): void {
    this.lose()
    this.#values = new Map(image)
  }

  has(key: string): boolean {
    return this.#values.has(key)
  }

  #handle(): Store {
    const life = this.#life
    const alive = <T>(work: () => Promise<T>): Promise<T> => (life === this.#life ? work() : new Promise(() => {}))
    return {
      get: (key) =>
        alive(() =>
          this.#perform(() => {
            this.#throwIfUnusable()
            if (this.#rotten.has(key)) throw new DamagedValueError(key, 'the simulated store')
            return this.#values.get(key)?.slice()
          }),
        ),
      keys: (prefix) =>
        alive(() =>
          this.#perform(() => {
            this.#throwIfUnusable()
            return [...this.#values.keys()].filter((key) => key.startsWith(prefix)).sort()
          }),
        ),
      write: (change) => alive(() => this.#write(change)),
      close: () =>
        alive(() =>
          this.#perform(() => {
            this.#isOpen = false
          }),
        ),
    }
  }

  #write(change: StoreChange): Promise<void> {
    // A copy at once: what the caller changes later is not written.
    const write = {
      change: { ...change, puts: (change.puts ?? []).map(([key, value]) => [key, value.slice()] as const) },
    }
    this.#underWay.add(write)
    return this.#perform(() => {
      this.#underWay.delete(write)
      this.#throwIfUnusable()
      this.#isFailing = this.#failNext
      this.#failNext = false
      if (!this.#isFailing || this.#disk.random.chance(0.5)) this.#apply(write.change)
      this.#throwIfUnusable()
    })
  }

  #apply({ puts = [], deletes = [] }: StoreChange): void {
    this.writes++
    for (const [key, value] of puts) {
      this.#values.set(key, value)
      this.#rotten.delete(key)
    }
    for (const key of deletes) {
      this.#values.delete(key)
      this.#rotten.delete(key)
    }
  }

  #throwIfUnusable(): void {
    if (this.#isFailing || !this.#isOpen) throw new StorageFailedError('simulated: the store failed or is closed')
  }

  /** In the order of the calls: each waits for the one before it, as in production. */
  #perform<T>(effect: () => T): Promise<T> {
    const life = this.#life
    const [low, high] = this.#disk.latencyMs ?? [0.05, 0.5]
    const turn = this.#last.then(
      () =>
        new Promise<T>((resolve, reject) => {
          if (life !== this.#life) return
          this.#disk.schedule(this.#disk.random.between(low, high), () => {
            if (life !== this.#life) return
            try {
              resolve(effect())
            } catch (error) {
              reject(error)
            }
          })
        }),
    )
    this.#last = turn.catch(() => {})
    return turn
  }
}
