/**
 * Changes of a node's files that may not be on the disk yet, each with what it takes to undo it. The shim notes one before it makes it and
 * forgets it when it is synced; what is left when the power goes is rolled back by dice.
 *
 * Contents belong to inodes, names to directories, as in a file system: a file that is renamed keeps its unsynced contents.
 */

/** Bytes `from` up to `to` (exclusive) as they were; without `old` they were zeros, or behind the end of the file. */
export interface Piece {
  readonly from: number
  readonly to: number
  readonly old: Uint8Array | undefined
}

export interface Write {
  readonly kind: 'write'
  readonly inode: number
  /** What of it is not known to be on the disk: rising, without overlaps. */
  readonly pieces: readonly Piece[]
  /** The file's size is not known to be durable beyond this. */
  readonly sizeBefore: number
}

/** Paths are relative to the data directory; `kept` is a file in the journal's folder that holds what the change took away. */
export type Naming =
  | { readonly kind: 'create'; readonly path: string }
  | { readonly kind: 'mkdir'; readonly path: string }
  | {
      readonly kind: 'rename'
      readonly from: string
      readonly to: string
      readonly inode: number
      readonly kept?: string
    }
  | { readonly kind: 'remove'; readonly path: string; readonly kept: string }

export type Change = Write | Naming

/** A part of a file that is on the disk now. */
export interface Range {
  readonly inode: number
  readonly from: number
  readonly to: number
}

export function isWrite(change: Change): change is Write {
  return change.kind === 'write'
}

export function keptOf(change: Change): string | undefined {
  return change.kind === 'rename' || change.kind === 'remove' ? change.kept : undefined
}

/** What is left of a write to undo when a later one that covers a part of it is durable; undefined: nothing. */
export function without(write: Write, range: Range): Write | undefined {
  if (write.inode !== range.inode) return write
  const pieces = write.pieces.flatMap((piece) => [
    ...cut(piece, piece.from, Math.min(piece.to, range.from)),
    ...cut(piece, Math.max(piece.from, range.to), piece.to),
  ])
  return pieces.length === 0 ? undefined : { ...write, pieces, sizeBefore: Math.max(write.sizeBefore, range.to) }
}

function cut({ from, old }: Piece, newFrom: number, newTo: number): Piece[] {
  if (newFrom >= newTo) return []
  return [{ from: newFrom, to: newTo, old: old?.subarray(newFrom - from, newTo - from) }]
}
