/**
 * The cast of a run: who plays which role, who dies and is replaced, and when the play is over.
 *
 * Never: what a role does (actors.ts).
 */
import type { Random } from '../support/random.ts'
import {
  type Actor,
  Administrator,
  type Beat,
  Founder,
  Publisher,
  Pulse,
  queueName,
  Requester,
  Responder,
  type Scene,
} from './actors.ts'
import { SimulatedClient } from './client.ts'
import { Consumer, ExclusiveSubscriber, Receiver, Taker } from './consumers.ts'
import type { Network } from './network.ts'

type Cast = (process: SimulatedClient, random: Random) => Actor

interface Role {
  readonly name: string
  readonly cast: Cast
  plays: number
  actor: Actor | undefined
}

export interface WorkloadOptions {
  readonly scene: Scene
  readonly network: Network
  readonly random: Random
  readonly clockSkew: number
}

export class Workload {
  isFounded = false
  readonly #options: WorkloadOptions
  readonly #roles: Role[] = []

  constructor(options: WorkloadOptions) {
    this.#options = options
    const { ledger, work } = options.scene
    for (const [i, patterns] of work.queues.entries()) ledger.addQueue(queueName(i), patterns)
  }

  /** Declares the queues; everybody else comes when they are there. */
  start(): void {
    const { scene } = this.#options
    const founder = this.#add('founder', (process, random) => {
      return new Founder(process, scene, random, () => {
        this.isFounded = true
        this.#castAll()
      })
    })
    this.#play(founder)
  }

  /** A process dies; another one takes its role after `downMs`. */
  crashOne(downMs: number): void {
    const role = this.#anyRole()
    if (role !== undefined) this.#crash(role, downMs)
  }

  /** Everybody who takes messages from queues dies; others take their roles after `downMs`. */
  crashTakers(downMs: number): void {
    for (const role of this.#roles) if (role.actor instanceof Taker) this.#crash(role, downMs)
  }

  #crash(role: Role, downMs: number): void {
    if (role.actor === undefined) return
    const { network, scene } = this.#options
    const { process } = role.actor
    network.trace.note('crash', process.name)
    process.kill()
    scene.pending.died(process)
    role.actor = undefined
    network.scheduler.after(downMs, () => this.#play(role))
  }

  /** A process stands still; the returned function lets it go on. */
  pauseOne(): (() => void) | undefined {
    const { network, scene } = this.#options
    const process = this.#anyRole()?.actor?.process
    if (process === undefined || process.host.clock.paused) return undefined
    const since = network.scheduler.now()
    network.trace.note('pause', process.name)
    process.host.clock.pause()
    return () => {
      if (!process.host.alive) return
      network.trace.note('resume', process.name)
      scene.pending.extend(process, network.scheduler.now() - since)
      process.host.clock.resume()
    }
  }

  /** The name of some client's machine. */
  anyMachine(): string | undefined {
    return this.#anyRole()?.actor?.process.name
  }

  /** One more publisher, who goes on while the others rest; the returned function stops it. `name` is new. */
  startPulse(name: string, beat: Beat): () => void {
    const { scene } = this.#options
    let pulse: Pulse | undefined
    this.#play(
      this.#add(name, (process, random) => {
        pulse = new Pulse(process, scene, random, beat)
        return pulse
      }),
    )
    return () => pulse?.stop()
  }

  /** Names of all clients' machines. */
  get machines(): readonly string[] {
    return this.#roles.flatMap(({ actor }) => (actor === undefined ? [] : [actor.process.name]))
  }

  /** All processes die, and nobody takes their roles. */
  killAll(): void {
    const { scene } = this.#options
    for (const role of this.#roles) {
      if (role.actor === undefined) continue
      role.actor.process.kill()
      scene.pending.died(role.actor.process)
      role.actor = undefined
    }
  }

  #castAll(): void {
    const { scene } = this.#options
    const { work } = scene
    const add = (name: string, count: number, cast: Cast) => {
      for (let i = 1; i <= count; i++) this.#play(this.#add(`${name}${i}`, cast))
    }
    add('p', work.publishers, (process, random) => new Publisher(process, scene, random))
    for (const [i, patterns] of work.queues.entries()) {
      const queue = queueName(i)
      add(`${queue}c`, work.consumersPerQueue, (process, random) => {
        return new Consumer(process, scene, random, queue, patterns[0]!)
      })
    }
    add('x', work.exclusives, (process, random) => new ExclusiveSubscriber(process, scene, random))
    add('r', work.requesters > 0 ? 2 : 0, (process, random) => new Responder(process, scene, random))
    add('s', work.requesters, (process, random) => new Requester(process, scene, random))
    add('admin', work.admins, (process, random) => new Administrator(process, scene, random))
    for (const queue of scene.ledger.queues) {
      add(`${queue}r`, work.receiversPerQueue, (process, random) => new Receiver(process, scene, random, queue))
    }
  }

  #add(name: string, cast: Cast): Role {
    const role: Role = { name, cast, plays: 0, actor: undefined }
    this.#roles.push(role)
    return role
  }

  #play(role: Role): void {
    const { network, random, clockSkew } = this.#options
    const process = new SimulatedClient(`${role.name}.${++role.plays}`, network, random.fork(), clockSkew)
    role.actor = role.cast(process, random.fork())
    role.actor.start()
  }

  /** Not the founder, whom nobody would replace. */
  #anyRole(): Role | undefined {
    const others = this.#roles.slice(1).filter(({ actor }) => actor !== undefined)
    return others.length === 0 ? undefined : this.#options.random.pick(others)
  }
}
