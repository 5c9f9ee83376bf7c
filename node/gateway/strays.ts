/**
 * What has come for sessions that are not attached here: replies to an asker that is between two nodes, requests for a responder whose
 * attachment this node has not applied yet. Each waits for the session's next attachment, wherever that is, or for its time to be over.
 *
 * Bounded by memory; what finds no room is over at once. Never: what a stray is.
 */
import type { Clock } from '../../raft/index.ts'
import { every } from '../clock.ts'
import type { Attachment } from '../queue/index.ts'

/** Memory of all strays of a node, bytes. */
export const STRAYS_BYTES_MAX = 32 * 1024 * 1024
/** What a stray takes beside its message, bytes. */
const STRAY_BYTES = 256
/** Strays are looked through for expired ones this often while there are any, milliseconds. */
const LOOK_MS = 50

export interface Stray {
  /** Of its message. */
  readonly bytes: number
  readonly expiresMs: number
  arrive(to: Attachment): void
  expire(): void
}

export class Strays {
  readonly #clock: Clock
  readonly #bySession = new Map<number, Stray[]>()
  #bytes = 0
  #endLooks: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get bytes(): number {
    return this.#bytes
  }

  hold(session: number, stray: Stray): void {
    const bytes = STRAY_BYTES + stray.bytes
    if (this.#bytes + bytes > STRAYS_BYTES_MAX) return stray.expire()
    this.#bytes += bytes
    const held = this.#bySession.get(session)
    if (held === undefined) this.#bySession.set(session, [stray])
    else held.push(stray)
    this.#endLooks ??= every(this.#clock, LOOK_MS, () => this.#look())
  }

  /** Sessions that something waits for. */
  sessions(): Iterable<number> {
    return this.#bySession.keys()
  }

  /** The session is attached (again). */
  attached(to: Attachment): void {
    const strays = this.#bySession.get(to.session)
    if (strays === undefined) return
    this.#bySession.delete(to.session)
    for (const stray of strays) this.#bytes -= STRAY_BYTES + stray.bytes
    this.#rest()
    for (const stray of strays) stray.arrive(to)
  }

  stop(): void {
    this.#endLooks?.()
    this.#endLooks = undefined
    this.#bySession.clear()
    this.#bytes = 0
  }

  #look(): void {
    const nowMs = this.#clock.now()
    const over: Stray[] = []
    for (const [session, strays] of this.#bySession) {
      const left = strays.filter((stray) => stray.expiresMs > nowMs)
      if (left.length === strays.length) continue
      for (const stray of strays) if (stray.expiresMs <= nowMs) over.push(stray)
      if (left.length > 0) this.#bySession.set(session, left)
      else this.#bySession.delete(session)
    }
    for (const stray of over) this.#bytes -= STRAY_BYTES + stray.bytes
    this.#rest()
    for (const stray of over) stray.expire()
  }

  #rest(): void {
    if (this.#bySession.size > 0) return
    this.#endLooks?.()
    this.#endLooks = undefined
  }
}
