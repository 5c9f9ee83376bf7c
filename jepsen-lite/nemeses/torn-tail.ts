/** The last batch of one node's log is torn, as by a power failure in the middle of its write: the node must doubt itself. */
import { tearTail } from '../files/damage.ts'
import type { Nemesis } from '../nemesis.ts'
import { wounding } from './wounded.ts'

const DOWN_MS_MIN = 50
const DOWN_MS_MAX = 3_000

export const tornTail: Nemesis = {
  name: 'torn-tail',
  about: 'kill a node and tear the last batch of its log; a minority at a time',
  draw(random, nodes) {
    const dice = random.fork(`torn ${random.next()}`)
    const [name, node, figure] = ['torn tail of', random.pick(nodes), 'tornBytes']
    const holdMs = random.between(DOWN_MS_MIN, DOWN_MS_MAX)
    return wounding({ name, node, holdMs, figure, hurt: (dataDir) => tearTail(dataDir, dice) })
  },
  bite: ({ tornBytes = 0 }) => (tornBytes > 0 ? undefined : 'no log was torn'),
}
