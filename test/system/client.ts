/**
 * A simulated client process: the production SDK on simulated sockets and its own clock. It may die at any moment, and another one
 * takes its place.
 */

import type { Clock } from '../../client/clock.ts'
import { type Client, type ConnectOptions, connectWith } from '../../client/index.ts'
import type { OpenSocket } from '../../client/socket.ts'
import { NodeClock } from '../sim/node-clock.ts'
import type { Random } from '../support/random.ts'
import type { Network } from './network.ts'
import type { Host, SimulatedSocket } from './socket.ts'

/** As a TCP stack would, roughly: who dials into nothing is told after this. */
const DIAL_MS = 10_000

export class SimulatedClient {
  readonly name: string
  readonly host: Host
  readonly clock: Clock
  readonly #network: Network

  constructor(name: string, network: Network, random: Random, clockSkew: number) {
    const speed = 1 + random.between(-clockSkew, clockSkew)
    const clock = new NodeClock(network.scheduler, random.below(1e6), speed)
    this.name = name
    this.#network = network
    this.host = { name, clock, alive: true }
    this.clock = {
      now: () => clock.now(),
      wallMs: () => Math.floor(clock.now()),
      setTimer: (ms, callback) => clock.setTimer(ms, callback),
      defer: (callback) => clock.defer(callback),
      random: () => random.fraction(),
    }
  }

  /** `servers`: names of nodes. */
  connect(options: ConnectOptions): Promise<Client> {
    return connectWith(this.#openSocket, { name: this.name, ...options }, this.clock)
  }

  kill(): void {
    this.host.clock.kill()
    this.#network.died(this.host, false)
  }

  readonly #openSocket: OpenSocket = (server, handlers) => {
    let socket: SimulatedSocket | undefined
    let isOver = false
    let reason = 'the socket closed'
    this.#network.dial(this.host, server, 'client', DIAL_MS, {
      onOpen: (opened) => {
        if (isOver) return opened.terminate()
        socket = opened
        opened.receive = (frame) => handlers.onFrame(frame)
        handlers.onOpen()
      },
      onRefused: () => {
        reason = 'refused'
      },
      onClose: () => handlers.onClose(reason),
    })
    return {
      send: (frame) => socket?.send(frame),
      close: () => {
        isOver = true
        socket?.close()
      },
      terminate: () => {
        isOver = true
        socket?.terminate()
      },
    }
  }
}
