/**
 * The checkpoints of a node's machine: one is in force, the next is written beside it, chunk by chunk, and takes its place in one
 * synced change of the store, which also deletes the former one's chunks. So there is the old one or the new one, whole, at
 * every moment.
 *
 *     checkpoint                          the record of the one in force
 *     chunk/<generation>/<number>         the chunks; a generation is one attempt to write a checkpoint; none has chunks of two
 *
 * A checkpoint that is being sent to a peer is pinned, and outlives its successor until it is released (trap 28).
 *
 * Never: what is in a chunk, when to make one, a checkpoint ahead of the log (the caller's).
 */
import { type Clock, EntryType, type LogIndex, type SnapshotMark } from '../../raft/index.ts'
import { DamagedCheckpointError } from './errors.ts'
import { DamagedValueError, type Store } from './store.ts'
import { readRecord, recordPut } from './store-record.ts'

const KEY = 'checkpoint'
const FORMAT = 1
const CHUNK_PREFIX = 'chunk/'
/** Least pause behind a chunk's write, milliseconds: a checkpoint leaves the disk to the log most of the time. */
const PAUSE_MS = 2

/** Who made it: this node's machine, or the leader's, which was installed here. */
export type CheckpointOrigin = 'local' | 'installed'

export interface CheckpointInfo {
  readonly mark: SnapshotMark
  readonly chunks: number
  readonly bytes: number
  readonly origin: CheckpointOrigin
}

type PaceClock = Pick<Clock, 'now' | 'setTimer'>

/** Its calls must not overlap. */
export interface CheckpointWriter {
  /** Durable when it resolves; after a pause, so that the log's writes come through. At most 256 KiB. */
  put(chunk: Uint8Array): Promise<void>
  /**
   * Puts it in force. Resolves with the checkpoint that is in force then, durably: one at the same index or a newer one, if that
   * came first, and this one is abandoned. A damaged one is replaced at its own index, too.
   */
  commit(): Promise<CheckpointInfo>
  /** Deletes what was put. Without effect after a commit. */
  abandon(): Promise<void>
}

/** How the record lies in the store. */
interface CheckpointRecord {
  readonly index: LogIndex
  readonly term: number
  readonly membership: { readonly index: LogIndex; readonly term: number; readonly data: string }
  readonly chunks: number
  readonly bytes: number
  readonly origin: CheckpointOrigin
  readonly generation: number
}

interface Held {
  readonly info: CheckpointInfo
  readonly generation: number
  pins: number
}

export class Checkpoints {
  readonly #store: Store
  readonly #clock: PaceClock | undefined
  #current: Held | undefined
  #damaged = false
  /** Superseded, but pinned; by the index of the mark. */
  readonly #pinned = new Map<LogIndex, Held>()
  /** Keys of a damaged checkpoint, to be deleted when another one takes its place. */
  #remains: readonly string[] = []
  #generation = 0
  #writtenBytes = 0

  private constructor(store: Store, clock: PaceClock | undefined) {
    this.#store = store
    this.#clock = clock
  }

  /**
   * Reads the checkpoint in force and checks every chunk of it, then deletes what unfinished writers left. Without a clock nothing
   * is paced.
   */
  static async open(store: Store, clock?: PaceClock): Promise<Checkpoints> {
    const checkpoints = new Checkpoints(store, clock)
    await checkpoints.#recover()
    return checkpoints
  }

  get current(): CheckpointInfo | undefined {
    return this.#current?.info
  }

  /** There is, or was at the start, a checkpoint that cannot be read. Until another one takes its place. */
  get damaged(): boolean {
    return this.#damaged
  }

  /** Of chunks, since this object was opened. */
  get writtenBytes(): number {
    return this.#writtenBytes
  }

  begin(mark: SnapshotMark, origin: CheckpointOrigin): CheckpointWriter {
    const generation = ++this.#generation
    let chunks = 0
    let bytes = 0
    let isOpen = true
    const remove = (): Promise<void> => this.#store.write({ deletes: chunkKeys(generation, chunks) })
    return {
      put: async (chunk) => {
        const startedAt = this.#clock?.now() ?? 0
        await this.#store.write({ puts: [[chunkKey(generation, chunks), chunk]] })
        chunks++
        bytes += chunk.length
        this.#writtenBytes += chunk.length
        await this.#pauseSince(startedAt)
      },
      commit: async () => {
        isOpen = false
        const { current } = this
        if (current !== undefined && current.mark.index >= mark.index + (this.#damaged ? 1 : 0)) {
          // Behind the change that puts the newer one in force: that is durable then, too.
          await remove()
          return current
        }
        const info = { mark, chunks, bytes, origin }
        await this.#switch({ info, generation, pins: 0 })
        return info
      },
      abandon: async () => {
        if (isOpen) await remove()
        isOpen = false
      },
    }
  }

  /**
   * Chunk `n`, from 0, of the checkpoint at that index; undefined when there is no such checkpoint (any more), or no such chunk.
   * Throws DamagedCheckpointError.
   */
  async readChunk(index: LogIndex, n: number): Promise<Uint8Array | undefined> {
    const held = this.#find(index)
    if (held === undefined || n >= held.info.chunks) return undefined
    try {
      const chunk = await this.#store.get(chunkKey(held.generation, n))
      if (chunk !== undefined) return chunk
      // It may have been superseded while it was read.
      if (this.#find(index) !== held) return undefined
    } catch (error) {
      if (!(error instanceof DamagedValueError)) throw error
    }
    if (held === this.#current) this.#damaged = true
    throw new DamagedCheckpointError(`chunk ${n} of the checkpoint at ${index} is damaged`)
  }

  /** Keeps the checkpoint at that index, which must be there, readable until the returned function is called. */
  pin(index: LogIndex): () => void {
    const held = this.#find(index)
    if (held === undefined) throw new RangeError(`there is no checkpoint at ${index}`)
    held.pins++
    let isPinned = true
    return () => {
      if (!isPinned) return
      isPinned = false
      held.pins--
      if (held.pins > 0 || this.#pinned.get(index) !== held) return
      this.#pinned.delete(index)
      // If this fails, the disk did: the store tells it to whoever must stop the node.
      this.#store.write({ deletes: chunkKeys(held.generation, held.info.chunks) }).catch(() => {})
    }
  }

  async #recover(): Promise<void> {
    const keys = await this.#store.keys(CHUNK_PREFIX)
    for (const key of keys) this.#generation = Math.max(this.#generation, generationOf(key))
    try {
      const record = await readRecord<CheckpointRecord>(this.#store, KEY, FORMAT)
      const held = record && toHeld(record)
      if (held !== undefined) await this.#check(held)
      this.#current = held
    } catch (error) {
      if (!(error instanceof DamagedValueError || error instanceof DamagedCheckpointError)) throw error
      this.#damaged = true
      // Nothing is deleted on the word of a damaged record (trap 30).
      this.#remains = keys
      return
    }
    const leftovers = keys.filter((key) => generationOf(key) !== this.#current?.generation)
    if (leftovers.length > 0) await this.#store.write({ deletes: leftovers })
  }

  /** Each chunk vouches for itself; the record says how many there are, and how long they are together. */
  async #check({ info, generation }: Held): Promise<void> {
    let bytes = 0
    for (let n = 0; n < info.chunks; n++) {
      const chunk = await this.#store.get(chunkKey(generation, n))
      if (chunk === undefined) throw new DamagedCheckpointError(`chunk ${n} of the checkpoint is gone`)
      bytes += chunk.length
    }
    if (bytes !== info.bytes) throw new DamagedCheckpointError('the checkpoint is not as long as it was')
  }

  /**
   * In memory at once, so that nobody begins to read what is about to go. Until the store has it too, a reader of the new one
   * reads what is durable already, its chunks.
   */
  async #switch(next: Held): Promise<void> {
    const former = this.#current
    let garbage = this.#remains
    this.#current = next
    this.#damaged = false
    this.#remains = []
    // At the same index only a damaged one is replaced, and who has it pinned reads on in the one that takes its place.
    const isPinned = former !== undefined && former.pins > 0 && former.info.mark.index < next.info.mark.index
    if (isPinned) this.#pinned.set(former.info.mark.index, former)
    else if (former !== undefined) garbage = [...garbage, ...chunkKeys(former.generation, former.info.chunks)]
    await this.#store.write({ puts: [toPut(next)], deletes: garbage })
  }

  #find(index: LogIndex): Held | undefined {
    return this.#current?.info.mark.index === index ? this.#current : this.#pinned.get(index)
  }

  /** As long as the write took, too: on a slow disk a checkpoint takes half of it at most. */
  #pauseSince(startedAt: number): Promise<void> {
    const clock = this.#clock
    if (clock === undefined) return Promise.resolve()
    const ms = Math.max(PAUSE_MS, clock.now() - startedAt)
    return new Promise((resolve) => void clock.setTimer(ms, resolve))
  }
}

function chunkKey(generation: number, n: number): string {
  return `${CHUNK_PREFIX}${String(generation).padStart(12, '0')}/${String(n).padStart(8, '0')}`
}

function chunkKeys(generation: number, chunks: number): string[] {
  return Array.from({ length: chunks }, (_, n) => chunkKey(generation, n))
}

function generationOf(key: string): number {
  return Number(key.slice(CHUNK_PREFIX.length, key.lastIndexOf('/')))
}

function toPut({ info, generation }: Held): readonly [string, Uint8Array] {
  const { mark, chunks, bytes, origin } = info
  const { index, term } = mark
  const data = Buffer.from(mark.membership.data).toString('base64')
  const membership = { index: mark.membership.index, term: mark.membership.term, data }
  const record: CheckpointRecord = { index, term, membership, chunks, bytes, origin, generation }
  return recordPut(KEY, FORMAT, record)
}

function toHeld(record: CheckpointRecord): Held {
  const { index, term, chunks, bytes, origin, generation } = record
  const data = Uint8Array.from(Buffer.from(record.membership.data, 'base64'))
  const membership = { ...record.membership, type: EntryType.membership, data }
  return { info: { mark: { index, term, membership }, chunks, bytes, origin }, generation, pins: 0 }
}
