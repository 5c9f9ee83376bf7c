/**
 * The file port in memory, with the failures of a disk: latency, crashes that tear, directory entries that vanish, a full disk,
 * writes that fail, bytes that rot.
 *
 * It keeps two promises of a real disk and no more. What a resolved `writeDurable` or `syncDirectory` made durable survives every
 * crash. Of everything else a crash may keep any part: each sector of a write under way is old, new, or torn in the middle; each
 * directory operation that was not synced happened or not.
 *
 * All times and all dice come from outside, so that one seed gives one history.
 */
import { basename, dirname } from 'node:path'
import type { File, Files } from '../../node/storage/files.ts'
import type { Random } from '../support/random.ts'

const SECTOR_BYTES = 512

export interface SimulatedDisk {
  /** Calls back after that many milliseconds of simulated time. */
  readonly schedule: (delayMs: number, callback: () => void) => void
  readonly random: Random
  /** How long one operation takes: evenly between the two, drawn for each. */
  readonly latencyMs?: readonly [low: number, high: number]
}

/** Operations that can be made to fail. */
export type Operation = 'write' | 'read' | 'open' | 'syncDirectory'

export interface DiskCounts {
  writes: number
  bytesWritten: number
  /** Bytes of writes under way that a crash did not keep. */
  bytesLost: number
  /** Directory operations that a crash undid. */
  entriesLost: number
  crashes: number
}

interface Content {
  /** Grows by doubling; `size` bytes count. */
  bytes: Uint8Array
  size: number
}

interface Write {
  readonly content: Content
  readonly data: Uint8Array
  readonly position: number
}

type EntryChange =
  | { readonly type: 'create'; readonly path: string; readonly content: Content }
  | { readonly type: 'rename'; readonly from: string; readonly to: string }
  | { readonly type: 'remove'; readonly path: string }

class SimulatedError extends Error {
  readonly code: string

  constructor(code: string, path: string) {
    super(`${code}: simulated, '${path}'`)
    this.code = code
  }
}

export class SimulatedFiles implements Files {
  /** What `freeBytes` tells; writes do not change it. */
  free = 1e12
  readonly counts: DiskCounts = { writes: 0, bytesWritten: 0, bytesLost: 0, entriesLost: 0, crashes: 0 }
  readonly #disk: SimulatedDisk
  readonly #directories = new Set<string>(['/'])
  /** What a running process sees, and what a crash would leave: they differ by `#unsynced`. */
  #visible = new Map<string, Content>()
  #durable = new Map<string, Content>()
  /** In order. */
  #unsynced: EntryChange[] = []
  readonly #underWay = new Set<Write>()
  /** Rises at a crash: whoever asked before it gets no answer any more. */
  #life = 0
  readonly #failures = new Map<Operation, string[]>()

  constructor(disk: SimulatedDisk) {
    this.#disk = disk
  }

  open(path: string, options?: { readonly create?: boolean }): Promise<File> {
    return this.#perform('open', path, () => {
      const existing = this.#visible.get(path)
      if (options?.create === true) return this.#handle(path, this.#create(path, existing))
      if (existing === undefined) throw new SimulatedError('ENOENT', path)
      return this.#handle(path, existing)
    })
  }

  list(directory: string): Promise<string[]> {
    return this.#perform(undefined, directory, () => {
      if (!this.#directories.has(directory)) throw new SimulatedError('ENOENT', directory)
      const entries = [...this.#visible.keys(), ...this.#directories].filter((path) => path !== '/')
      return entries.flatMap((path) => (dirname(path) === directory ? basename(path) : [])).sort()
    })
  }

  /** NB: directories are durable at once; only the entries of files are not. */
  makeDirectory(path: string): Promise<void> {
    return this.#perform(undefined, path, () => {
      if (this.#directories.has(path)) throw new SimulatedError('EEXIST', path)
      if (!this.#directories.has(dirname(path))) throw new SimulatedError('ENOENT', path)
      this.#directories.add(path)
    })
  }

  rename(from: string, to: string): Promise<void> {
    return this.#perform(undefined, from, () => this.#change({ type: 'rename', from, to }))
  }

  remove(path: string): Promise<void> {
    return this.#perform(undefined, path, () => this.#change({ type: 'remove', path }))
  }

  syncDirectory(path: string): Promise<void> {
    return this.#perform('syncDirectory', path, () => {
      const here = (change: EntryChange) => dirname(change.type === 'rename' ? change.to : change.path) === path
      for (const change of this.#unsynced.filter(here)) applyChange(this.#durable, change)
      this.#unsynced = this.#unsynced.filter((change) => !here(change))
    })
  }

  freeBytes(path: string): Promise<number> {
    return this.#perform(undefined, path, () => this.free)
  }

  /** The power goes: operations under way never answer, and the disk keeps of them what the dice say. */
  crash(): void {
    this.#life++
    this.counts.crashes++
    for (const write of this.#underWay) this.#tear(write)
    this.#underWay.clear()
    for (const change of this.#unsynced) {
      if (this.#disk.random.chance(0.5)) applyChange(this.#durable, change)
      else this.counts.entriesLost++
    }
    this.#unsynced = []
    this.#visible = new Map(this.#durable)
  }

  /** The next operation of this kind fails with the code, for example ENOSPC or EIO. A failing write may have written a part. */
  failNext(operation: Operation, code: string): void {
    const codes = this.#failures.get(operation) ?? []
    codes.push(code)
    this.#failures.set(operation, codes)
  }

  /** What was to fail works again. */
  forgetFailures(): void {
    this.#failures.clear()
  }

  /** Every file of a directory. */
  paths(directory: string): string[] {
    return [...this.#visible.keys()].filter((path) => dirname(path) === directory).sort()
  }

  /** The bytes of a file, to look at or to change: what changes is changed on the disk. */
  contents(path: string): Uint8Array {
    const content = this.#visible.get(path)
    if (content === undefined) throw new SimulatedError('ENOENT', path)
    return content.bytes.subarray(0, content.size)
  }

  /** Replaces or makes a file, durably and at once. */
  setContents(path: string, bytes: Uint8Array): void {
    const content = { bytes: Uint8Array.from(bytes), size: bytes.length }
    this.#visible.set(path, content)
    this.#durable.set(path, content)
  }

  /**
   * Synced bytes of the file change, as media do in the long run: one bit, or a run of sectors that reads as zeros or as something
   * else. Told: where. undefined when the file holds nothing but zeros, so that nothing is there to be lost. The last bytes that are
   * not zero never become so: that cannot be told from a write that never came.
   */
  rot(path: string): { readonly offset: number; readonly bytes: number } | undefined {
    const { random } = this.#disk
    const content = this.contents(path)
    const used = content.findLastIndex((byte) => byte !== 0) + 1
    if (used === 0) return undefined
    if (random.chance(0.5)) {
      const offset = random.below(used)
      content[offset] = (content[offset] as number) ^ (1 << random.below(8))
      return { offset, bytes: 1 }
    }
    const offset = Math.floor(random.below(used) / SECTOR_BYTES) * SECTOR_BYTES
    const bytes = Math.min(content.length - offset, SECTOR_BYTES * (1 + random.below(4)))
    const isZeros = offset + bytes < used && random.chance(0.5)
    for (let at = offset; at < offset + bytes; at++) content[at] = isZeros ? 0 : random.below(256)
    return { offset, bytes }
  }

  /** The file is gone for good, as after a repair of the file system. */
  lose(path: string): void {
    this.#visible.delete(path)
    this.#durable.delete(path)
  }

  #handle(path: string, content: Content): File {
    const life = this.#life
    return {
      writeDurable: (buffers, position) =>
        life === this.#life ? this.#write(path, content, buffers, position) : forever(),
      read: (buffer, position) =>
        life !== this.#life
          ? forever()
          : this.#perform('read', path, () => {
              const bytes = content.bytes
                .subarray(Math.min(position, content.size), content.size)
                .subarray(0, buffer.length)
              buffer.set(bytes)
              return bytes.length
            }),
      size: () => (life === this.#life ? this.#perform(undefined, path, () => content.size) : forever()),
      close: () => (life === this.#life ? this.#perform(undefined, path, () => {}) : forever()),
    }
  }

  #write(path: string, content: Content, buffers: readonly Uint8Array[], position: number): Promise<void> {
    // A copy at once: the caller keeps the buffers unchanged only until the promise is settled, and a crash comes later.
    const write: Write = { content, data: Buffer.concat(buffers), position }
    this.#underWay.add(write)
    const settle = (): void => {
      this.#underWay.delete(write)
      this.counts.writes++
      this.counts.bytesWritten += write.data.length
      store(content, write.data, position)
    }
    return this.#perform('write', path, settle, () => {
      this.#underWay.delete(write)
      this.#tear(write)
    })
  }

  /** What a write that never finished leaves behind. */
  #tear({ content, data, position }: Write): void {
    const { random } = this.#disk
    // Some crashes keep all or nothing, which sector-wise dice would hardly ever do.
    const odds = random.pick([0, 0.5, 0.9, 1])
    const end = position + data.length
    for (let at = position; at < end; ) {
      const sectorEnd = Math.min(end, (Math.floor(at / SECTOR_BYTES) + 1) * SECTOR_BYTES)
      const isTorn = random.chance(0.1)
      let kept = random.chance(odds) ? sectorEnd - at : 0
      if (isTorn && odds < 1) kept = random.below(sectorEnd - at + 1)
      if (kept > 0) store(content, data.subarray(at - position, at - position + kept), at)
      this.counts.bytesLost += sectorEnd - at - kept
      at = sectorEnd
    }
  }

  #create(path: string, existing: Content | undefined): Content {
    if (existing !== undefined) throw new SimulatedError('EEXIST', path)
    if (!this.#directories.has(dirname(path))) throw new SimulatedError('ENOENT', path)
    const content = { bytes: new Uint8Array(0), size: 0 }
    this.#change({ type: 'create', path, content })
    return content
  }

  #change(change: EntryChange): void {
    const source = change.type === 'rename' ? change.from : change.path
    if (change.type !== 'create' && !this.#visible.has(source)) throw new SimulatedError('ENOENT', source)
    applyChange(this.#visible, change)
    this.#unsynced.push(change)
  }

  /** Runs `effect` when the operation's time has come, unless the power went before. */
  #perform<T>(operation: Operation | undefined, path: string, effect: () => T, onFailure?: () => void): Promise<T> {
    const life = this.#life
    const [low, high] = this.#disk.latencyMs ?? [0.05, 0.5]
    return new Promise((resolve, reject) => {
      this.#disk.schedule(this.#disk.random.between(low, high), () => {
        if (life !== this.#life) return
        const failure = operation && this.#failures.get(operation)?.shift()
        if (failure !== undefined) {
          onFailure?.()
          reject(new SimulatedError(failure, path))
          return
        }
        try {
          resolve(effect())
        } catch (error) {
          reject(error)
        }
      })
    })
  }
}

function forever<T>(): Promise<T> {
  return new Promise(() => {})
}

function applyChange(entries: Map<string, Content>, change: EntryChange): void {
  if (change.type === 'create') entries.set(change.path, change.content)
  else if (change.type === 'remove') entries.delete(change.path)
  else {
    const content = entries.get(change.from)
    // The creation that this renames may have been lost.
    if (content === undefined) return
    entries.delete(change.from)
    entries.set(change.to, content)
  }
}

function store(content: Content, data: Uint8Array, position: number): void {
  const end = position + data.length
  if (end > content.bytes.length) {
    const larger = new Uint8Array(Math.max(end, content.bytes.length * 2))
    larger.set(content.bytes.subarray(0, content.size))
    content.bytes = larger
  }
  content.bytes.set(data, position)
  content.size = Math.max(content.size, end)
}
