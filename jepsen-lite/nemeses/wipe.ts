/** A node's directory is emptied, and the node starts again under its id: it must come back as a learner, and get its place when it has everything. */
import { emptyDirectory } from '../files/damage.ts'
import type { Nemesis } from '../nemesis.ts'
import { wounding } from './wounded.ts'

const DOWN_MS_MIN = 50
const DOWN_MS_MAX = 4_000

export const wipe: Nemesis = {
  name: 'wipe',
  about: 'kill a node, empty its directory and start it under the same id; a minority at a time',
  draw: (random, nodes) =>
    wounding({
      name: 'emptied directory of',
      node: random.pick(nodes),
      holdMs: random.between(DOWN_MS_MIN, DOWN_MS_MAX),
      figure: 'wipes',
      hurt: emptyDirectory,
    }),
  bite: ({ wipes = 0 }) => (wipes > 0 ? undefined : 'no directory was emptied'),
}
