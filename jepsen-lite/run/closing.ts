/** The end of all clients, and what does not come to its end: neither by itself nor by that. */
import type { WorkerPool } from '../workers/pool.ts'
import type { Slots } from './slots.ts'

/**
 * Resolves with the calls that hang, each given `withinMs`. What consumers have under way is looked at before their clients are closed: a close
 * may end what would never have ended.
 */
export async function closeClients(
  slots: Pick<Slots, 'close'>,
  pool: Pick<WorkerPool, 'hanging'>,
  withinMs: number,
): Promise<readonly string[]> {
  const before = await pool.hanging(withinMs)
  // Not waited for: whether it comes to its end is what the second look is for.
  void slots.close()
  const after = await pool.hanging(withinMs)
  return [...new Set([...before, ...after])]
}
