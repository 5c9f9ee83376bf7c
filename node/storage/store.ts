/**
 * The store port: a small ordered map from keys to values, for what a node replaces whole: its identity, the mark of a doubt, the
 * manifest of its log's segments, its checkpoints. Production puts a `level` store behind it (level-store.ts); tests and the simulator
 * put one behind it that crashes, rots and vanishes.
 *
 * Never: the log. What must be written often, or found damaged bit by bit, lives there (trap 24).
 */

/** A value of the store is not what was written. It stays there until it is overwritten or deleted. */
export class DamagedValueError extends Error {
  override readonly name = 'DamagedValueError'
  readonly key: string

  constructor(key: string, where: string) {
    super(`the value of '${key}' in ${where} is damaged`)
    this.key = key
  }
}

export interface StoreChange {
  /** No key twice, neither here nor among the deletes. */
  readonly puts?: readonly (readonly [key: string, value: Uint8Array])[]
  /** Keys that need not be there. */
  readonly deletes?: readonly string[]
}

/**
 * Every promise rejects with StorageFailedError when the disk failed, after which the node must stop (trap 21).
 */
export interface Store {
  /** undefined: there is none. Rejects with DamagedValueError when it is not what was written. */
  get(key: string): Promise<Uint8Array | undefined>
  /** Those that begin with the prefix, rising by code units. A damaged value's key is among them. */
  keys(prefix: string): Promise<string[]>
  /** All of it or nothing, durable when it resolves. Changes are made in the order of the calls. */
  write(change: StoreChange): Promise<void>
  /** Waits for the writes under way, then lets another process in. Idempotent. */
  close(): Promise<void>
}
