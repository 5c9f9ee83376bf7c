/**
 * The healed cluster is left alone, or one thing happens to a node, and it must not elect without need, nor late.
 */
import { Violation } from '../../sim/violation.ts'
import { anyFollower, cutOff, type Finale, type Stage } from './stage.ts'

const calmMs = 2_500
/** Long enough for several election timeouts of whoever is cut off. */
const isolationMs = 2_500
/** The followers see a closed socket and a refused redial, and elect at once; if their votes are split, one timeout later. */
const electionWithinMs = 2_000

export const staysCalm: Finale = (stage) => electsNobody(stage, () => stage.run(calmMs))

export const cutsFollowerOff: Finale = (stage) =>
  electsNobody(stage, async () => {
    const mend = cutOff(stage, anyFollower(stage), 'both')
    await stage.run(isolationMs)
    mend()
    await stage.run(calmMs)
  })

export const killsLeader: Finale = async (stage) => {
  const { leader, nodes, run } = stage
  nodes.find((node) => node.claimsToLead)?.crash()
  await run(electionWithinMs, () => leader() !== undefined)
  if (leader() === undefined) throw new Violation('a dead leader is replaced soon', terms(stage))
}

/** Nobody's term rises while `happening` goes on (PreVote and the lease: dissertation §9.6, §4.2.3). */
async function electsNobody(stage: Stage, happening: () => Promise<void>): Promise<void> {
  const before = terms(stage)
  await happening()
  const after = terms(stage)
  if (before !== after) throw new Violation('nobody elects without need', `${before}, then ${after}`)
}

function terms({ nodes }: Stage): string {
  return nodes.map(({ id, core }) => `${id} in term ${core?.group.driver.status().term}`).join(', ')
}
