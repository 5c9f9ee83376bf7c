/** Faults of disks: slow, failing, full, emptied, rotten. */
import type { SimulatedNode } from '../node.ts'
import type { Bearable } from './bearable.ts'
import type { Processes } from './processes.ts'
import type { Realm, Undo } from './realm.ts'

export class Disks {
  readonly #realm: Realm
  readonly #bearable: Bearable
  readonly #processes: Processes

  constructor(realm: Realm, bearable: Bearable, processes: Processes) {
    this.#realm = realm
    this.#bearable = bearable
    this.#processes = processes
  }

  slowDisk(): Undo {
    const { random, trace } = this.#realm
    const node = this.#realm.anyNode()
    trace.note('slowDisk', node.id)
    node.disk.slownessMs = random.pick([5, 100, 1000])
    return () => {
      node.disk.slownessMs = 0
    }
  }

  failDisk(node: SimulatedNode): undefined {
    const { trace } = this.#realm
    if (node.disk.isFailing || !node.isUp || !this.#bearable.mayCrash(node)) return
    trace.note('failDisk', node.id)
    node.disk.failNextWrite()
  }

  /** Room runs out on some disks, or on all: replicas fill theirs together. */
  fillDisk(): Undo {
    const { nodes, random, trace } = this.#realm
    const full = random.chance(0.5) ? nodes : [this.#realm.anyNode()]
    this.#realm.counts.fullDisks++
    trace.note('fill', full.map(({ id }) => id).join(' '))
    for (const { disk } of full) disk.fill(true)
    return () => {
      trace.note('room', full.map(({ id }) => id).join(' '))
      for (const { disk } of full) disk.fill(false)
    }
  }

  /** A new machine under an old name. */
  wipe(node: SimulatedNode): undefined {
    if (!this.#bearable.mayLose(node)) return
    this.#realm.counts.wipes++
    node.crash()
    node.wipe()
    this.#processes.restartLater(node)
  }

  /** Synced bytes change or vanish while the process is down. */
  damage(node: SimulatedNode): undefined {
    const { random, trace } = this.#realm
    if (!this.#bearable.mayLose(node)) return
    this.#realm.counts.damages++
    const { disk } = node
    const kind = random.pick(['rotLog', 'rotLog', 'loseSegment', 'rotStore', 'loseStore'] as const)
    node.crash()
    trace.note('damage', node.id, kind)
    disk[kind]()
    node.setClock()
    this.#processes.restartLater(node)
  }

  /** Synced bytes change under a process that runs: it may read them, or not. */
  rot(node: SimulatedNode): undefined {
    if (!this.#bearable.mayLose(node)) return
    this.#realm.counts.damages++
    this.#realm.trace.note('rot', node.id)
    node.disk.rotLive()
  }
}
