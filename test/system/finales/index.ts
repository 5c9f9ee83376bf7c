/** How runs may end. */
import type { FinaleKind } from '../swarm.ts'
import { breaksSockets, killsTakers, leapsOver, leavesNobody } from './clients.ts'
import { cutsFollowerOff, killsLeader, staysCalm } from './elections.ts'
import type { Finale, Stage } from './stage.ts'

const finales: Readonly<Record<FinaleKind, Finale>> = {
  calm: staysCalm,
  rejoin: cutsFollowerOff,
  deadLeader: killsLeader,
  abandon: leavesNobody,
  reconnect: breaksSockets,
  bereave: killsTakers,
  leapfrog: leapsOver,
}

const settlingMs = 500

export async function playFinale(kind: FinaleKind, stage: Stage): Promise<void> {
  stage.trace.note('finale', '', kind)
  await stage.run(settlingMs)
  await finales[kind](stage)
}
