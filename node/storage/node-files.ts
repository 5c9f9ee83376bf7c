/**
 * The file port on the real file system.
 *
 * Descriptors are opened with O_DSYNC: a write returns when its data, and whatever metadata is needed to find them again, are
 * on the disk. One trip through the thread pool does what write and fdatasync need two for (docs/adr/0001 has the
 * measurements).
 */
import { close, constants, fstat, fsync, open, read, writev } from 'node:fs'
import { mkdir, readdir, rename, rm, statfs } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { File, Files } from './files.ts'

/** Read and write, with synced writes. A system without the flag (Windows) would write without syncing, so it is refused. */
function openFlags(create: boolean): number {
  const { O_RDWR, O_DSYNC, O_CREAT, O_EXCL } = constants
  if (O_DSYNC === undefined) throw new Error('this operating system has no O_DSYNC: writes could not be made durable')
  return O_RDWR | O_DSYNC | (create ? O_CREAT | O_EXCL : 0)
}

const openDescriptor = promisify(open)
const closeDescriptor = promisify(close)
const syncDescriptor = promisify(fsync)
const statDescriptor = promisify(fstat)

/** Resolves with the bytes written, which may be fewer than there are: the disk is full, or a signal came. */
function writeVector(descriptor: number, buffers: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    writev(descriptor, buffers as Uint8Array[], position, (error, written) =>
      error ? reject(error) : resolve(written),
    )
  })
}

function readInto(descriptor: number, buffer: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(descriptor, buffer, 0, buffer.length, position, (error, bytes) => (error ? reject(error) : resolve(bytes)))
  })
}

/** What is left of the buffers behind their first `written` bytes. */
function remainder(buffers: readonly Uint8Array[], written: number): Uint8Array[] {
  let skip = written
  const rest: Uint8Array[] = []
  for (const buffer of buffers) {
    if (skip < buffer.length) rest.push(skip === 0 ? buffer : buffer.subarray(skip))
    skip = Math.max(0, skip - buffer.length)
  }
  return rest
}

class NodeFile implements File {
  readonly #descriptor: number

  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  async writeDurable(buffers: readonly Uint8Array[], position: number): Promise<void> {
    let rest = buffers.filter((buffer) => buffer.length > 0)
    let at = position
    while (rest.length > 0) {
      const written = await writeVector(this.#descriptor, rest, at)
      if (written === 0) throw new Error(`wrote nothing at offset ${at}`)
      at += written
      rest = remainder(rest, written)
    }
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    let filled = 0
    while (filled < buffer.length) {
      const bytes = await readInto(this.#descriptor, buffer.subarray(filled), position + filled)
      if (bytes === 0) break
      filled += bytes
    }
    return filled
  }

  async size(): Promise<number> {
    return (await statDescriptor(this.#descriptor)).size
  }

  close(): Promise<void> {
    return closeDescriptor(this.#descriptor)
  }
}

export const nodeFiles: Files = {
  async open(path, options) {
    return new NodeFile(await openDescriptor(path, openFlags(options?.create === true), 0o640))
  },

  async list(directory) {
    // By code units: the same order on every machine.
    return (await readdir(directory)).sort()
  },

  async makeDirectory(path) {
    // Another node of the same service may have made a common parent meanwhile.
    await mkdir(path, { mode: 0o750 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  },

  rename,

  async remove(path) {
    await rm(path)
  },

  async syncDirectory(path) {
    const descriptor = await openDescriptor(path, constants.O_RDONLY)
    try {
      await syncDescriptor(descriptor)
    } finally {
      await closeDescriptor(descriptor)
    }
  },

  async freeBytes(path) {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  },
}
