/**
 * Whether all replicas, learners' too, hold the same: equal applied index, equal hash, and every message body that the state refers to, which the
 * hash does not cover. Different hashes at one index are a divergence, and no waiting mends that. A body that is still missing when time is over is
 * none: peers are asked for it for as long as it takes, and nobody was promised how long that is. But a run that ends so has not shown that the
 * node holds again what it is counted for.
 */
import { performance } from 'node:perf_hooks'
import type { NodeStatus } from './admin.ts'

const LOOK_AGAIN_MS = 100

export type Agreement =
  | { readonly ok: true; readonly index: number; readonly hash: string }
  /** `diverged`: two replicas differ at the same index. Otherwise they did not get as far as that in time. */
  | { readonly ok: false; readonly diverged: boolean; readonly what: string }

/** One entry for each node that is asked; undefined: no answer. Asks until they agree, differ, time is over, or there is no hope of it. */
export async function agreement(
  ask: () => Promise<ReadonlyMap<string, NodeStatus | undefined>>,
  withinMs: number,
  isHopeless: () => boolean = () => false,
): Promise<Agreement> {
  const deadlineMs = performance.now() + withinMs
  for (;;) {
    const found = judge(await ask())
    if (found.ok || found.diverged || isHopeless() || performance.now() >= deadlineMs) return found
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS))
  }
}

export function judge(statuses: ReadonlyMap<string, NodeStatus | undefined>): Agreement {
  const told: string[] = []
  const hashes = new Map<number, Set<string>>()
  let isWhole = statuses.size > 0
  for (const [id, status] of statuses) {
    if (status?.stateHash === undefined) {
      told.push(`${id} does not tell`)
      isWhole = false
      continue
    }
    const isDoubtful = status.doubt !== 0
    const { stateHash, appliedIndex, member, missingBodies } = status
    const lacks = missingBodies === 0 ? '' : `, bodies missing of ${missingBodies} entries`
    told.push(`${id} ${stateHash} at ${appliedIndex}${isDoubtful ? ', in doubt' : ''}${lacks}`)
    // A node in doubt does not count yet: its cluster has less than it seems.
    if (member === 'none' || isDoubtful || missingBodies !== 0) isWhole = false
    hashes.set(appliedIndex, (hashes.get(appliedIndex) ?? new Set()).add(stateHash))
  }
  const diverged = [...hashes.values()].some(({ size }) => size > 1)
  const [[index, [hash] = []] = []] = hashes
  if (isWhole && hashes.size === 1 && !diverged && index !== undefined && hash !== undefined) {
    return { ok: true, index, hash }
  }
  return { ok: false, diverged, what: told.join(', ') }
}
