/**
 * The file shim's calls on open files: what a node writes is noted with what was there before, and forgotten once it is synced, by the write
 * itself (O_DSYNC) or by a sync that was called after it had completed.
 *
 * A call that it cannot follow throws: a blind spot must be loud, or a lost write would look like a synced one.
 */
import fs from 'node:fs'
import { relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isWrite, type Naming, type Piece } from './changes.ts'
import type { Journal } from './journal.ts'
import type { ShimFaults } from './shim-faults.ts'

const { O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND, O_DSYNC } = fs.constants
/** As they were before the shim took their places. */
const real = { ...fs }

type Done = (error: Error | null, result?: unknown) => void

/** An open file of the data directory; or a directory, which has names to be synced. */
interface Descriptor {
  readonly inode: number
  readonly isSynced: boolean
  /** Of a directory, relative to the data directory. */
  readonly directory: string | undefined
}

export interface ShimParts {
  readonly dataDir: string
  readonly journal: Journal
  readonly faults: ShimFaults
}

/** Directories whose sync makes a change of names durable. */
function directoriesOf(naming: Naming): string[] {
  const paths = naming.kind === 'rename' ? [naming.from, naming.to] : [naming.path]
  return paths.map((path) => path.slice(0, Math.max(0, path.lastIndexOf(sep))))
}

export class Descriptors {
  readonly #parts: ShimParts
  readonly #open = new Map<number, Descriptor>()
  /** Changes that have been made, by number; those that are under way are not here. */
  readonly #made = new Set<number>()
  /** Directories that a made change of names still waits for. */
  readonly #awaited = new Map<number, Set<string>>()

  constructor(parts: ShimParts) {
    this.#parts = parts
    for (const id of parts.journal.changes.keys()) this.made(id)
  }

  /** The path relative to the data directory; undefined: it is elsewhere. The directory itself is ''. */
  inside(path: unknown): string | undefined {
    if (typeof path !== 'string' && !Buffer.isBuffer(path) && !(path instanceof URL)) return undefined
    const text = path instanceof URL ? fileURLToPath(path) : path.toString()
    const inner = relative(this.#parts.dataDir, resolve(text))
    return inner === '..' || inner.startsWith(`..${sep}`) ? undefined : inner
  }

  has(descriptor: unknown): boolean {
    return typeof descriptor === 'number' && this.#open.has(descriptor)
  }

  /** A change of names has been made, and waits for the syncs of its directories; a write, for that of its file. */
  made(id: number): void {
    const change = this.#parts.journal.changes.get(id)
    if (change === undefined) return
    this.#made.add(id)
    if (!isWrite(change)) this.#awaited.set(id, new Set(directoriesOf(change)))
  }

  open(inner: string, path: fs.PathLike, flags: unknown, mode: unknown, done: Done): void {
    const bits = typeof flags === 'number' ? flags : flags === 'r' || flags === undefined ? 0 : O_TRUNC
    if ((bits & (O_WRONLY | O_TRUNC | O_APPEND)) !== 0) {
      throw new Error(`the file shim follows files that are opened for reading and writing as they are: ${inner}`)
    }
    const { journal } = this.#parts
    const creates = (bits & O_CREAT) !== 0 && !real.existsSync(path)
    const id = creates ? journal.begin({ kind: 'create', path: inner }) : undefined
    real.open(path, bits, mode as fs.Mode, (error, descriptor) => {
      if (id !== undefined && error) journal.settle([id])
      if (error) return done(error)
      const stat = real.fstatSync(descriptor)
      // Files that cannot be written have nothing to be followed.
      if (stat.isDirectory() || (bits & O_RDWR) !== 0) {
        const directory = stat.isDirectory() ? inner : undefined
        this.#open.set(descriptor, { inode: stat.ino, isSynced: (bits & O_DSYNC) !== 0, directory })
      }
      if (id !== undefined) this.made(id)
      done(null, descriptor)
    })
  }

  close(descriptor: number, done: Done): void {
    this.#open.delete(descriptor)
    real.close(descriptor, done)
  }

  write(descriptor: number, buffers: readonly Uint8Array[], position: unknown, done: Done): void {
    if (typeof position !== 'number') throw new Error('the file shim follows writes that say where')
    const { journal, faults } = this.#parts
    const { inode, isSynced } = this.#open.get(descriptor)!
    const { size } = real.fstatSync(descriptor)
    const bytes = buffers.reduce((sum, buffer) => sum + buffer.length, 0)
    const end = position + bytes
    const failure = faults.beforeWrite(Math.max(0, end - size))
    if (failure !== undefined) {
      setImmediate(done, failure)
      return
    }
    const id = journal.begin({
      kind: 'write',
      inode,
      pieces: piecesOf(descriptor, position, end, size),
      sizeBefore: size,
    })
    const unsynced = isSynced ? faults.beforeSync() : undefined
    real.writev(descriptor, buffers as Uint8Array[], position, (error, written) => {
      // Of a failed write nobody knows how far it came: it is undone or not, as one that was not synced.
      if (error ?? unsynced) this.made(id)
      if (error) faults.refused()
      if (error) return done(error)
      if (unsynced !== undefined) return done(unsynced)
      const settled = () => {
        if (isSynced) journal.settle([id], { inode, from: position, to: position + written })
        else this.made(id)
        done(null, written)
      }
      if (isSynced) faults.afterSync(settled)
      else settled()
    })
  }

  sync(descriptor: number, call: 'fsync' | 'fdatasync', done: Done): void {
    const { faults } = this.#parts
    const { inode, directory } = this.#open.get(descriptor)!
    // Only what was complete when it was called: a write that overlaps it may have come too late.
    const { ids, named } = directory === undefined ? this.#writesOf(inode) : this.#namesIn(directory)
    const failure = faults.beforeSync()
    if (failure !== undefined) {
      setImmediate(done, failure)
      return
    }
    real[call](descriptor, (error) => {
      if (error) faults.refused()
      if (error) return done(error)
      faults.afterSync(() => {
        for (const id of named) this.#awaited.get(id)?.delete(directory!)
        this.#settle([...ids, ...named.filter((id) => this.#awaited.get(id)?.size === 0)])
        done(null)
      })
    })
  }

  #writesOf(inode: number): { ids: number[]; named: number[] } {
    const { changes } = this.#parts.journal
    const ids = [...this.#made].filter((id) => {
      const change = changes.get(id)
      return change !== undefined && isWrite(change) && change.inode === inode
    })
    return { ids, named: [] }
  }

  #namesIn(directory: string): { ids: number[]; named: number[] } {
    return { ids: [], named: [...this.#awaited].filter(([, awaited]) => awaited.has(directory)).map(([id]) => id) }
  }

  #settle(ids: readonly number[]): void {
    for (const id of ids) {
      this.#made.delete(id)
      this.#awaited.delete(id)
    }
    if (ids.length > 0) this.#parts.journal.settle(ids)
  }
}

/** What is there before a write: bytes, or zeros where there are none, which is most of a log's case. */
function piecesOf(descriptor: number, from: number, to: number, size: number): Piece[] {
  const end = Math.max(from, Math.min(to, size))
  const old = Buffer.allocUnsafe(end - from)
  let filled = 0
  while (filled < old.length) {
    const bytes = real.readSync(descriptor, old, filled, old.length - filled, from + filled)
    if (bytes === 0) break
    filled += bytes
  }
  const behind = { from: end, to, old: undefined }
  const before = { from, to: end, old: isZero(old) ? undefined : old }
  return [before, behind].filter((piece) => piece.from < piece.to)
}

function isZero(bytes: Buffer): boolean {
  return bytes.length === 0 || (bytes[0] === 0 && bytes.compare(bytes, 1, bytes.length, 0, bytes.length - 1) === 0)
}
