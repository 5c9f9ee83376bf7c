/**
 * The undo journal of a node's files: what is not synced yet, in a file beside the data directory. It is written before the change that it
 * undoes, and needs no sync of its own: SIGKILL leaves the page cache, and the power that the harness takes away is the node's alone.
 *
 *     record   u32 checksum of the rest | u32 bytes of the head | u32 bytes of data | head (JSON) | data (old bytes of a write's pieces)
 *
 * The node's next life goes on with it: what a process wrote without a sync stays unsynced when it dies.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Change, isWrite, keptOf, type Naming, type Piece, type Range, without } from './changes.ts'

const NAME = 'undo'
const HEAD_AT = 12
/** Beyond this, and twice what was left of it the last time, the journal is written anew. */
const REWRITE_BYTES = 16 * 1024 * 1024

/** A piece in a head: its range, and whether its old bytes are in the data (else they are zeros). */
type PlacedPiece = readonly [from: number, to: number, hasBytes: boolean]

type Head =
  | {
      readonly kind: 'write'
      readonly id: number
      readonly inode: number
      readonly size: number
      readonly pieces: readonly PlacedPiece[]
    }
  | { readonly kind: 'naming'; readonly id: number; readonly naming: Naming }
  | { readonly kind: 'settled'; readonly ids: readonly number[]; readonly range?: Range }

export class Journal {
  readonly folder: string
  readonly #changes = new Map<number, Change>()
  #descriptor: number
  #bytes = 0
  #rewriteAt = REWRITE_BYTES
  #lastId = 0

  /** Opens what is there, or begins an empty one; makes the folder. What follows a record that a kill cut short was never begun. */
  constructor(folder: string) {
    this.folder = folder
    mkdirSync(folder, { recursive: true })
    this.#descriptor = openSync(join(folder, NAME), 'a+')
    for (const { head, data } of recordsOf(readFileSync(join(folder, NAME)))) this.#replay(head, data)
    this.#rewrite()
  }

  /** What is not known to be on the disk, in the order in which it was begun. */
  get changes(): ReadonlyMap<number, Change> {
    return this.#changes
  }

  /** Notes a change that is about to be made. */
  begin(change: Change): number {
    const id = ++this.#lastId
    this.#changes.set(id, change)
    this.#append(...encode(id, change))
    return id
  }

  /** These are on the disk, or were never made; and with them this range of a file, whoever wrote it. */
  settle(ids: readonly number[], range?: Range): void {
    const head = { kind: 'settled', ids, ...(range && { range }) } as const
    const dropped = this.#settle(ids, range)
    if (this.#changes.size === 0 && this.#bytes > 0) this.#empty()
    else this.#append(head, [])
    // Only now: until the journal says that they are settled they may be wanted back.
    for (const name of dropped) rmSync(join(this.folder, name), { force: true })
    if (this.#bytes > this.#rewriteAt) this.#rewrite()
  }

  /** All of it is settled. */
  clear(): void {
    this.settle([...this.#changes.keys()])
  }

  close(): void {
    closeSync(this.#descriptor)
  }

  #replay(head: Head, data: Buffer): void {
    if (head.kind === 'settled') {
      this.#settle(head.ids, head.range)
      return
    }
    this.#changes.set(
      head.id,
      head.kind === 'naming' ? head.naming : { ...head, pieces: placed(head.pieces, data), sizeBefore: head.size },
    )
    this.#lastId = Math.max(this.#lastId, head.id)
  }

  /** Gives the names of kept files that nobody needs any more. */
  #settle(ids: readonly number[], range: Range | undefined): string[] {
    const dropped: string[] = []
    for (const id of ids) {
      const change = this.#changes.get(id)
      const kept = change && keptOf(change)
      this.#changes.delete(id)
      if (kept !== undefined) dropped.push(kept)
    }
    if (range === undefined) return dropped
    for (const [id, write] of this.#changes) {
      if (!isWrite(write)) continue
      const rest = without(write, range)
      if (rest === undefined) this.#changes.delete(id)
      else if (rest !== write) this.#changes.set(id, rest)
    }
    return dropped
  }

  #append(head: Head, data: readonly Uint8Array[]): void {
    const record = toRecord(head, data)
    for (let done = 0; done < record.length; ) done += writeSync(this.#descriptor, record, done)
    this.#bytes += record.length
  }

  #empty(): void {
    ftruncateSync(this.#descriptor)
    this.#bytes = 0
  }

  /** In a new file that takes the old one's place, so that a kill leaves one of the two. */
  #rewrite(): void {
    const path = join(this.folder, NAME)
    const former = this.#descriptor
    this.#descriptor = openSync(`${path}.new`, 'w')
    this.#bytes = 0
    for (const [id, change] of this.#changes) this.#append(...encode(id, change))
    this.#rewriteAt = Math.max(REWRITE_BYTES, 2 * this.#bytes)
    renameSync(`${path}.new`, path)
    closeSync(former)
    // Appends go to the end also after it was emptied.
    const descriptor = openSync(path, 'a')
    closeSync(this.#descriptor)
    this.#descriptor = descriptor
  }
}

function encode(id: number, change: Change): [Head, Uint8Array[]] {
  if (!isWrite(change)) return [{ kind: 'naming', id, naming: change }, []]
  const { inode, sizeBefore: size } = change
  const pieces = change.pieces.map(({ from, to, old }) => [from, to, old !== undefined] as const)
  return [{ kind: 'write', id, inode, size, pieces }, change.pieces.flatMap(({ old }) => old ?? [])]
}

function placed(pieces: readonly PlacedPiece[], data: Buffer): Piece[] {
  let at = 0
  return pieces.map(([from, to, hasBytes]) => {
    if (!hasBytes) return { from, to, old: undefined }
    const old = data.subarray(at, at + to - from)
    at += old.length
    return { from, to, old }
  })
}

function toRecord(head: Head, data: readonly Uint8Array[]): Buffer {
  const text = Buffer.from(JSON.stringify(head))
  const record = Buffer.concat([Buffer.alloc(HEAD_AT), text, ...data])
  record.writeUInt32LE(text.length, 4)
  record.writeUInt32LE(record.length - HEAD_AT - text.length, 8)
  record.writeUInt32LE(crc32(record.subarray(4)), 0)
  return record
}

function* recordsOf(bytes: Buffer): Generator<{ head: Head; data: Buffer }> {
  for (let at = 0; at + HEAD_AT <= bytes.length; ) {
    const dataAt = at + HEAD_AT + bytes.readUInt32LE(at + 4)
    const end = dataAt + bytes.readUInt32LE(at + 8)
    if (end > bytes.length || crc32(bytes.subarray(at + 4, end)) !== bytes.readUInt32LE(at)) return
    yield { head: JSON.parse(bytes.toString('utf8', at + HEAD_AT, dataAt)) as Head, data: bytes.subarray(dataAt, end) }
    at = end
  }
}
