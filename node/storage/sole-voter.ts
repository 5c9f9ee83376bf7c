/** Whether anybody else can vouch for what this node forgot. */
import { decodeMembership, type Entry, type Member } from '../../raft/index.ts'

/** Of the membership entries that log and checkpoint tell; undefined when they tell none. */
export function newestMembership(...entries: readonly (Entry | undefined)[]): Entry | undefined {
  let newest: Entry | undefined
  for (const entry of entries) if (entry !== undefined && entry.index >= (newest?.index ?? 0)) newest = entry
  return newest
}

/**
 * Whether this directory is the only voter by that entry; undefined without one. A learner, a node that was removed and an emptied
 * directory are not, however few voters there are.
 */
export function isSoleVoter(self: Member, membership: Entry | undefined): boolean | undefined {
  if (membership === undefined) return undefined
  const { voters, votersOutgoing } = decodeMembership(membership.data)
  const [voter, ...others] = [...voters, ...votersOutgoing]
  return others.length === 0 && voter?.id === self.id && voter.incarnation === self.incarnation
}
