/**
 * Every way between nodes, and between clients and nodes, by packet filters: on a way to a node, that of its own namespace sees what comes in; on a
 * way to the clients, that of the node from which it leads sees what goes out.
 */
import { type Impairment, type ImpairmentEffect, resetting } from '../../nemesis.ts'
import { CLIENTS } from '../links.ts'
import type { NetworkLinks } from '../network.ts'
import { type FilteredWay, Firewall } from './firewall.ts'
import type { Wires } from './wires.ts'

export class NamespaceLinks implements NetworkLinks {
  readonly clients = CLIENTS
  /** Of impairments that are over. */
  bytesDropped = 0
  bytesDelayed = 0
  socketsReset = 0
  readonly #wires: Wires
  readonly #firewalls: ReadonlyMap<string, Firewall>
  /** How to end what holds. */
  readonly #active = new Map<() => Promise<ImpairmentEffect>, Impairment>()
  #count = 0

  constructor(wires: Wires) {
    this.#wires = wires
    this.#firewalls = new Map([...wires.places.values()].map(({ id, name }) => [id, new Firewall(name)]))
  }

  /** Resolves when it holds. */
  async impair(from: string, to: string, impairment: Impairment): Promise<() => Promise<ImpairmentEffect>> {
    const [node, hook] = to === CLIENTS ? ([from, 'output'] as const) : ([to, 'input'] as const)
    const firewall = this.#firewalls.get(node)
    if (firewall === undefined || from === to) throw new Error(`there is no way from ${from} to ${to}`)
    const way: FilteredWay = { hook, source: this.#addressOf(from), destination: this.#addressOf(to) }
    const name = `impairment${++this.#count}`
    let ended: Promise<ImpairmentEffect> | undefined
    const end = () => {
      ended ??= firewall.remove(name, impairment).then((effect) => this.#over(end, effect))
      return ended
    }
    this.#active.set(end, impairment)
    try {
      await firewall.add(name, way, impairment)
    } catch (error) {
      this.#active.delete(end)
      throw error
    }
    return end
  }

  /** Of what holds on one way, first what resets sockets: what a stall lets go of must not run into it. */
  async heal(): Promise<void> {
    const ends = [...this.#active].map(([end, { type }]) => ({ end, resets: resetting.has(type) }))
    await Promise.all(ends.toSorted((a, b) => Number(b.resets) - Number(a.resets)).map(({ end }) => end()))
  }

  #over(end: () => Promise<ImpairmentEffect>, effect: ImpairmentEffect): ImpairmentEffect {
    this.#active.delete(end)
    this.bytesDropped += effect.bytesDropped
    this.bytesDelayed += effect.bytesDelayed
    this.socketsReset += effect.socketsReset
    return effect
  }

  #addressOf(name: string): string {
    if (name === CLIENTS) return this.#wires.clientAddress
    const place = this.#wires.places.get(name)
    if (place === undefined) throw new Error(`no node ${name}`)
    return place.address
  }
}
