/**
 * One end of a simulated TCP connection: the production `FrameSocket` port, in both directions a queue of frames with an arrival
 * time each. Its process reads when it runs; what it has not read counts as buffered at the sender.
 *
 * Never: loses a frame and lives.
 */

import type { FrameSocket } from '../../node/socket.ts'
import { InvariantError } from '../../raft/index.ts'
import type { NodeClock } from '../sim/node-clock.ts'
import type { Scheduler } from '../sim/scheduler.ts'
import type { Random } from '../support/random.ts'

/** What the two kernels hold of one direction before the sender's process has to. */
const KERNEL_BYTES = 64 * 1024
/** Who does not answer a close in this time is let go, as in node/socket.ts. */
const CLOSE_MS = 1_000
/** How long a broken connection may take to be noticed. */
const BREAK_MS = [0, 20] as const

/** One life of a process, at an address that it may share with lives before and after it. */
export interface Host {
  readonly name: string
  readonly clock: NodeClock
  alive: boolean
}

/** What a socket needs of the network. */
export interface Wires {
  readonly scheduler: Scheduler
  readonly random: Random
  readonly counts: { frames: number; bytes: number; bytesLost: number }
  /** How long one frame is under way, milliseconds. */
  delay(): number
  isCut(from: string, to: string): boolean
  /** Both ends are closed. */
  forget(socket: SimulatedSocket): void
}

/** A frame, or a word of the connection itself. */
type Item = Uint8Array | 'close' | 'reset' | 'ping' | 'pong'

export class SimulatedSocket implements FrameSocket {
  readonly host: Host
  /** The other end; set by `pair` before anybody sees either. */
  peer: SimulatedSocket = this
  receive: (frame: Uint8Array) => void = () => {}
  fail: (error: unknown) => void = () => this.terminate()
  readonly #network: Wires
  #state: 'open' | 'closing' | 'closed' = 'open'
  #paused = false
  #heard = false
  /** On the way from here to the peer, in order. */
  #underWay: { readonly item: Item; readonly arrival: number }[] = []
  #lastArrival = 0
  /** The way was cut when something should have arrived. */
  #stalled = false
  #broken = false
  /** Arrived here and not read. */
  #inbox: Item[] = []
  /** Sent from here and not read there. */
  #unreadBytes = 0
  readonly #onClose: (() => void)[] = []
  readonly #onDrain: (() => void)[] = []

  static pair(network: Wires, one: Host, other: Host): [SimulatedSocket, SimulatedSocket] {
    const ends: [SimulatedSocket, SimulatedSocket] = [
      new SimulatedSocket(network, one),
      new SimulatedSocket(network, other),
    ]
    ends[0].peer = ends[1]
    ends[1].peer = ends[0]
    return ends
  }

  private constructor(network: Wires, host: Host) {
    this.#network = network
    this.host = host
  }

  get open(): boolean {
    return this.#state === 'open'
  }

  get bufferedBytes(): number {
    return Math.max(0, this.#unreadBytes - KERNEL_BYTES)
  }

  send(frame: Uint8Array): void {
    if (this.#state !== 'open') return
    this.#network.counts.frames++
    this.#network.counts.bytes += frame.length
    this.#unreadBytes += frame.length
    this.#post(frame)
  }

  onClose(handler: () => void): void {
    this.#onClose.push(handler)
  }

  onDrain(handler: () => void): void {
    this.#onDrain.push(handler)
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    if (this.#inbox.length > 0) this.host.clock.defer(() => this.#read())
  }

  close(): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#post('close')
    this.host.clock.setTimer(CLOSE_MS, () => this.terminate())
  }

  terminate(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#post('reset')
    this.host.clock.defer(() => this.#end())
  }

  watch(intervalMs: number): void {
    const { clock } = this.host
    this.#heard = true
    const look = (): void => {
      if (this.#state === 'closed') return
      if (!this.#heard && !this.#paused) return this.terminate()
      this.#heard = false
      if (this.#state === 'open') this.#post('ping')
      arm()
    }
    // As in production: after a stall what has arrived is read before the look.
    const arm = () => clock.setTimer(intervalMs, () => clock.defer(look))
    arm()
  }

  // ---- what the network does to it

  /** Nothing sent from here arrives earlier. */
  notBefore(time: number): void {
    this.#lastArrival = Math.max(this.#lastArrival, time)
  }

  /** The process at this end is gone. Its kernel sends what it holds and says so to the other end; a `silent` one is gone too. */
  orphan(silent: boolean): void {
    if (silent) this.#loseAll()
    if (this.#state !== 'closed') {
      this.#state = 'closed'
      this.#post('reset')
    }
    this.#forget()
  }

  /** The connection is dead; this end learns of it soon. What is under way from here is lost. */
  break(): void {
    this.#broken = true
    this.#loseAll()
    const { random, scheduler } = this.#network
    scheduler.after(random.between(BREAK_MS[0], BREAK_MS[1]), () => this.host.clock.run(() => this.#drop()))
  }

  /** The way from here to the peer is open again. */
  mended(): void {
    if (!this.#stalled) return
    this.#stalled = false
    const { random, scheduler } = this.#network
    scheduler.after(random.between(0, 200), () => this.#arrive())
  }

  // ---- the way to the peer

  #post(item: Item): void {
    if (this.#broken) return this.#lose(item)
    const { scheduler } = this.#network
    const arrival = Math.max(scheduler.now() + this.#network.delay(), this.#lastArrival)
    this.#lastArrival = arrival
    this.#underWay.push({ item, arrival })
    scheduler.after(arrival - scheduler.now(), () => this.#arrive())
  }

  /** Hands over everything whose time has come, unless the way is cut. */
  #arrive(): void {
    const { host, peer } = this
    if (this.#stalled) return
    if (this.#network.isCut(host.name, peer.host.name)) {
      this.#stalled = true
      return
    }
    const now = this.#network.scheduler.now()
    let arrived = 0
    while (arrived < this.#underWay.length && this.#underWay[arrived]!.arrival <= now) arrived++
    if (arrived > 0) for (const { item } of this.#underWay.splice(0, arrived)) peer.#take(item)
  }

  #loseAll(): void {
    for (const { item } of this.#underWay.splice(0)) this.#lose(item)
  }

  #lose(item: Item): void {
    if (typeof item !== 'string') this.#network.counts.bytesLost += item.length
  }

  /** The network keeps both ends until both are closed: the word of one's end may still be waiting for a way. */
  #forget(): void {
    if (this.#state !== 'closed' || this.peer.#state !== 'closed') return
    this.#network.forget(this)
    this.#network.forget(this.peer)
  }

  // ---- this end, in its process

  #take(item: Item): void {
    if (!this.host.alive) return
    this.#inbox.push(item)
    this.host.clock.run(() => this.#read())
  }

  #read(): void {
    while (this.#inbox.length > 0 && this.#state !== 'closed' && !this.#paused) this.#handle(this.#inbox.shift()!)
  }

  #handle(item: Item): void {
    if (item === 'ping') {
      if (this.#state === 'open') this.#post('pong')
    } else if (item === 'pong') this.#heard = true
    else if (item === 'reset') this.#drop()
    else if (item === 'close') {
      this.#post('close')
      this.#drop()
    } else {
      this.#heard = true
      this.peer.#wasRead(item.length)
      // A socket that is closing reads on until the other end has closed, but nobody listens.
      if (this.#state === 'open') this.#hand(item)
    }
  }

  #hand(frame: Uint8Array): void {
    try {
      this.receive(frame)
    } catch (error) {
      if (error instanceof InvariantError) throw error
      this.fail(error)
    }
  }

  #wasRead(bytes: number): void {
    const before = this.bufferedBytes
    this.#unreadBytes -= bytes
    if (before > 0 && this.bufferedBytes === 0) {
      this.host.clock.defer(() => {
        for (const handler of this.#onDrain) handler()
      })
    }
  }

  #drop(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#end()
  }

  #end(): void {
    this.#inbox = []
    this.#forget()
    for (const handler of this.#onClose.splice(0)) handler()
  }
}
