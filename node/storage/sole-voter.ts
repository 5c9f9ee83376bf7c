/** Whether anybody else can vouch for what this node forgot. */
import { decodeMembership, type Entry } from '../../raft/index.ts'

/**
 * From the newest of the membership entries that log and checkpoint tell; undefined when they tell none.
 */
export function isSoleVoter(...entries: readonly (Entry | undefined)[]): boolean | undefined {
  let newest: Entry | undefined
  for (const entry of entries) if (entry !== undefined && entry.index >= (newest?.index ?? 0)) newest = entry
  if (newest === undefined) return undefined
  const { voters, votersOutgoing } = decodeMembership(newest.data)
  return voters.length === 1 && votersOutgoing.length === 0
}
