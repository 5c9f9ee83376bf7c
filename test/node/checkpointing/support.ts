/**
 * Two and more nodes' worth of checkpointing on stores in memory and a wire that can lose things; time moves by hand, turns of the event
 * loop are real.
 */
import { BodyFetcher } from '../../../node/checkpointing/body-fetcher.ts'
import { FetchClient } from '../../../node/checkpointing/fetch-client.ts'
import { InstallSource } from '../../../node/checkpointing/install-source.ts'
import type {
  CheckpointInfo,
  CheckpointStore,
  CheckpointWriter,
  HeldEntries,
  SnapshotMark,
} from '../../../node/checkpointing/ports.ts'
import {
  decodeFetchRequest,
  decodeFetchResponse,
  encodeFetchRequest,
  encodeFetchResponse,
  type FetchRequest,
  type FetchResponse,
} from '../../../node/peers/fetch-codec.ts'
import { DamagedCheckpointError } from '../../../node/storage/errors.ts'
import type { Clock, Entry } from '../../../raft/index.ts'

export class HandClock implements Clock {
  nowMs = 1_000
  #timers: { readonly atMs: number; readonly callback: () => void }[] = []

  now = () => this.nowMs
  defer = (callback: () => void) => void setImmediate(callback)
  setTimer = (ms: number, callback: () => void) => {
    const timer = { atMs: this.nowMs + ms, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  get timers(): number {
    return this.#timers.length
  }

  /** Lets time pass and everything that it sets off come to rest. */
  async advance(ms: number): Promise<void> {
    this.nowMs += ms
    const due = this.#timers.filter(({ atMs }) => atMs <= this.nowMs)
    this.#timers = this.#timers.filter((timer) => !due.includes(timer))
    for (const { callback } of due) callback()
    await rest()
  }
}

/** Many turns of the event loop: everything that needs no time is done then. */
export async function rest(): Promise<void> {
  for (let turn = 0; turn < 60; turn++) await new Promise((resolve) => setImmediate(resolve))
}

export const silent = { debug() {}, info() {}, warn() {}, error() {} }

export function markAt(index: number, term = 1): SnapshotMark {
  return { index, term, membership: { index: 1, term: 1, type: 2, data: new Uint8Array() } }
}

export function entryAt(index: number, bytes = 10): Entry {
  return { index, term: 1, type: 1, data: new Uint8Array(bytes).fill(index) }
}

/** Nothing is durable at once, and entries take longer than a checkpoint's switch: whoever does not wait for them is found out. */
async function diskTurns(count: number): Promise<void> {
  for (; count > 0; count--) await new Promise((resolve) => setImmediate(resolve))
}

/** One current checkpoint, and those that are pinned. `journal`: what became durable, in order. */
export class MemoryCheckpoints implements CheckpointStore {
  current: CheckpointInfo | undefined
  readonly held = new Map<number, Uint8Array[]>()
  readonly pins = new Map<number, number>()
  readonly abandoned: number[] = []
  /** Called before a commit takes effect. */
  onCommit = (_mark: SnapshotMark) => {}
  /** Bytes of this chunk are damaged. */
  rotten: number | undefined
  readonly #journal: string[]

  constructor(journal: string[] = []) {
    this.#journal = journal
  }

  begin(mark: SnapshotMark, origin: 'local' | 'installed'): CheckpointWriter {
    const chunks: Uint8Array[] = []
    return {
      put: async (chunk) => void chunks.push(Uint8Array.from(chunk)),
      commit: async () => {
        await diskTurns(1)
        this.onCommit(mark)
        const former = this.current?.mark.index
        const bytes = chunks.reduce((sum, { length }) => sum + length, 0)
        this.current = { mark, chunks: chunks.length, bytes, origin }
        this.held.set(mark.index, chunks)
        if (former !== undefined) this.#drop(former)
        this.#journal.push(`commit ${origin} ${mark.index}`)
        return this.current
      },
      abandon: async () => void this.abandoned.push(mark.index),
    }
  }

  async readChunk(mark: number, n: number): Promise<Uint8Array | undefined> {
    if (n === this.rotten) throw new DamagedCheckpointError('rotten')
    return this.held.get(mark)?.[n]
  }

  pin(mark: number): () => void {
    this.pins.set(mark, (this.pins.get(mark) ?? 0) + 1)
    return () => {
      this.pins.set(mark, this.pins.get(mark)! - 1)
      this.#drop(mark)
    }
  }

  #drop(mark: number): void {
    if (this.current?.mark.index !== mark && !this.pins.get(mark)) this.held.delete(mark)
  }
}

export class MemoryEntries implements HeldEntries {
  readonly kept = new Map<number, Entry>()
  /** In the log; what is above the committed index may be anything. */
  readonly log = new Map<number, Entry>()
  readonly #journal: string[]

  constructor(journal: string[] = []) {
    this.#journal = journal
  }

  async readHeld(from: number, bytesMax: number): Promise<Entry[]> {
    const all = [...this.log.values(), ...this.kept.values()].filter(({ index }) => index >= from)
    const read: Entry[] = []
    let bytes = 0
    for (const entry of all.sort((a, b) => a.index - b.index)) {
      if (read.length > 0 && bytes + entry.data.length > bytesMax) break
      read.push(entry)
      bytes += entry.data.length
    }
    return read
  }

  /** What the log durably knows as committed. */
  settled = 0

  async missing(references: Iterable<number>, committed = this.settled): Promise<number[]> {
    return [...references].filter((index) => !this.kept.has(index) && !(index <= committed && this.log.has(index)))
  }

  async keep(entries: readonly Entry[]): Promise<void> {
    await diskTurns(5)
    for (const entry of entries) this.kept.set(entry.index, { ...entry, data: Uint8Array.from(entry.data) })
    this.#journal.push(entries.length === 0 ? 'sync' : `keep ${entries.map(({ index }) => index).join(' ')}`)
  }
}

/** Carries questions and answers as bytes, one turn later; `cut` names whom nothing reaches and whom nothing leaves. */
export class Wire {
  readonly peers = new Map<string, { onRequest: (from: string, r: FetchRequest) => void; client: FetchClient }>()
  readonly cut = new Set<string>()
  readonly requests: { readonly from: string; readonly to: string; readonly request: FetchRequest }[] = []
  /** Answers for which this is true are lost. */
  loses: (response: FetchResponse) => boolean = () => false

  request(from: string, to: string, request: FetchRequest): boolean {
    this.requests.push({ from, to, request })
    if (this.cut.has(from) || this.cut.has(to)) return false
    const bytes = encodeFetchRequest(request)
    setImmediate(() => this.peers.get(to)?.onRequest(from, decodeFetchRequest(bytes)))
    return true
  }

  response(from: string, to: string, response: FetchResponse): void {
    if (this.cut.has(from) || this.cut.has(to) || this.loses(response)) return
    const bytes = Buffer.concat(encodeFetchResponse(response))
    setImmediate(() => this.peers.get(to)?.client.onResponse(from, decodeFetchResponse(bytes)))
  }
}

/** A node as far as fetching goes. */
export class Peer {
  readonly journal: string[] = []
  readonly checkpoints = new MemoryCheckpoints(this.journal)
  readonly entries = new MemoryEntries(this.journal)
  readonly fatal: unknown[] = []
  readonly damaged: Error[] = []
  references = new Set<number>()
  appliedIndex = 1_000
  readonly source: InstallSource
  readonly client: FetchClient
  readonly bodies: BodyFetcher

  constructor(id: string, wire: Wire, clock: Clock) {
    const basics = { clock, logger: silent, onFatal: (error: unknown) => void this.fatal.push(error) }
    this.client = new FetchClient({ clock, random: () => 0.5, send: (to, request) => wire.request(id, to, request) })
    this.bodies = new BodyFetcher({ client: this.client, keep: (entries) => this.entries.keep(entries) })
    this.source = new InstallSource({
      ...basics,
      checkpoints: this.checkpoints,
      entries: this.entries,
      references: () => this.references,
      appliedIndex: () => this.appliedIndex,
      send: (to, response) => wire.response(id, to, response),
      onDamaged: (error) => void this.damaged.push(error),
    })
    wire.peers.set(id, { onRequest: (from, request) => this.source.onRequest(from, request), client: this.client })
  }

  /** Gives this node a checkpoint whose chunks are these texts. */
  async hold(index: number, chunks: readonly string[], references: readonly number[] = []): Promise<void> {
    const writer = this.checkpoints.begin(markAt(index), 'local')
    for (const chunk of chunks) await writer.put(new TextEncoder().encode(chunk))
    await writer.commit()
    this.references = new Set(references)
  }
}
