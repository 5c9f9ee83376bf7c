/**
 * The history on disk, a line of JSON for each event, written as it happens: a runner that dies leaves what it saw. What it writes is on its
 * way to the kernel at once; no sync waits for the disk, since it is the runner that may die here, not the machine.
 */
import { createWriteStream, type WriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import type { Event } from '../history.ts'

export class HistoryFile {
  readonly #stream: WriteStream
  readonly #finished: Promise<void>

  /** Replaces the file. */
  constructor(file: string) {
    this.#stream = createWriteStream(file)
    this.#finished = finished(this.#stream)
    // `end` tells it.
    this.#finished.catch(() => {})
  }

  add(event: Event): void {
    this.#stream.write(`${JSON.stringify(event)}\n`)
  }

  /** Resolves when all of it is written. Rejects with the first error of the file system. */
  end(): Promise<void> {
    this.#stream.end()
    return this.#finished
  }
}
