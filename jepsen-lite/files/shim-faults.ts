/**
 * What the file shim does to the node's disk when it is told to: makes it slow, lets writes or syncs fail, runs out of space. Counts what
 * it did, so that a run can tell whether a fault bit.
 *
 * Never: which calls there are (shim-descriptors.ts and shim-names.ts ask here).
 */
import type { ShimCommand } from '../nemesis.ts'

/** Figures of what was done since the last command. */
export type Bites = Record<'slowSyncs' | 'failedWrites' | 'failedSyncs' | 'writesWithoutRoom' | 'spaceDenied', number>

const none: Bites = { slowSyncs: 0, failedWrites: 0, failedSyncs: 0, writesWithoutRoom: 0, spaceDenied: 0 }

export class ShimFaults {
  #command: ShimCommand = { type: 'clear' }
  #bites = { ...none }
  #room = Number.POSITIVE_INFINITY

  /** Gives what was done since the last one. */
  take(command: ShimCommand): Bites {
    const bites = this.#bites
    this.#bites = { ...none }
    this.#command = command
    this.#room = command.type === 'full' ? command.roomBytes : Number.POSITIVE_INFINITY
    return bites
  }

  /** A write of so many bytes that makes its file so much longer: the error with which it fails, having written nothing. */
  beforeWrite(growth: number): NodeJS.ErrnoException | undefined {
    if (this.#fails('write')) {
      this.#bites.failedWrites++
      return failure('EIO', 'write')
    }
    if (growth > this.#room) {
      this.#bites.writesWithoutRoom++
      return failure('ENOSPC', 'write')
    }
    this.#room -= growth
    return undefined
  }

  /** A sync, or a write that is synced: the error with which it fails; what it should have synced may be anywhere. */
  beforeSync(): NodeJS.ErrnoException | undefined {
    if (!this.#fails('sync')) return undefined
    this.#bites.failedSyncs++
    return failure('EIO', 'fsync')
  }

  /** Runs it now, or later if the disk is slow: what is done is not known to be on the disk until then. */
  afterSync(done: () => void): void {
    const command = this.#command
    if (command.type !== 'slow') {
      done()
      return
    }
    this.#bites.slowSyncs++
    // How long each takes is chance, as on a real disk: the node's own timing is not the seed's either.
    setTimeout(done, command.ms + Math.random() * command.jitterMs)
  }

  removed(bytes: number): void {
    this.#room += bytes
  }

  /** Bytes that the disk still has, when it really has so many. */
  free(bytes: number): number {
    if (this.#room >= bytes) return bytes
    this.#bites.spaceDenied++
    return this.#room
  }

  #fails(on: 'write' | 'sync'): boolean {
    const command = this.#command
    if (command.type !== 'fail' || command.on !== on) return false
    if (command.times === 'once') this.#command = { type: 'clear' }
    return true
  }
}

function failure(code: 'EIO' | 'ENOSPC', syscall: string): NodeJS.ErrnoException {
  const text = code === 'EIO' ? 'i/o error' : 'no space left on device'
  return Object.assign(new Error(`${code}: ${text}, ${syscall}`), { code, syscall, errno: code === 'EIO' ? -5 : -28 })
}
