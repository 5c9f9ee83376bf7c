/**
 * Simulated TCP between simulated processes: dials, sockets, and what faults do to them. A socket carries whole frames, in
 * order, or breaks; never does a frame vanish from a socket that lives on. While a way is cut, frames wait for it as TCP's own
 * repeats would, and a dial goes unanswered. A dead process refuses a dial, and its sockets close, as far as that can be heard.
 *
 * Never: a look into a frame.
 */
import type { Scheduler } from '../sim/scheduler.ts'
import type { Trace } from '../sim/trace.ts'
import type { Random } from '../support/random.ts'
import { type Host, SimulatedSocket, type Wires } from './socket.ts'

export interface Weather {
  readonly delayMs: readonly [low: number, high: number]
  /** Chance that a frame takes up to `spikeMs` longer; those behind it wait. */
  readonly spikeChance: number
  readonly spikeMs: number
}

export const fairWeather: Weather = { delayMs: [0.1, 0.4], spikeChance: 0, spikeMs: 0 }

export interface DialHandlers {
  onOpen(socket: SimulatedSocket): void
  onRefused(): void
  onClose(): void
}

export interface NetworkCounts {
  dials: number
  refused: number
  frames: number
  bytes: number
  /** Bytes under way when their socket broke. */
  bytesLost: number
  broken: number
}

interface Listening {
  readonly host: Host
  readonly accept: (socket: SimulatedSocket, from: string) => void
}

/** A dial that nobody answers is repeated after so long (TCP's first repeat comes after a second). */
const SYN_MS = [200, 1000] as const

export class Network implements Wires {
  readonly counts: NetworkCounts = { dials: 0, refused: 0, frames: 0, bytes: 0, bytesLost: 0, broken: 0 }
  weather: Weather = fairWeather
  readonly scheduler: Scheduler
  readonly random: Random
  readonly trace: Trace
  /** By name and door, as in `n1/peer`. */
  readonly #listening = new Map<string, Listening>()
  readonly #cuts = new Map<string, number>()
  readonly #sockets = new Set<SimulatedSocket>()

  constructor(scheduler: Scheduler, random: Random, trace: Trace) {
    this.scheduler = scheduler
    this.random = random
    this.trace = trace
  }

  /** How long one frame is under way, milliseconds. */
  delay(): number {
    const { delayMs, spikeChance, spikeMs } = this.weather
    const usual = this.random.between(delayMs[0], delayMs[1])
    return spikeChance > 0 && this.random.chance(spikeChance) ? usual + this.random.fraction() * spikeMs : usual
  }

  listen(host: Host, door: string, accept: Listening['accept']): void {
    this.#listening.set(`${host.name}/${door}`, { host, accept })
  }

  /** From now on whoever dials the host is refused. */
  deafen(host: Host): void {
    for (const [door, listening] of this.#listening) if (listening.host === host) this.#listening.delete(door)
  }

  /** The process is gone: nobody listens, and its sockets close. `silent`: its machine went with it, and says nothing. */
  died(host: Host, silent: boolean): void {
    host.alive = false
    this.deafen(host)
    for (const socket of [...this.#sockets]) if (socket.host === host) socket.orphan(silent)
  }

  dial(from: Host, to: string, door: string, timeoutMs: number, handlers: DialHandlers): void {
    this.counts.dials++
    const deadline = this.scheduler.now() + timeoutMs
    const attempt = (): void => {
      if (!from.alive) return
      if (this.isCut(from.name, to) || this.isCut(to, from.name)) {
        const pauseMs = this.random.between(SYN_MS[0], SYN_MS[1])
        if (this.scheduler.now() + pauseMs < deadline) this.scheduler.after(pauseMs, attempt)
        else this.scheduler.after(deadline - this.scheduler.now(), () => from.clock.run(() => handlers.onClose()))
        return
      }
      const listening = this.#listening.get(`${to}/${door}`)
      if (listening === undefined) {
        this.counts.refused++
        this.trace.note('refused', from.name, to, door)
        from.clock.run(() => {
          handlers.onRefused()
          handlers.onClose()
        })
      } else this.#open(from, listening, handlers)
    }
    this.scheduler.after(2 * this.delay(), attempt)
  }

  /** Cuts one direction between two machines; the returned function undoes this cut. */
  cut(from: string, to: string): () => void {
    const way = `${from}>${to}`
    this.#cuts.set(way, (this.#cuts.get(way) ?? 0) + 1)
    let undone = false
    return () => {
      if (undone) return
      undone = true
      const left = this.#cuts.get(way)! - 1
      this.#cuts.set(way, left)
      if (left > 0) return
      for (const socket of [...this.#sockets])
        if (socket.host.name === from && socket.peer.host.name === to) socket.mended()
    }
  }

  isCut(from: string, to: string): boolean {
    const cuts = this.#cuts.get(`${from}>${to}`)
    return cuts !== undefined && cuts > 0
  }

  /** Every socket between two machines breaks: what is under way is lost, and each end learns of it in its own time. */
  break(one: string, other: string): void {
    for (const socket of [...this.#sockets]) {
      if (socket.host.name !== one || socket.peer.host.name !== other) continue
      this.counts.broken++
      this.trace.note('break', one, other)
      socket.break()
      socket.peer.break()
    }
  }

  /** Names of the machines to which this one has sockets. */
  partners(name: string): string[] {
    const partners = new Set<string>()
    for (const { host, peer } of this.#sockets) if (host.name === name) partners.add(peer.host.name)
    return [...partners]
  }

  forget(socket: SimulatedSocket): void {
    this.#sockets.delete(socket)
  }

  #open(from: Host, { host, accept }: Listening, handlers: DialHandlers): void {
    const [dialed, accepted] = SimulatedSocket.pair(this, from, host)
    this.#sockets.add(dialed)
    this.#sockets.add(accepted)
    dialed.onClose(() => handlers.onClose())
    const openMs = this.delay()
    // What the acceptor says at once arrives after the dialer knows that the socket is open.
    accepted.notBefore(this.scheduler.now() + openMs)
    this.scheduler.after(openMs, () => {
      from.clock.run(() => {
        if (dialed.open) handlers.onOpen(dialed)
      })
    })
    host.clock.run(() => accept(accepted, from.name))
  }
}
