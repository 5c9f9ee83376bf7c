/** Whether all replicas hold the same state: equal applied index, equal hash. Different hashes at one index are a divergence, and no waiting mends that. */
import { performance } from 'node:perf_hooks'
import type { NodeStatus } from './admin.ts'

const LOOK_AGAIN_MS = 100

export type Agreement =
  | { readonly ok: true; readonly index: number; readonly hash: string }
  /** `diverged`: two replicas differ at the same index. Otherwise they did not get as far as that in time. */
  | { readonly ok: false; readonly diverged: boolean; readonly what: string }

/** One entry for each node that is asked; undefined: no answer. Asks until they agree, differ, or time is over. */
export async function agreement(
  ask: () => Promise<ReadonlyMap<string, NodeStatus | undefined>>,
  withinMs: number,
): Promise<Agreement> {
  const deadlineMs = performance.now() + withinMs
  for (;;) {
    const found = judge(await ask())
    if (found.ok || found.diverged || performance.now() >= deadlineMs) return found
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
    told.push(`${id} ${status.stateHash} at ${status.appliedIndex}${isDoubtful ? ', in doubt' : ''}`)
    // A node in doubt does not count yet: its cluster has less than it seems.
    if (status.member === 'none' || isDoubtful) isWhole = false
    hashes.set(status.appliedIndex, (hashes.get(status.appliedIndex) ?? new Set()).add(status.stateHash))
  }
  const diverged = [...hashes.values()].some(({ size }) => size > 1)
  const [[index, [hash] = []] = []] = hashes
  if (isWhole && hashes.size === 1 && !diverged && index !== undefined && hash !== undefined) {
    return { ok: true, index, hash }
  }
  return { ok: false, diverged, what: told.join(', ') }
}
