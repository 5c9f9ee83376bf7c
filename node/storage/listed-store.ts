/**
 * A store that misses what vanishes. LevelDB may lose a key to rot without a word, or show an older value of it; then a doubt that was
 * forgotten would look like a doubt that never was. So one more value, the table of contents, says which of the others there are and
 * what they sum up to; each change of one of them writes it in the same atomic batch.
 *
 * Listed are the keys without a slash: identity, doubt, manifest, the checkpoint's record. The record says how many chunks there are.
 *
 * Where the table itself is gone or rotten, what is there counts, and what is not there counts as damaged, since nobody can tell
 * whether it ever was.
 */
import { crc32 } from 'node:zlib'
import { DamagedValueError, type Store, type StoreChange } from './store.ts'
import { readRecord, recordPut } from './store-record.ts'

const KEY = 'contents'
const FORMAT = 1

interface Contents {
  /** Checksum of each value. */
  readonly values: Readonly<Record<string, number>>
}

export class ListedStore implements Store {
  readonly #store: Store
  /** Checksum of each listed value, the writes under way included; undefined: known to be absent. */
  readonly #sums: Map<string, number | undefined>
  /** What is not in `#sums` is absent, and not lost. */
  readonly #isComplete: boolean

  private constructor(store: Store, sums: ReadonlyMap<string, number>, isComplete: boolean) {
    this.#store = store
    this.#sums = new Map(sums)
    this.#isComplete = isComplete
  }

  /** Takes the store over: from now on it must be used through this one alone. */
  static async open(store: Store): Promise<ListedStore> {
    const contents = await readContents(store)
    if (contents !== undefined) return new ListedStore(store, new Map(Object.entries(contents.values)), true)
    const keys = await store.keys('')
    return new ListedStore(store, await sumsOf(store, keys.filter(isListed)), keys.length === 0)
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    if (!isListed(key)) return this.#store.get(key)
    // As the writes that were begun before this call leave it, which is what it will read.
    const isKnown = this.#isComplete || this.#sums.has(key)
    const sum = this.#sums.get(key)
    const value = await this.#store.get(key)
    if (isKnown && sum === (value && crc32(value))) return value
    throw new DamagedValueError(key, 'the store (it is not what the table of contents says)')
  }

  keys(prefix: string): Promise<string[]> {
    return this.#store.keys(prefix)
  }

  write({ puts = [], deletes = [] }: StoreChange): Promise<void> {
    const listed = [...puts.map(([key]) => key), ...deletes].some(isListed)
    if (!listed) return this.#store.write({ puts, deletes })
    for (const [key, value] of puts) if (isListed(key)) this.#sums.set(key, crc32(value))
    for (const key of deletes) if (isListed(key)) this.#sums.set(key, undefined)
    const values = Object.fromEntries([...this.#sums].filter(([, sum]) => sum !== undefined))
    return this.#store.write({ puts: [...puts, recordPut(KEY, FORMAT, { values })], deletes })
  }

  close(): Promise<void> {
    return this.#store.close()
  }
}

function isListed(key: string): boolean {
  return !key.includes('/') && key !== KEY
}

/** undefined: there is none that can be read. */
async function readContents(store: Store): Promise<Contents | undefined> {
  try {
    return await readRecord<Contents>(store, KEY, FORMAT)
  } catch (error) {
    if (error instanceof DamagedValueError) return undefined
    throw error
  }
}

async function sumsOf(store: Store, keys: readonly string[]): Promise<Map<string, number>> {
  const sums = new Map<string, number>()
  for (const key of keys) {
    try {
      const value = await store.get(key)
      if (value !== undefined) sums.set(key, crc32(value))
    } catch (error) {
      // Whoever asks for it hears so.
      if (!(error instanceof DamagedValueError)) throw error
    }
  }
  return sums
}
