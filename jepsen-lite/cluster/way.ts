/**
 * One direction of one link: from a node to another, or between the clients and a node. Whatever bytes flow that way, on whichever socket,
 * are subject to the impairments that hold on it; several add up (pauses in sum, the slowest rate, any loss is a loss).
 *
 * Never: sockets. What travels here (connection.ts) asks when its bytes may leave, and hears when that changes.
 */
import { performance } from 'node:perf_hooks'
import { type Impairment, type ImpairmentEffect, resetting } from '../nemesis.ts'

/** What travels on a way and wants to know of changes. */
export interface Traveller {
  /** An impairment began or ended. */
  wayChanged(): void
}

const losing: ReadonlySet<Impairment['type']> = new Set(['blackhole', ...resetting])

interface Active {
  readonly impairment: Impairment
  readonly effect: { bytesDropped: number; bytesDelayed: number; socketsReset: number }
  /** Of a rate: when what was let through so far has passed, monotonic milliseconds. */
  passedAtMs: number
}

export class Way {
  readonly from: string
  readonly to: string
  bytesDropped = 0
  bytesDelayed = 0
  socketsReset = 0
  readonly #random: () => number
  readonly #active = new Set<Active>()
  readonly #travellers = new Set<Traveller>()

  constructor(from: string, to: string, random: () => number) {
    this.from = from
    this.to = to
    this.#random = random
  }

  /** Returns how to take the impairment away; repeated calls tell the same. */
  impair(impairment: Impairment): () => ImpairmentEffect {
    const effect = { bytesDropped: 0, bytesDelayed: 0, socketsReset: 0 }
    const active = { impairment, effect, passedAtMs: 0 }
    this.#active.add(active)
    this.#tell()
    return () => {
      if (this.#active.delete(active)) this.#tell()
      return effect
    }
  }

  /** Takes all impairments away; who began them learns what they did all the same. */
  clear(): void {
    if (this.#active.size === 0) return
    this.#active.clear()
    this.#tell()
  }

  get blackholed(): boolean {
    return this.#holds('blackhole')
  }

  get stalled(): boolean {
    return this.#holds('stall')
  }

  /** Sockets are reset, whether or not dials get through. */
  get resetting(): boolean {
    return this.#holds('reset') || this.refusing
  }

  get refusing(): boolean {
    return this.#holds('refuse')
  }

  /** Bytes come later than they could: by a delay or a rate. */
  get slowed(): boolean {
    return this.#holds('delay') || this.#holds('rate')
  }

  /** Bytes share a rate: they are to be asked for in small parts, so that they trickle. */
  get rated(): boolean {
    return this.#holds('rate')
  }

  /** When so many bytes that come now may leave, monotonic milliseconds. They are taken as sent: ask once. */
  dueMs(bytes: number): number {
    const nowMs = performance.now()
    let [passedMs, delayMs] = [nowMs, 0]
    for (const active of this.#active) {
      const { impairment } = active
      if (impairment.type === 'delay') delayMs += impairment.ms + this.#random() * impairment.jitterMs
      if (impairment.type === 'rate') {
        active.passedAtMs = Math.max(active.passedAtMs, nowMs) + (bytes * 1000) / impairment.bytesPerSecond
        passedMs = Math.max(passedMs, active.passedAtMs)
      }
    }
    return passedMs + delayMs
  }

  countDropped(bytes: number): void {
    this.bytesDropped += bytes
    for (const { effect, impairment } of this.#active) {
      if (losing.has(impairment.type)) effect.bytesDropped += bytes
    }
  }

  countDelayed(bytes: number): void {
    this.bytesDelayed += bytes
    for (const { effect, impairment } of this.#active) {
      if (!losing.has(impairment.type)) effect.bytesDelayed += bytes
    }
  }

  countReset(): void {
    this.socketsReset++
    for (const { effect, impairment } of this.#active) if (resetting.has(impairment.type)) effect.socketsReset++
  }

  join(traveller: Traveller): void {
    this.#travellers.add(traveller)
  }

  leave(traveller: Traveller): void {
    this.#travellers.delete(traveller)
  }

  #holds(type: Impairment['type']): boolean {
    for (const { impairment } of this.#active) if (impairment.type === type) return true
    return false
  }

  #tell(): void {
    // A copy: who hears of it may leave.
    for (const traveller of [...this.#travellers]) traveller.wayChanged()
  }
}
