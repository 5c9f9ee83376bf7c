/**
 * The leader's eye on the other nodes: one that is out of reach for longer than the grace gets its sessions detached, so that
 * their open deliveries go to other consumers (trap 38: unreachable is not dead, hence the pause). A new leader starts its
 * watches anew.
 */
import type { Clock } from '../raft/index.ts'
import { every } from './clock.ts'
import type { Boot, Machine } from './queue/index.ts'

export interface NodeWatchOptions {
  readonly clock: Clock
  readonly machine: Machine
  readonly graceMs: number
  readonly others: readonly string[]
  readonly connected: (node: string) => boolean
  readonly onLost: (boot: Boot) => void
}

const LOOKS_PER_GRACE = 10

export class NodeWatch {
  readonly #options: NodeWatchOptions
  /** Since when a node is out of reach, monotonic milliseconds. */
  readonly #missing = new Map<string, number>()
  #cancelLooks: (() => void) | undefined

  constructor(options: NodeWatchOptions) {
    this.#options = options
  }

  start(): void {
    this.stop()
    const { clock, graceMs } = this.#options
    this.#cancelLooks = every(clock, Math.max(1, graceMs / LOOKS_PER_GRACE), () => this.#look())
  }

  stop(): void {
    this.#cancelLooks?.()
    this.#missing.clear()
  }

  #look(): void {
    const { clock, connected, graceMs, machine, onLost, others } = this.#options
    const nowMs = clock.now()
    for (const node of others) {
      if (connected(node)) {
        this.#missing.delete(node)
        continue
      }
      const sinceMs = this.#missing.get(node) ?? nowMs
      this.#missing.set(node, sinceMs)
      if (nowMs - sinceMs < graceMs) continue
      for (const boot of machine.bootsOf()) {
        if (boot.node === node && !boot.lost) onLost({ node, bootId: boot.bootId })
      }
    }
  }
}
