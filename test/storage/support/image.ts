/**
 * A small log as it lies on the disk, with the places of its batches: material that the recovery tests cut and flip.
 */
import { join } from 'node:path'
import type { File, Files } from '../../../node/storage/files.ts'
import { segmentName } from '../../../node/storage/segment.ts'
import { type Entry, EntryType } from '../../../raft/index.ts'
import { directory, group, World } from './world.ts'

export interface BatchPlace {
  readonly segment: number
  readonly start: number
  readonly end: number
  /** Entries that the log holds up to and including this batch. */
  readonly entries: number
}

export interface Image {
  readonly files: ReadonlyMap<string, Uint8Array>
  /** In the order of writing; the first is the marker of the first opening. */
  readonly batches: readonly BatchPlace[]
}

export const segmentBytes = 5120

export function segmentPath(sequence: number): string {
  return join(directory, segmentName(sequence))
}

/** Every third is longer than a sector. */
export function textOf(index: number): string {
  return `entry ${index} ${'-'.repeat(index % 3 === 0 ? 600 : index)}`
}

export function imageEntry(index: number): Entry {
  return { index, term: 1 + Math.floor(index / 4), type: EntryType.command, data: Buffer.from(textOf(index)) }
}

/** Writes one entry a batch, then a marker if wanted, and takes the files as they are. */
export async function makeImage(entries: number, marked: boolean): Promise<Image> {
  const world = new World()
  const writes: { path: string; position: number; bytes: number }[] = []
  const files = recording(world.files, (write) => writes.push(write))
  const wal = await world.open({ files, segmentBytes, idleMarkerMs: 1_000 })
  const log = wal.group(group)
  for (let index = 1; index <= entries; index++) {
    const vote = `n${index}`
    const hardState = { term: imageEntry(index).term, vote, commit: index - 1 }
    await world.settle(log.append({ hardState, entries: [imageEntry(index)] }))
  }
  // Long enough for the next segment to be made ready, and its successor's file.
  await world.pass(marked ? 3_000 : 100)
  const batches = writes.map(({ path, position, bytes }, i) => {
    // The header of a segment comes with its first batch.
    const start = position === 0 ? 512 : position
    return { segment: segmentOf(path), start, end: position + bytes, entries: Math.min(i, entries) }
  })
  const names = await world.settle(world.files.list(directory))
  const paths = names.map((name) => join(directory, name))
  return { files: new Map(paths.map((path) => [path, Uint8Array.from(world.files.contents(path))])), batches }
}

/** A disk that holds the image, after `damage` was done to it. */
export async function worldWith(image: Image, damage: (world: World) => void): Promise<World> {
  const world = new World()
  await world.settle(world.files.makeDirectory('/data'))
  await world.settle(world.files.makeDirectory(directory))
  for (const [path, bytes] of image.files) world.files.setContents(path, bytes)
  damage(world)
  return world
}

function segmentOf(path: string): number {
  return Number(path.slice(path.lastIndexOf('/') + 1, -'.wal'.length))
}

/** Tells every write that is more than zeros written ahead. */
function recording(files: Files, onWrite: (write: { path: string; position: number; bytes: number }) => void): Files {
  const wrap = (path: string, file: File): File => ({
    ...file,
    async writeDurable(buffers, position) {
      await file.writeDurable(buffers, position)
      const bytes = buffers.reduce((sum, buffer) => sum + buffer.length, 0)
      if (buffers.some((buffer) => buffer.some((byte) => byte !== 0))) onWrite({ path, position, bytes })
    },
  })
  return {
    open: async (path, options) => wrap(path, await files.open(path, options)),
    list: (path) => files.list(path),
    makeDirectory: (path) => files.makeDirectory(path),
    rename: (from, to) => files.rename(from, to),
    remove: (path) => files.remove(path),
    syncDirectory: (path) => files.syncDirectory(path),
    freeBytes: (path) => files.freeBytes(path),
  }
}
