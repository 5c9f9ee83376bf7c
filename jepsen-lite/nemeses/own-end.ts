/**
 * Nodes whose disks fail, and that must stop themselves then: loudly, at once, and without trying again (a failed sync may have lost what it
 * was to sync). Whoever breaks disks here lets the nodes end by themselves, and starts them again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultTarget, Totals } from '../nemesis.ts'

const LOOK_MS = 20
/** For a node to end after a write has failed: it says why, and closes its sockets. */
const END_MS = 5_000

export class BreakingDisks {
  readonly nodes: readonly string[]
  readonly #target: FaultTarget
  readonly #takeBack: readonly (() => void)[]
  readonly #endMs: number

  /** From here on these may end by themselves; once they must, they have `endMs` for it. */
  constructor(target: FaultTarget, nodes: readonly string[], endMs = END_MS) {
    this.nodes = nodes
    this.#target = target
    this.#endMs = endMs
    this.#takeBack = nodes.map((node) => target.expectEnd(node))
  }

  get ended(): string[] {
    return this.nodes.filter((node) => !this.#target.isRunning(node))
  }

  /** Resolves when all of these have ended, or it is too late. */
  async waitForEnd(nodes = this.nodes): Promise<void> {
    const deadline = performance.now() + this.#endMs
    while (nodes.some((node) => this.#target.isRunning(node)) && performance.now() < deadline) await sleep(LOOK_MS)
  }

  /**
   * Their disks are well again: starts those that have ended. Those of `met`, for which a write or a sync has failed, must end, if they have not
   * yet: rejects when one goes on all the same.
   */
  async mended(met: readonly string[]): Promise<void> {
    await this.waitForEnd(met)
    const survivors = met.filter((node) => this.#target.isRunning(node))
    for (const takeBack of this.#takeBack) takeBack()
    await Promise.all(this.nodes.map((node) => this.#target.start(node)))
    if (survivors.length > 0) throw new Error(`${survivors} went on though a write or a sync had failed`)
  }
}

/** What the shim of each did; false: it has ended. Their files are without faults from here on. */
export async function clearShims(target: FaultTarget, nodes: readonly string[]): Promise<Map<string, Totals | false>> {
  const all = nodes.map(async (node) => [node, await target.shim(node, { type: 'clear' })] as const)
  return new Map(await Promise.all(all))
}
