/** Faults of the network: ways that are cut, sockets that break, bad weather. */
import type { Weather } from '../network.ts'
import type { SimulatedNode } from '../node.ts'
import type { Realm, Undo } from './realm.ts'

const stormWeather: Weather = { delayMs: [5, 80], spikeChance: 0.1, spikeMs: 800 }

export class Links {
  readonly #realm: Realm

  constructor(realm: Realm) {
    this.#realm = realm
  }

  /** Cuts nodes off from the other nodes, sometimes in one direction alone. Clients still reach all. */
  isolate(group: readonly SimulatedNode[]): Undo {
    const { network, nodes, random, trace } = this.#realm
    this.#realm.counts.partitions++
    const way = random.pick(['both', 'both', 'in', 'out'])
    trace.note('cut', way, group.map((node) => node.id).join(' '))
    const undos: Undo[] = []
    for (const inside of group) {
      for (const outside of nodes) {
        if (group.includes(outside)) continue
        if (way !== 'in') undos.push(network.cut(inside.id, outside.id))
        if (way !== 'out') undos.push(network.cut(outside.id, inside.id))
      }
    }
    return this.#undoAll(undos)
  }

  someNodes(): readonly SimulatedNode[] {
    const { random, nodes } = this.#realm
    return random.shuffled(nodes).slice(0, 1 + random.below(Math.max(1, nodes.length - 1)))
  }

  cutPair(): Undo | undefined {
    const { network, nodes, random, trace } = this.#realm
    const [one, other] = random.shuffled(nodes)
    if (one === undefined || other === undefined) return undefined
    this.#realm.counts.partitions++
    trace.note('cut', one.id, '→', other.id)
    return this.#undoAll([network.cut(one.id, other.id)])
  }

  #undoAll(undos: readonly Undo[]): Undo {
    return () => {
      this.#realm.trace.note('mend', '')
      for (const undo of undos) undo()
    }
  }

  breakPeers(): undefined {
    const { network, nodes, random } = this.#realm
    const [one, other] = random.shuffled(nodes)
    if (one === undefined || other === undefined) return
    this.#realm.counts.breaks++
    network.break(one.id, other.id)
  }

  breakClient(): undefined {
    const { network, workload } = this.#realm
    const machine = workload.anyMachine()
    if (machine === undefined) return
    this.#realm.counts.breaks++
    for (const node of network.partners(machine)) network.break(machine, node)
  }

  /** A client and a node that it is connected to, or a client and everybody, hear nothing of each other. */
  cutClient(): Undo | undefined {
    const { network, nodes, random, trace, workload } = this.#realm
    const machine = workload.anyMachine()
    if (machine === undefined) return undefined
    const partners = network.partners(machine)
    const away = partners.length > 0 && random.chance(0.5) ? partners : nodes.map(({ id }) => id)
    this.#realm.counts.partitions++
    trace.note('cut', machine, away.join(' '))
    return this.#undoAll(away.flatMap((id) => [network.cut(machine, id), network.cut(id, machine)]))
  }

  storm(): Undo {
    const { network, swarm, trace } = this.#realm
    trace.note('storm', '')
    network.weather = stormWeather
    return () => {
      network.weather = swarm.weather
    }
  }
}
