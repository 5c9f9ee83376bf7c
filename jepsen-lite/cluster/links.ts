/**
 * Every link of a cluster: a proxy for each ordered pair of nodes (the first dials the second through it) and one for each node's clients.
 * What flows from A to B does so on two sockets: what A sends on the one that it opened, and on the one that B opened to A. Both are on the
 * same way, so a fault of one direction cuts both.
 */
import type { Impairment, ImpairmentEffect, Links } from '../nemesis.ts'
import type { Random } from '../random.ts'
import { LinkProxy } from './proxy.ts'
import type { Target } from './target.ts'
import { Way } from './way.ts'

export const CLIENTS = 'clients'

export interface LinkPlan {
  readonly from: string
  readonly to: string
  /** Where `from` finds `to`. */
  readonly port: number
}

export class ClusterLinks implements Links {
  readonly clients = CLIENTS
  readonly #ways = new Map<string, Way>()
  readonly #proxies: LinkProxy[]

  constructor(plans: readonly LinkPlan[], targets: ReadonlyMap<string, Target>, random: Random) {
    this.#proxies = plans.map(({ from, to, port }) => {
      const target = targets.get(to)
      if (target === undefined) throw new Error(`no node ${to}`)
      return new LinkProxy(port, target, this.#open(from, to, random), this.#open(to, from, random))
    })
  }

  impair(from: string, to: string, impairment: Impairment): () => ImpairmentEffect {
    const way = this.#ways.get(nameOf(from, to))
    if (way === undefined) throw new Error(`there is no way from ${from} to ${to}`)
    return way.impair(impairment)
  }

  get bytesDropped(): number {
    return this.#sum(({ bytesDropped }) => bytesDropped)
  }

  get bytesDelayed(): number {
    return this.#sum(({ bytesDelayed }) => bytesDelayed)
  }

  get socketsReset(): number {
    return this.#sum(({ socketsReset }) => socketsReset)
  }

  /** Ports whose listeners are not open. */
  get silentPorts(): number[] {
    return this.#proxies.filter(({ listening }) => !listening).map(({ port }) => port)
  }

  /** Takes all impairments away. */
  heal(): void {
    for (const way of this.#ways.values()) way.clear()
  }

  close(): void {
    for (const proxy of this.#proxies) proxy.close()
  }

  #open(from: string, to: string, random: Random): Way {
    const name = nameOf(from, to)
    const way = this.#ways.get(name) ?? new Way(from, to, random.fork(name).next)
    this.#ways.set(name, way)
    return way
  }

  #sum(figure: (way: Way) => number): number {
    return [...this.#ways.values()].reduce((sum, way) => sum + figure(way), 0)
  }
}

function nameOf(from: string, to: string): string {
  return `${from} → ${to}`
}
