/**
 * The file shim's calls on names: directories that are made, files that are renamed or removed. Each waits for the sync of its directory
 * (trap 25); what a rename or a removal takes away is kept in the journal's folder until then.
 */
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import type { Naming } from './changes.ts'
import type { Descriptors, ShimParts } from './shim-descriptors.ts'

/** As they were before the shim took their places. */
const real = { ...fs, promises: { ...fs.promises } }

export class Names {
  readonly #parts: ShimParts
  readonly #descriptors: Descriptors
  #lastKept = 0

  constructor(parts: ShimParts, descriptors: Descriptors) {
    this.#parts = parts
    this.#descriptors = descriptors
    for (const name of fs.readdirSync(parts.journal.folder)) {
      this.#lastKept = Math.max(this.#lastKept, Number(/^kept-(\d+)$/.exec(name)?.[1] ?? 0))
    }
  }

  async makeDirectory(path: string, options: fs.MakeDirectoryOptions | undefined): Promise<unknown> {
    const absolute = this.#absolute(path)
    const isNew = !fs.existsSync(absolute)
    if (isNew && !fs.existsSync(dirname(absolute))) throw new Error('the file shim follows directories made one by one')
    return this.#follow(isNew ? { kind: 'mkdir', path } : undefined, () => real.promises.mkdir(absolute, options))
  }

  async rename(from: string, to: string): Promise<void> {
    const inode = inodeOf(this.#absolute(from))
    const kept = this.#keep(to)
    const naming =
      inode === undefined ? undefined : ({ kind: 'rename', from, to, inode, ...(kept && { kept }) } as const)
    await this.#follow(naming, () => real.promises.rename(this.#absolute(from), this.#absolute(to)))
  }

  async remove(path: string, options?: fs.RmOptions): Promise<void> {
    if (options?.recursive || options?.force) throw new Error('the file shim follows files that are removed one by one')
    const bytes = fs.statSync(this.#absolute(path), { throwIfNoEntry: false })?.size ?? 0
    const kept = this.#keep(path)
    // What `rm` comes to for a file: it would call functions that have the shim in their places.
    const naming = kept === undefined ? undefined : ({ kind: 'remove', path, kept } as const)
    await this.#follow(naming, () => real.promises.unlink(this.#absolute(path)))
    this.#parts.faults.removed(bytes)
  }

  async #follow<T>(naming: Naming | undefined, change: () => Promise<T>): Promise<T> {
    const { journal } = this.#parts
    const id = naming && journal.begin(naming)
    try {
      const result = await change()
      if (id !== undefined) this.#descriptors.made(id)
      return result
    } catch (error) {
      if (id !== undefined) journal.settle([id])
      throw error
    }
  }

  /** A second name for the file, so that it outlives the first. */
  #keep(path: string): string | undefined {
    const absolute = this.#absolute(path)
    if (inodeOf(absolute) === undefined) return undefined
    const name = `kept-${++this.#lastKept}`
    const place = join(this.#parts.journal.folder, name)
    try {
      real.linkSync(absolute, place)
    } catch (error) {
      // The data directory may be a file system of its own.
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
      real.copyFileSync(absolute, place)
    }
    return name
  }

  #absolute(path: string): string {
    return join(this.#parts.dataDir, path)
  }
}

function inodeOf(path: string): number | undefined {
  return fs.statSync(path, { throwIfNoEntry: false })?.ino
}
