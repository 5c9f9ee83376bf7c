/**
 * Nodes whose disks fail, and that must stop themselves then: loudly, at once, and without trying again (a failed sync may have lost what it
 * was to sync). Whoever breaks disks here lets the nodes end by themselves, and starts them again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { EndFileFault, ExpectedEnd, FaultTarget, FileFault, Totals } from '../nemesis.ts'
import { sumOf } from './figures.ts'

const LOOK_MS = 20
/** For a node to meet what was broken, and to end. */
const END_MS = 5_000

export interface BreakingOptions {
  readonly target: FaultTarget
  readonly nodes: readonly string[]
  /** The code that a node ends with; any other end is a crash. */
  readonly code: string
  /** What it has met may end it later, too: LevelDB keeps what failed for its next write. */
  readonly isLasting?: boolean
}

export class BreakingDisks {
  readonly nodes: readonly string[]
  readonly #target: FaultTarget
  readonly #isLasting: boolean
  readonly #expected: ReadonlyMap<string, ExpectedEnd>
  readonly #ends = new Map<string, EndFileFault>()

  /** From here on these may end by themselves. */
  constructor({ target, nodes, code, isLasting = false }: BreakingOptions) {
    this.nodes = nodes
    this.#target = target
    this.#isLasting = isLasting
    this.#expected = new Map(nodes.map((node) => [node, target.expectEnd(node, { codes: [code] })]))
  }

  /** Those that did, whoever has started them since. */
  get ended(): string[] {
    return this.nodes.filter((node) => this.#expected.get(node)!.count > 0)
  }

  async break(fault: FileFault): Promise<void> {
    const begun = async (node: string) => this.#ends.set(node, await this.#target.breakFiles(node, fault))
    await Promise.all(this.nodes.map(begun))
  }

  /** Resolves when all of them are down, or it is too late. */
  async waitForEnd(): Promise<void> {
    const deadline = performance.now() + END_MS
    while (this.nodes.some((node) => this.#target.isRunning(node)) && performance.now() < deadline) await sleep(LOOK_MS)
  }

  /**
   * Their disks are well again. Those for which a write or a sync has failed must end, if they have not yet; those that have are started. Resolves
   * with what the faults did, and with `ownEnds`.
   */
  async mended(): Promise<Totals> {
    const mending = this.nodes.map((node) => this.#mend(node))
    try {
      return sumOf([...(await Promise.all(mending)), { ownEnds: this.ended.length }])
    } finally {
      // Where one of them fails the others may still have to end.
      await Promise.allSettled(mending)
      for (const expected of this.#expected.values()) this.#isLasting ? expected.overWithItsLife() : expected.over()
      await Promise.all(this.ended.map((node) => this.#target.start(node)))
    }
  }

  async #mend(node: string): Promise<Totals | undefined> {
    const done = await this.#ends.get(node)?.()
    // In the same turn in which its process has answered: it is that one that must end, and none that follows it.
    if (failures(done) > 0) await this.#target.mustEnd(node)
    return done
  }
}

function failures({ failedWrites = 0, failedSyncs = 0, writesWithoutRoom = 0, refused = 0 }: Totals = {}): number {
  return failedWrites + failedSyncs + writesWithoutRoom + refused
}

/** How many of them say themselves that there is hardly any room on their disks. */
export async function countFull(target: FaultTarget, nodes: readonly string[]): Promise<number> {
  const told = await Promise.all(nodes.map((node) => target.metric(node, 'meshmq_disk_full')))
  return told.filter((isFull) => isFull === 1).length
}

export function didFill({ toldFull = 0, ownEnds = 0 }: Totals): string | undefined {
  return toldFull + ownEnds > 0 ? undefined : 'no node noticed that its disk was full'
}
