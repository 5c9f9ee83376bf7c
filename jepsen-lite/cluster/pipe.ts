/**
 * The bytes that one socket reads, on their way into another one: held back, slowed down or lost as their way (way.ts) says, in order. The end
 * and the reset of the stream travel like bytes.
 *
 * Invariants:
 * 1. Once a byte was lost no later one passes: TCP knows no gaps. Whoever owns the pipe resets both sockets when it can.
 * 2. At most HELD_BYTES_MAX and one read are held; beyond it the source is not read, so that its sender feels it.
 */
import type { Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { resetSocket } from './reset.ts'
import type { Way } from './way.ts'

const HELD_BYTES_MAX = 1024 * 1024

/** Under a rate bytes leave in parts of this size, so that a slow link trickles. */
const RATED_PART_BYTES = 4096
/** Bytes that leave sooner are not called delayed: at any rate each byte takes its time, and that hurts nobody. */
const DELAYED_MS_MIN = 10

type Parcel = { readonly what: Buffer | 'end' | 'reset'; dueMs: number }

export class Pipe {
  readonly #source: Socket
  readonly #sink: Socket
  readonly #way: Way
  #held: Parcel[] = []
  #heldBytes = 0
  #lost = false
  #closed = false
  #timer: NodeJS.Timeout | undefined

  /** `beforeEnd` is waited for before the sink learns that the source has ended, whichever way it did. */
  constructor(source: Socket, sink: Socket, way: Way, beforeEnd?: () => Promise<unknown>) {
    this.#source = source
    this.#sink = sink
    this.#way = way
    const last = async (what: 'end' | 'reset') => {
      if (beforeEnd !== undefined) await beforeEnd()
      this.#take(what)
    }
    source.on('data', (bytes: Buffer) => this.#takeBytes(bytes))
    source.on('end', () => void last('end'))
    source.on('error', () => void last('reset'))
    sink.on('drain', () => this.pump())
  }

  /** Something was lost: nothing more passes. */
  get lost(): boolean {
    return this.#lost
  }

  /** What is still held passes no more. It counts as dropped if an impairment is why. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    if (this.#way.resetting || this.#way.blackholed || this.#lost) this.#drop()
    this.#held = []
  }

  /** Lets pass what may pass by now. To be called when the way has changed. */
  pump(): void {
    if (this.#closed) return
    clearTimeout(this.#timer)
    if (this.#way.blackholed) this.#drop()
    if (!this.#way.slowed) for (const parcel of this.#held) parcel.dueMs = 0
    this.#passDue()
    this.#steer()
  }

  #takeBytes(bytes: Buffer): void {
    const partBytes = this.#way.rated ? RATED_PART_BYTES : bytes.length
    for (let at = 0; at < bytes.length; at += partBytes) this.#take(bytes.subarray(at, at + partBytes))
  }

  #take(what: Parcel['what']): void {
    if (this.#closed) return
    if (this.#way.blackholed || this.#lost) {
      this.#lost = true
      this.#way.countDropped(sizeOf(what))
      return
    }
    const { slowed, stalled } = this.#way
    const previousMs = this.#held.at(-1)?.dueMs ?? 0
    const dueMs = slowed ? Math.max(previousMs, this.#way.dueMs(sizeOf(what))) : previousMs
    if (stalled || dueMs - performance.now() >= DELAYED_MS_MIN) this.#way.countDelayed(sizeOf(what))
    this.#held.push({ what, dueMs })
    this.#heldBytes += sizeOf(what)
    this.pump()
  }

  #passDue(): void {
    if (this.#way.stalled) return
    const nowMs = performance.now()
    let passed = 0
    for (const { what, dueMs } of this.#held) {
      if (this.#sink.writableNeedDrain && !this.#sink.destroyed) break
      if (dueMs > nowMs) {
        this.#timer = setTimeout(() => this.pump(), dueMs - nowMs)
        break
      }
      passed++
      this.#heldBytes -= sizeOf(what)
      this.#pass(what)
    }
    if (passed > 0) this.#held = this.#held.slice(passed)
  }

  #pass(what: Parcel['what']): void {
    if (this.#sink.destroyed) return
    if (what === 'end') this.#sink.end()
    else if (what === 'reset') resetSocket(this.#sink)
    else this.#sink.write(what)
  }

  /** Reads on, or not (invariant 2). What is going to be lost is read all the same. */
  #steer(): void {
    const isFull = this.#heldBytes >= HELD_BYTES_MAX || this.#sink.writableNeedDrain
    if (isFull && !this.#way.blackholed && !this.#lost) this.#source.pause()
    else this.#source.resume()
  }

  #drop(): void {
    clearTimeout(this.#timer)
    if (this.#held.length === 0) return
    this.#lost = true
    this.#way.countDropped(this.#heldBytes)
    this.#held = []
    this.#heldBytes = 0
  }
}

function sizeOf(what: Parcel['what']): number {
  return typeof what === 'string' ? 0 : what.length
}
