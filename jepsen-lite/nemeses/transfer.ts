/** Leadership handed over by an operator: `meshmq cluster transfer-leader`. Under other faults it may be refused, which is an answer too. */
import type { Nemesis } from '../nemesis.ts'
import { answerOf } from './operator.ts'

const COMMAND_S = 10

export const transfer: Nemesis = {
  name: 'transfer',
  about: 'meshmq cluster transfer-leader, to a node or to whoever is best',
  draw(random, nodes) {
    const to = random.chance(0.3) ? undefined : random.pick(nodes)
    return {
      name: to === undefined ? 'transfer leadership' : `transfer leadership to ${to}`,
      holdMs: 0,
      async begin(target) {
        const before = await target.leader()
        // Who leads already gives it to whoever is best.
        const named = to === undefined || to === before ? [] : [to]
        const result = await target.cli(['cluster', 'transfer-leader', ...named, '--timeout', String(COMMAND_S)])
        const isMoved = result.code === 0 && before !== undefined
        return { what: `from ${before ?? 'nobody'}: ${answerOf(result)}`, done: { transfers: Number(isMoved) } }
      },
      end: async () => ({ what: '', done: {} }),
    }
  },
  bite: ({ transfers = 0 }) => (transfers > 0 ? undefined : 'leadership was never handed over'),
}
