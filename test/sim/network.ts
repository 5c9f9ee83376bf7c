/**
 * The simulated network: the production `Transport` port of every node on one scheduler.
 *
 * A message may be dropped, delayed, repeated, overtaken, or swallowed by a cut of its direction; what is under way to a
 * process that has died reaches the next one of that name, as a late packet may. The network also tells what a node
 * sees of its sockets: a dead process refuses a redial, a cut link does not answer at all.
 *
 * Never: a look into a message beyond its two ends.
 */
import type { Message } from '../../raft/message.ts'
import type { NodeId } from '../../raft/types.ts'
import type { Random } from '../support/random.ts'
import type { Scheduler } from './scheduler.ts'
import type { Trace } from './trace.ts'

/** The weather: what happens to every message, in milliseconds and probabilities. */
export interface Weather {
  readonly delayMs: readonly [low: number, high: number]
  /** Chance of a much longer way, up to `spikeMs`: the message is then overtaken by later ones. */
  readonly spikeChance: number
  readonly spikeMs: number
  readonly dropChance: number
  readonly duplicateChance: number
  /** True: messages of one direction keep their order, spikes and repeats aside, as on a socket. */
  readonly ordered: boolean
}

export const fairWeather: Weather = {
  delayMs: [0.1, 0.4],
  spikeChance: 0,
  spikeMs: 0,
  dropChance: 0,
  duplicateChance: 0,
  ordered: true,
}

/** What a running process hears of the network. */
export interface Endpoint {
  receive(message: Message): void
  /** The peer's socket closed and its redial was refused: nobody listens there. */
  peerRefused(peer: NodeId): void
  /** A link to the peer opened. */
  peerConnected(peer: NodeId): void
}

export interface NetworkCounts {
  messagesSent: number
  messagesDropped: number
  messagesDuplicated: number
  messagesDelivered: number
}

/** How long a closed socket and the refused redial, or a successful one, take to be noticed. */
const redialMs = [0.5, 20] as const

interface Direction {
  readonly from: NodeId
  readonly to: NodeId
  /** How many faults cut this direction now. */
  cuts: number
  /** Rises at a reset: what was sent before it and is still under way is lost. */
  epoch: number
  /** Latest arrival so far, for order. */
  lastArrival: number
  /** What `from` was last told about `to`. */
  told: 'connected' | 'refused' | 'nothing'
}

export class Network {
  readonly counts: NetworkCounts = { messagesSent: 0, messagesDropped: 0, messagesDuplicated: 0, messagesDelivered: 0 }
  weather: Weather = fairWeather
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #trace: Trace
  readonly #ids: readonly NodeId[]
  readonly #directions = new Map<NodeId, Map<NodeId, Direction>>()
  readonly #endpoints = new Map<NodeId, Endpoint>()

  constructor(scheduler: Scheduler, random: Random, trace: Trace, ids: readonly NodeId[]) {
    this.#scheduler = scheduler
    this.#random = random
    this.#trace = trace
    this.#ids = ids
    for (const from of ids) {
      const row = new Map<NodeId, Direction>()
      for (const to of ids) row.set(to, { from, to, cuts: 0, epoch: 0, lastArrival: 0, told: 'nothing' })
      this.#directions.set(from, row)
    }
  }

  /** A process starts to listen; it finds its peers, and they find it, after a redial. */
  attach(id: NodeId, endpoint: Endpoint): void {
    this.#endpoints.set(id, endpoint)
    for (const peer of this.#peersOf(id)) {
      this.#direction(id, peer).told = 'nothing'
      this.#redial(id, peer)
      this.#redial(peer, id)
    }
  }

  /** The process is gone: its sockets close. */
  detach(id: NodeId): void {
    this.#endpoints.delete(id)
    for (const peer of this.#peersOf(id)) this.#redial(peer, id)
  }

  send(message: Message): void {
    this.counts.messagesSent++
    const { weather } = this
    const random = this.#random
    const direction = this.#direction(message.from, message.to)
    if (direction.cuts > 0 || random.chance(weather.dropChance)) {
      this.#drop(message)
      return
    }
    this.#deliverLater(direction, message)
    if (random.chance(weather.duplicateChance)) {
      this.counts.messagesDuplicated++
      this.#deliverLater(direction, message)
    }
  }

  /** Cuts one direction; the returned function undoes this cut, and the direction is open when none is left. */
  cut(from: NodeId, to: NodeId): () => void {
    const direction = this.#direction(from, to)
    direction.cuts++
    let undone = false
    return () => {
      if (undone) return
      undone = true
      direction.cuts--
      if (direction.cuts > 0) return
      this.#redial(from, to)
      this.#redial(to, from)
    }
  }

  /** Both sockets of a pair break: what is under way is lost, and the redial succeeds. */
  reset(one: NodeId, other: NodeId): void {
    for (const direction of [this.#direction(one, other), this.#direction(other, one)]) {
      direction.epoch++
      direction.told = 'nothing'
      this.#redial(direction.from, direction.to)
    }
  }

  #deliverLater(direction: Direction, message: Message): void {
    const { weather } = this
    const random = this.#random
    const scheduler = this.#scheduler
    let arrival = scheduler.now() + random.between(weather.delayMs[0], weather.delayMs[1])
    if (weather.spikeChance > 0 && random.chance(weather.spikeChance)) arrival += random.fraction() * weather.spikeMs
    else if (weather.ordered) {
      arrival = Math.max(arrival, direction.lastArrival)
      direction.lastArrival = arrival
    }
    const { epoch } = direction
    scheduler.after(arrival - scheduler.now(), () => {
      const endpoint = this.#endpoints.get(message.to)
      if (endpoint === undefined || direction.cuts > 0 || direction.epoch !== epoch) {
        this.#drop(message)
        return
      }
      this.counts.messagesDelivered++
      this.#trace.message('receive', message)
      endpoint.receive(message)
    })
  }

  #drop(message: Message): void {
    this.counts.messagesDropped++
    this.#trace.message('drop', message)
  }

  /** `from` dials `to` again and learns what it finds; a cut in either direction answers nothing. */
  #redial(from: NodeId, to: NodeId): void {
    this.#scheduler.after(this.#random.between(redialMs[0], redialMs[1]), () => {
      const direction = this.#direction(from, to)
      const observer = this.#endpoints.get(from)
      if (observer === undefined || direction.cuts > 0 || this.#direction(to, from).cuts > 0) return
      const found = this.#endpoints.has(to) ? 'connected' : 'refused'
      if (direction.told === found) return
      direction.told = found
      this.#trace.note(found, from, to)
      if (found === 'connected') observer.peerConnected(to)
      else observer.peerRefused(to)
    })
  }

  #direction(from: NodeId, to: NodeId): Direction {
    return this.#directions.get(from)?.get(to) as Direction
  }

  #peersOf(id: NodeId): NodeId[] {
    return this.#ids.filter((other) => other !== id)
  }
}
