/** Faults of processes and machines: they crash, stop, pause, and come back. */
import type { SimulatedNode } from '../node.ts'
import type { Bearable } from './bearable.ts'
import type { Realm, Undo } from './realm.ts'

export class Processes {
  readonly #realm: Realm
  readonly #bearable: Bearable

  constructor(realm: Realm, bearable: Bearable) {
    this.#realm = realm
    this.#bearable = bearable
  }

  crashAndRestart(node: SimulatedNode, silent: boolean): undefined {
    if (!node.isUp || !this.#bearable.mayCrash(node)) return
    node.crash(silent)
    this.#realm.counts.crashes++
    // A machine without power answers nobody; when it is back, it knows nothing of its sockets.
    if (silent) this.restartLater(node, this.#goDark(node))
    else this.restartLater(node)
  }

  #goDark(node: SimulatedNode): Undo {
    const { network, nodes } = this.#realm
    const others = [...nodes.map(({ id }) => id), ...network.partners(node.id)].filter((id) => id !== node.id)
    const undos = others.flatMap((id) => [network.cut(node.id, id), network.cut(id, node.id)])
    return () => {
      for (const undo of undos) undo()
    }
  }

  restartLater(node: SimulatedNode, undo: Undo = () => {}): void {
    const { random, swarm } = this.#realm
    const start = () => {
      undo()
      node.start()
    }
    // Everybody else was started when the faults ended.
    if (!this.#realm.isActive) return start()
    this.#realm.endAfter(random.between(swarm.downMs[0], swarm.downMs[1]), start)
  }

  stopAndRestart(node: SimulatedNode): undefined {
    if (!node.isUp) return
    this.#realm.counts.stops++
    node.stop().then(() => {
      if (!node.isUp) this.restartLater(node)
    }, this.#realm.onFailure)
  }

  /** One after the other, each back before the next goes. */
  rollingRestart(): undefined {
    const { nodes, scheduler, swarm } = this.#realm
    const next = (i: number): void => {
      const node = nodes[i]
      if (node === undefined || !this.#realm.isActive) return
      this.stopAndRestart(node)
      scheduler.after(swarm.downMs[1] + 1_500, () => next(i + 1))
    }
    next(0)
  }

  pause(node: SimulatedNode): Undo | undefined {
    if (!node.isUp || node.isPaused) return undefined
    this.#realm.counts.pauses++
    node.pause()
    return () => node.resume()
  }
}
