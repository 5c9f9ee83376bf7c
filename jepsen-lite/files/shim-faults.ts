/**
 * What the file shim does to the node's disk when it is told to: makes it slow, lets writes or syncs fail, runs out of space. Several faults
 * hold at a time, each with a beginning and an end of its own; each counts what it did itself, so that a run can tell whether it bit.
 *
 * Never: which calls there are (shim-descriptors.ts and shim-names.ts ask here).
 */
import type { FileFault } from '../nemesis.ts'

/** What is told to the shim: `id` is of the asker's choice, and new for each fault. `clear` ends all of them. */
export type ShimCommand =
  | { readonly type: 'begin'; readonly id: number; readonly fault: FileFault }
  | { readonly type: 'end'; readonly id: number }
  | { readonly type: 'clear' }

/** Figures of what one fault did; `refused` are the system's own failures while it held. */
export type Bites = Record<
  'slowSyncs' | 'failedWrites' | 'failedSyncs' | 'writesWithoutRoom' | 'spaceDenied' | 'refused',
  number
>

const none: Bites = { slowSyncs: 0, failedWrites: 0, failedSyncs: 0, writesWithoutRoom: 0, spaceDenied: 0, refused: 0 }

interface Held {
  readonly fault: FileFault
  readonly bites: Bites
  /** Of a full disk, bytes. */
  room: number
  /** It did what it was to do once, or all were cleared: what it did is still asked for. */
  isSpent: boolean
}

export class ShimFaults {
  readonly #held = new Map<number, Held>()

  /** Gives what the fault that ends has done. */
  take(command: ShimCommand): Bites {
    if (command.type === 'begin') this.#begin(command.id, command.fault)
    if (command.type === 'clear') for (const held of this.#held.values()) held.isSpent = true
    if (command.type !== 'end') return { ...none }
    const ended = this.#held.get(command.id)
    this.#held.delete(command.id)
    return ended?.bites ?? { ...none }
  }

  /** A write of so many bytes that makes its file so much longer: the error with which it fails, having written nothing. */
  beforeWrite(growth: number): NodeJS.ErrnoException | undefined {
    const failing = this.#failing('write')
    if (failing !== undefined) {
      failing.bites.failedWrites++
      return failure('EIO', 'write')
    }
    const full = this.#active.filter(({ room }) => growth > room)
    for (const { bites } of full) bites.writesWithoutRoom++
    if (full.length > 0) return failure('ENOSPC', 'write')
    for (const held of this.#active) held.room -= growth
    return undefined
  }

  /** A sync, or a write that is synced: the error with which it fails; what it should have synced may be anywhere. */
  beforeSync(): NodeJS.ErrnoException | undefined {
    const failing = this.#failing('sync')
    if (failing === undefined) return undefined
    failing.bites.failedSyncs++
    return failure('EIO', 'fsync')
  }

  /** Runs it now, or later if the disk is slow: what is done is not known to be on the disk until then. */
  afterSync(done: () => void): void {
    let [isSlow, delayMs] = [false, 0]
    for (const { fault, bites } of this.#active) {
      if (fault.type !== 'slow') continue
      bites.slowSyncs++
      isSlow = true
      // How long each takes is chance, as on a real disk: the node's own timing is not the seed's either.
      delayMs += fault.ms + Math.random() * fault.jitterMs
    }
    if (isSlow) setTimeout(done, delayMs)
    else done()
  }

  removed(bytes: number): void {
    for (const held of this.#active) held.room += bytes
  }

  /** Bytes that the disk still has, when it really has so many. */
  free(bytes: number): number {
    const full = this.#active.filter(({ room }) => room < bytes)
    for (const { bites } of full) bites.spaceDenied++
    return Math.min(bytes, ...full.map(({ room }) => room))
  }

  /** The system itself has refused a write or a sync. */
  refused(): void {
    for (const { bites } of this.#active) bites.refused++
  }

  #begin(id: number, fault: FileFault): void {
    const room = fault.type === 'full' ? fault.roomBytes : Number.POSITIVE_INFINITY
    this.#held.set(id, { fault, bites: { ...none }, room, isSpent: false })
  }

  get #active(): Held[] {
    return [...this.#held.values()].filter(({ isSpent }) => !isSpent)
  }

  #failing(on: 'write' | 'sync'): Held | undefined {
    const failing = this.#active.find(({ fault }) => fault.type === 'fail' && fault.on === on)
    if (failing?.fault.type === 'fail' && failing.fault.times === 'once') failing.isSpent = true
    return failing
  }
}

function failure(code: 'EIO' | 'ENOSPC', syscall: string): NodeJS.ErrnoException {
  const text = code === 'EIO' ? 'i/o error' : 'no space left on device'
  return Object.assign(new Error(`${code}: ${text}, ${syscall}`), { code, syscall, errno: code === 'EIO' ? -5 : -28 })
}
